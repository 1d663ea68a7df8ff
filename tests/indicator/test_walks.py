"""Plain random walks of many short lengths. They find what a clever search misses."""

import os
from collections.abc import Iterable
from types import ModuleType

import pytest

from .model import random_walk

#: More of them with INDICATOR_WALKS=200000, say, after a change to the machine.
WALKS = int(os.environ.get("INDICATOR_WALKS", "4000"))


#: Those that have found what few others find: see the mutants.
RARE = (1751, 2014, 4676, 5744)


def check_walks(machine: ModuleType, seeds: Iterable[int]) -> None:
    for seed in seeds:
        try:
            random_walk(machine, seed)
        except AssertionError as error:
            raise AssertionError(f"walk {seed}: {error}") from error


@pytest.mark.parametrize("part", range(4))
def test_random_walks_keep_every_promise(machine: ModuleType, part: int) -> None:
    """Whatever happens in whatever order, each answer is one that the history allows."""
    check_walks(machine, range(part * WALKS // 4, (part + 1) * WALKS // 4))


def test_the_rare_walks_keep_every_promise(machine: ModuleType) -> None:
    """They are walked whatever INDICATOR_WALKS says."""
    check_walks(machine, RARE)
