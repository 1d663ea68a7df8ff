"""Runs candidates side by side: each in a process of its own, in shuffled rounds."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ._results import ROOT, Samples

Result = dict[str, float]


class Case(NamedTuple):
    """A candidate: a function of the benchmark's module, and what it is called with."""

    function: str
    arguments: Mapping[str, Any]


def measure(module: str, cases: Mapping[str, Case], rounds: int) -> Samples:
    """Measure every candidate once per round, in an order that each round shuffles anew."""
    samples: Samples = {name: [] for name in cases}
    for _ in range(rounds):
        for name in random.sample(list(cases), len(cases)):
            samples[name].append(run_case(module, cases[name]))
            show(name, samples[name][-1])
    return samples


def measure_together(module: str, cases: Mapping[str, Case]) -> Samples:
    """Measure all candidates at the same time: for those that only count, and sleep in between."""
    with ThreadPoolExecutor(len(cases)) as pool:
        results = dict(zip(cases, pool.map(lambda case: run_case(module, case), cases.values()), strict=True))
    for name, result in results.items():
        show(name, result)
    return {name: [result] for name, result in results.items()}


def run_case(module: str, case: Case) -> Result:
    """One measurement in a fresh process."""
    command = [sys.executable, "-m", f"{__package__}._worker", module, case.function, json.dumps(case.arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def show(name: str, result: Result) -> None:
    print(f"    {name:34}", *(f"{key} {value:.4g}" for key, value in result.items()), sep="  ", flush=True)
