"""Static types stay: two checkers read ``usages.py``, and are checked on copies that have lost a signature."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import linq_typing

USAGES = Path(__file__).with_name("usages.py")
PACKAGE = Path(linq_typing.__file__).parent

pytestmark = pytest.mark.slow


def _needs(checker: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(checker) is None
    return pytest.mark.skipif(missing, reason=f"{checker} is not installed beside this interpreter (it is in [dev])")


def _run(command: list[str], cwd: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        command, check=False, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def _mypy(place: Path, source: Path | None = None) -> tuple[int, str]:
    """mypy --strict on the usages, against the installed package or against a copy below ``source``."""
    config = place / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\nwarn_unused_ignores = True\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--python-version", "3.10"]
    command += ["--cache-dir", str(place.parent / "mypy-cache"), "--no-error-summary", str(USAGES)]
    return _run(command, place, **({} if source is None else {"MYPYPATH": str(source)}))


def _pyright(place: Path, source: Path | None = None) -> tuple[int, str]:
    """pyright on the usages, against the installed package or against a copy below ``source``."""
    shutil.copy(USAGES, place / "usages.py")
    settings = {
        "include": ["usages.py"],
        "pythonVersion": "3.10",
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": False,  # those are mypy's
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportUnnecessaryComparison": "error",
        "reportUnusedCoroutine": "error",
        "extraPaths": [] if source is None else [str(source)],
    }
    (place / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--project", str(place)]
    code, output = _run(command, place, PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    if "error" not in output and code != 0:
        pytest.skip(f"pyright is there but does not run: {output.strip()[-200:]}")
    return code, output


checkers = pytest.mark.parametrize(
    "check", [pytest.param(_mypy, marks=_needs("mypy")), pytest.param(_pyright, marks=_needs("pyright"))]
)


@checkers
def test_the_usages_have_the_types_that_they_say(check, tmp_path: Path) -> None:
    """Every assert_type holds, every expected error occurs, and no other does."""
    code, output = check(tmp_path)
    assert code == 0, output


#: What could be lost: file, the line as it is (its first occurrence), the line as it must not be; and a usage at which
#: that is an error.
LOSSES = {
    "decorator gives any callable": (
        "_typing_while.py",
        "def __call__(self, function: F) -> F:",
        "def __call__(self, function: F) -> Callable[..., Any]:",
        "assert_type(called(CHAT, 1), bytes)",
    ),
    "bare decorator gives any callable": (
        "_default.py",
        "def typing_while(function: F, /) -> F: ...",
        "def typing_while(function: F, /) -> Callable[..., Any]: ...",
        "assert_type(function(CHAT, 1), bytes)",
    ),
    "manager's bare decorator gives any callable": (
        "_manager.py",
        "def typing_while(self, function: F, /) -> F: ...",
        "def typing_while(self, function: F, /) -> Callable[..., Any]: ...",
        "assert_type(managers_bare(CHAT, 1), bytes)",
    ),
    "block gives anything": (
        "_typing_while.py",
        "def __enter__(self) -> TypingSession:",
        "def __enter__(self) -> Any:",
        "assert_type(sync_session, TypingSession)",
    ),
    "async block gives anything": (
        "_typing_while.py",
        "async def __aenter__(self) -> TypingSession:",
        "async def __aenter__(self) -> Any:",
        "assert_type(async_session, TypingSession)",
    ),
    "any keyword goes": (
        "_default.py",
        "    **options: Unpack[GivenOptions],\n",
        "    **options: Any,\n",
        "typing_while(CHAT, refresh_intervall=5)",
    ),
    "watched client is any object": (
        "_default.py",
        "def watch(client: C) -> C:",
        "def watch(client: object) -> Any:",
        "assert_type(watch(httpx.Client()), httpx.Client)",
    ),
    "sending is anything": (
        "_session.py",
        "def sending(self) -> Sending:",
        "def sending(self) -> Any:",
        "send.succeeded()",
    ),
}


@checkers
def test_each_lost_signature_is_noticed(check, tmp_path: Path) -> None:
    """The same usages, on a copy of the package in which all of these are gone. No error hides another."""
    copy = tmp_path / "src" / "linq_typing"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "sandbox"))
    for name, line, lost, _ in LOSSES.values():
        text = (copy / name).read_text(encoding="utf-8")
        assert line in text, f"{name} has changed: mend this table"
        (copy / name).write_text(text.replace(line, lost, 1), encoding="utf-8")
    code, output = check(tmp_path, copy.parent)
    assert code == 1, output
    usages = USAGES.read_text(encoding="utf-8").splitlines()
    errors = {usages[int(number) - 1] for number in re.findall(r"usages\.py:(\d+)", output)}
    assert [loss for loss, (*_, usage) in LOSSES.items() if not any(usage in error for error in errors)] == [], output
