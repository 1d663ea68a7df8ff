"""Import time, in fresh processes: linq_typing beside what it is made of."""

from __future__ import annotations

import compileall
import importlib
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from ._report import Row
from ._runner import Case, compare, measure

SOURCES = Path(__file__).parents[2] / "src"
FLOOR, OURS = "httpx + tenacity", "linq_typing"


class Plan(NamedTuple):
    rounds: int


PLANS = {"full": Plan(21), "quick": Plan(7), "smoke": Plan(1)}


def run(size: str) -> list[Row]:
    compileall.compile_dir(SOURCES, quiet=1)  # as an installer does
    cases = {FLOOR: Case("timed", {"names": ["httpx", "tenacity"]}), OURS: Case("timed", {"names": ["linq_typing"]})}
    samples = measure("imports", cases, PLANS[size].rounds)
    return [compare("import time", samples, "ms", ours=OURS, others=[FLOOR], unit="ms", reach="at most 1.15")]


# -- In the worker


def timed(names: list[str]) -> dict[str, float]:
    began = perf_counter()
    for name in names:
        importlib.import_module(name)
    return {"ms": 1000 * (perf_counter() - began)}
