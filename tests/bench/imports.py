"""Import time, in fresh processes: linq_typing beside what it is made of."""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ._report import Row
from ._runner import Case, compare, measure

SOURCES = Path(__file__).parents[2] / "src"
FLOOR, OURS = "httpx + tenacity", "linq_typing"
#: What httpx itself imports with its first request, under asyncio.
ON_DEMAND = ["httpcore", "anyio._backends._asyncio"]


class Plan(NamedTuple):
    rounds: int


PLANS = {"full": Plan(21), "quick": Plan(2), "smoke": Plan(1)}


def run(size: str) -> list[Row]:
    compileall.compile_dir(SOURCES, quiet=1)  # as an installer does
    floor, ours = ["httpx", "tenacity"], ["linq_typing"]
    cases = {
        FLOOR: Case("timed", {"names": floor}),
        OURS: Case("timed", {"names": ours}),
        f"{FLOOR}, in use": Case("timed", {"names": [*floor, *ON_DEMAND]}),
        f"{OURS}, in use": Case("timed", {"names": [*ours, "linq_typing._engine.engine"]}),
    }
    samples = measure("imports", cases, PLANS[size].rounds)
    common = {"key": "ms", "unit": "ms", "reach": "at most 1.15"}
    return [
        compare("import time", samples, ours=OURS, others=[FLOOR], **common),
        compare(
            "import time, with what a first request imports", samples, ours=f"{OURS}, in use",
            others=[f"{FLOOR}, in use"], **common,
        ),
    ]  # fmt: skip


# -- In the worker


def timed(names: list[str]) -> dict[str, float]:
    """In an interpreter that has imported nothing yet."""
    program = f"import time; b = time.perf_counter(); import {', '.join(names)}; print(time.perf_counter() - b)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {"ms": 1000 * float(done.stdout)}
