"""What was measured: kept as JSON, printed as a table."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "explanation" / "figures"
FILE = FOLDER / "results.json"

PACKAGES = (
    "linq-typing", "httpx", "httpcore", "anyio", "sniffio", "tenacity", "httpx-aiohttp", "aiohttp", "pyreqwest",
    "aiogram", "discord.py", "hikari",
)  # fmt: skip

Samples = dict[str, list[dict[str, float]]]
"""For each candidate, its results by round."""
NOTHING: Mapping[str, str] = MappingProxyType({})


class Measured(NamedTuple):
    """One thing that was measured of several candidates."""

    what: str
    unit: str
    values: dict[str, list[float]]
    """By candidate, of each round."""
    against: Mapping[str, str] = NOTHING
    """For a candidate, the one that its ratio is with."""
    goal: str = ""

    def median(self, name: str) -> float:
        return median(self.values[name])

    def shown(self, name: str) -> str:
        """The median, with its unit on the same line."""
        return f"{figure(self.median(name))}\N{NO-BREAK SPACE}{self.unit}".rstrip()

    def ratio(self, name: str) -> str:
        """To ``against``, round by round: the median, and the lowest and the highest."""
        pairs = zip(self.values[name], self.values[self.against[name]], strict=True)
        return spread([ours / theirs for ours, theirs in pairs if theirs])

    def ratios(self) -> str:
        """The ratios of all candidates, as text."""
        return "; ".join(f"{self.ratio(name)} of {other}" for name, other in self.against.items())


def of(
    what: str, unit: str, samples: Samples, key: str, against: Mapping[str, str] = NOTHING, goal: str = ""
) -> Measured:
    """One figure of all candidates."""
    values = {name: [result[key] for result in results] for name, results in samples.items()}
    return Measured(what, unit, values, against, goal)


class Benchmark(NamedTuple):
    """A benchmark's results, and where they were taken."""

    machine: str
    size: str
    seconds: float
    """How long it took."""
    measured: list[Measured]


Results = dict[str, Benchmark]
"""By the benchmark's name."""


def load() -> Results:
    def benchmark(kept: dict[str, Any]) -> Benchmark:
        return Benchmark(**{**kept, "measured": [Measured(**measured) for measured in kept["measured"]]})

    return {name: benchmark(kept) for name, kept in json.loads(FILE.read_text()).items()} if FILE.exists() else {}


def save(results: Results) -> None:
    kept = {
        name: {**found._asdict(), "measured": [_plain(measured)._asdict() for measured in found.measured]}
        for name, found in results.items()
    }
    FOLDER.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(kept, indent=1) + "\n")


def _plain(measured: Measured) -> Measured:
    """As JSON takes it. More digits would only be noise."""
    values = {name: [float(f"{value:.4g}") for value in found] for name, found in measured.values.items()}
    return measured._replace(values=values, against=dict(measured.against))


# -- As text


def figure(value: float) -> str:
    """Three digits that count, with thousands apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """The median, with the lowest and the highest round."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heading, ["---"] * len(heading), *rows])


def summary(measured: Iterable[Measured]) -> str:
    """All of it, as a table."""
    rows = (
        (
            each.what,
            ", ".join(f"{name} {figure(each.median(name))}" for name in each.values) + f" {each.unit}",
            each.ratios() or "-",
            each.goal or "-",
        )
        for each in measured
    )
    return table(("what", "figures", "ratios (lowest to highest round)", "goal"), rows)


def machine() -> str:
    """Where and with what figures are taken."""
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    where = f"{os.cpu_count()} cores, {_cpu_model()}, {platform.system()}"
    return f"{where}; Python {platform.python_version()}, {versions}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
