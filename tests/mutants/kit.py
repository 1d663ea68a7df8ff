"""Plants bugs into a copy of the library and runs some of the fast tests on that copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import linq_typing
from indicator.mutants import Mutant

from . import forked

__all__ = ["Group", "test_is_noticed", "test_without_a_bug_all_tests_pass"]

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(linq_typing.__file__).parent

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@dataclass(frozen=True)
class Group:
    """Some bugs of one module, and what pytest is to run: tests that notice each of them."""

    module: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


@needs_fork
@pytest.mark.slow
def test_without_a_bug_all_tests_pass(group: Group) -> None:
    """Else they would notice anything."""
    status, output = _outcomes(group)[None]
    assert status == pytest.ExitCode.OK, output


@needs_fork
@pytest.mark.slow
def test_is_noticed(group: Group, mutant: Mutant) -> None:
    status, output = _outcomes(group)[mutant.bug]
    assert status in (pytest.ExitCode.TESTS_FAILED, None), output


@cache
def _outcomes(group: Group) -> dict[str | None, forked.Outcome]:
    """How the tests of the group end, on a copy of the library: without a bug, and with each."""
    source = (PACKAGE / group.module).read_text(encoding="utf-8")
    sources = {None: source, **{mutant.bug: mutant.planted_in(source) for mutant in group.mutants}}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PACKAGE.name)
        shutil.copytree(PACKAGE, copy)
        job = {
            "module": str(copy / group.module),
            "sources": list(sources.values()),
            "arguments": ["-x", "-q", "-p", "no:cacheprovider", *group.tests],
        }
        done = subprocess.run(
            [sys.executable, forked.__file__],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": folder, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            input=json.dumps(job),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return dict(zip(sources, map(tuple, json.loads(done.stdout)), strict=True))
