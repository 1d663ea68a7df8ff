"""The command line as a whole: what it says, and its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from linq_typing import cli
from linq_typing.cli import _commands, _main
from patience import PATIENCE

CONSOLE_SCRIPT = "import sys; from linq_typing.cli import main; sys.exit(main())"


def python(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, env=env
    )


def without(*packages: str) -> str:
    """The console script, in an environment in which these are not installed."""
    return f"import sys; sys.modules.update(dict.fromkeys({packages!r})); {CONSOLE_SCRIPT}"


@pytest.mark.parametrize("arguments", [("-m", "linq_typing"), ("-c", CONSOLE_SCRIPT)])
def test_version(arguments: tuple[str, ...]) -> None:
    done = python(*arguments, "--version")
    assert (done.returncode, done.stdout) == (0, f"linq-typing {version('linq-typing')}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    assert "demo" in capsys.readouterr().out


def test_no_summary_is_cut_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["--help"]) == 0
    _, commands = capsys.readouterr().out.split("Commands:\n")
    assert commands.count("\n") == len(_commands.program.commands)
    assert "..." not in commands


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["dmeo"], "linq-typing"),
        (["--what"], "linq-typing"),
        (["demo", "--what"], "linq-typing demo"),
        (["demo", "extra"], "linq-typing demo"),
    ],
)
def test_bad_arguments_get_one_line_with_the_command_s_help_and_status_2(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("linq-typing: ")
    assert err.endswith(f" (see {command} --help)\n")
    assert err.count("\n") == 1


def test_completes_commands_in_a_shell() -> None:
    """As the docs say; the shell sets the other variables."""
    asked = {"_LINQ_TYPING_COMPLETE": "bash_complete", "COMP_WORDS": "linq-typing d", "COMP_CWORD": "1"}
    done = python("-m", "linq_typing", env={**os.environ, **asked})
    assert (done.returncode, done.stdout) == (0, "plain,demo\nplain,doctor\n")


@pytest.mark.parametrize("package", _main.EXTRA[1:])
def test_a_missing_extra_gets_one_line_and_status_2(package: str) -> None:
    done = python("-c", without(package), "demo", "--fast")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f'linq-typing: this command needs {package}: pip install "linq-typing[sandbox]"\n'


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ([], "cli"),
        (["--help"], "cli"),
        (["while", "--help"], "cli"),
        (["start"], "cli"),
        (["stop"], "cli"),
        (["doctor"], "cli"),
        (["demo"], "sandbox"),
        (["sandbox", "--open"], "sandbox"),
    ],
)
def test_a_bare_install_says_which_extra_the_command_needs(
    arguments: list[str], extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == f'linq-typing: this command needs click: pip install "linq-typing[{extra}]"\n'


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise interruption

    monkeypatch.setattr(_commands.program, "main", interrupted)
    assert cli.main([]) == 130


def test_another_missing_package_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "linq_typing.cli._commands", None)
    with pytest.raises(ModuleNotFoundError, match="_commands"):
        cli.main(["demo"])


def test_a_reader_that_goes_away_is_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(_commands.program, "main", cut_off)
    with open(tmp_path / "out", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert cli.main([]) == 1
        print("what the interpreter flushes at its end", flush=True)
    assert (tmp_path / "out").read_text() == ""
