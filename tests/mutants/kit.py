"""Plants a bug into a copy of the library and runs some of the fast tests on that copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import linq_typing
from indicator.mutants import Mutant

__all__ = ["Group", "test_is_noticed", "test_without_a_bug_all_tests_pass"]

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(linq_typing.__file__).parent
PATIENCE: Final = 120.0  #: seconds: a bug may make an endless loop


@dataclass(frozen=True)
class Group:
    """Some bugs of one module, and what pytest is to run: tests that notice each of them."""

    module: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


@pytest.mark.slow
def test_without_a_bug_all_tests_pass(group: Group, tmp_path: Path) -> None:
    """Else they would notice anything."""
    status, output = _outcome(group, tmp_path)
    assert status is pytest.ExitCode.OK, output


@pytest.mark.slow
def test_is_noticed(group: Group, mutant: Mutant, tmp_path: Path) -> None:
    status, output = _outcome(group, tmp_path, mutant)
    assert status in (pytest.ExitCode.TESTS_FAILED, None), output


def _outcome(group: Group, folder: Path, mutant: Mutant | None = None) -> tuple[pytest.ExitCode | None, str]:
    """How the tests of the group end, on a copy of the library with that bug in it, and their output. None: endless."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name)
    if mutant is not None:
        path = folder / PACKAGE.name / group.module
        path.write_text(mutant.planted_in(path.read_text(encoding="utf-8")), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take longer to import than the tests to run
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *group.tests],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return pytest.ExitCode(done.returncode), done.stdout
