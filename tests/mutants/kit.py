"""Plants a bug into a copy of the library and runs some of the fast tests on that copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from indicator.mutants import Mutant

import linq_typing

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(linq_typing.__file__).parent
PATIENCE: Final = 60.0  #: seconds: a bug may make an endless loop


@dataclass(frozen=True)
class Group:
    """The bugs of one module, and the files of tests of which one notices each."""

    module: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


def each_mutant(groups: Iterable[Group]) -> Any:
    """Runs a test with each bug, as ``group`` and ``mutant``."""
    return pytest.mark.parametrize(
        ("group", "mutant"),
        [pytest.param(group, mutant, id=mutant.bug) for group in groups for mutant in group.mutants],
    )


def each_group(groups: Iterable[Group]) -> Any:
    return pytest.mark.parametrize("group", [pytest.param(group, id=group.module) for group in groups])


def outcome(group: Group, folder: Path, mutant: Mutant | None = None) -> pytest.ExitCode | None:
    """How the tests of the group end on a copy of the library with that bug in it. None: they don't."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name)
    if mutant is not None:
        path = folder / PACKAGE.name / group.module
        path.write_text(mutant.planted_in(path.read_text(encoding="utf-8")), encoding="utf-8")
    options = ["-x", "-q", "-p", "no:cacheprovider"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take longer to import than the tests to run
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *group.tests],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return pytest.ExitCode(done.returncode)
