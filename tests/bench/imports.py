"""Import time, in fresh processes: linq_typing beside what it is made of."""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ._results import Measured, of
from ._runner import Case, measure

SOURCES = Path(__file__).parents[2] / "src"
FLOOR, OURS = "httpx and tenacity", "linq-typing"
#: The same with what httpx itself imports with its first request, under asyncio. The library imports that at once.
READY = f"{FLOOR}, ready for a request"


class Plan(NamedTuple):
    rounds: int


PLANS = {"full": Plan(21), "quick": Plan(2), "smoke": Plan(1)}


def run(size: str) -> list[Measured]:
    compileall.compile_dir(SOURCES, quiet=1)  # as an installer does
    floor = ["httpx", "tenacity", "asyncio"]
    cases = {
        OURS: Case("timed", {"names": ["linq_typing"]}),
        FLOOR: Case("timed", {"names": floor}),
        READY: Case("timed", {"names": [*floor, "httpcore", "anyio._backends._asyncio"]}),
    }
    samples = measure("imports", cases, PLANS[size].rounds)
    return [of("import", "ms", samples, "ms", {OURS: READY}, "at most 1.15")]


# -- In the worker


def timed(names: list[str]) -> dict[str, float]:
    """In an interpreter that has imported nothing yet."""
    program = f"import time; b = time.perf_counter(); import {', '.join(names)}; print(time.perf_counter() - b)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {"ms": 1000 * float(done.stdout)}
