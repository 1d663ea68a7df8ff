"""Plain random walks of several processes, in three tempers, and the bugs that they catch."""

import os

import pytest

from .model import walk
from .mutants import MUTANTS, Mutant, caught, planted

#: Walks in each mode. More of them with SHARING_WALKS=20000, say, after a change to what is shared.
WALKS = int(os.environ.get("SHARING_WALKS", "80"))


@pytest.mark.parametrize("mode", ["clean", "calm", "rough"])
def test_random_walks_keep_every_promise(mode: str) -> None:
    """See :mod:`.model` for what each mode promises."""
    for seed in range(WALKS):
        try:
            walk(seed, mode)
        except AssertionError as error:
            raise AssertionError(f"{mode} walk {seed}: {error}") from error


def test_the_bugs_are_distinct() -> None:
    """Each is planted once."""
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.edits or mutant.bug in open_switches() for mutant in MUTANTS)


def open_switches() -> str:
    from pathlib import Path

    from . import twin

    return Path(twin.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    """By a walk that the sound code passes."""
    walk(mutant.seed, mutant.mode)
    assert caught(mutant, mutant.seed, mutant.mode, planted(mutant))
