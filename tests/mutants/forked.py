"""Runs the same tests on many versions of one module of the library, each in a fork of one process.

The forks find the packages that the tests need already imported, which would take longer than the tests. The library
itself is imported anew by each. ``python forked.py`` reads a job from its standard input and writes the outcomes.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

PATIENCE: Final = 120.0  #: seconds: a bug may make an endless loop

Outcome = tuple[int | None, str]
"""pytest's exit code, None if it did not come to an end; and its output."""


def main() -> None:
    """Run the job: ``module``, the path to write each of the ``sources`` to, and pytest's ``arguments``."""
    job = json.load(sys.stdin)
    sys.dont_write_bytecode = True  # versions of the module may have the same size and second
    outcomes = [_outcome(Path(job["module"]), source, job["arguments"]) for source in job["sources"]]
    json.dump(outcomes, sys.stdout)


def _outcome(module: Path, source: str, arguments: list[str]) -> Outcome:
    module.write_text(source, encoding="utf-8")
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as imported:
        pid = os.fork()
        if pid == 0:
            _test(arguments, output.fileno(), imported)
        status = _end_of(pid)
        output.seek(0)
        imported.seek(0)
        for name in imported.read().split():
            with suppress(Exception):
                importlib.import_module(name)
        return status, output.read()


def _test(arguments: list[str], output: int, imported: Any) -> None:
    """In the fork. Also reports what was imported, but for the library and its tests."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = pytest.main(arguments)
    sys.stdout.flush()
    packages = tuple(str(Path(prefix, "lib")) for prefix in {sys.prefix, sys.base_prefix})
    names = [
        name for name, module in list(sys.modules.items()) if str(getattr(module, "__file__", "")).startswith(packages)
    ]
    print("\n".join(names), file=imported, flush=True)
    os._exit(status)


def _end_of(pid: int) -> int | None:
    """The exit code of the fork. None if it had to be killed."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


if __name__ == "__main__":
    main()
