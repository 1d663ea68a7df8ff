"""The table that the benchmarks end with, and the machine that it was taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NamedTuple

OURS = ("linq-typing", "httpx", "httpcore", "anyio", "sniffio", "tenacity")
PEERS = ("aiogram", "discord.py", "hikari", "httpx-aiohttp", "aiohttp")


class Row(NamedTuple):
    """One line of the table, as text."""

    what: str
    others: str
    ours: str
    ratio: str
    reach: str


HEADING = Row("what", "floors and peers", "linq-typing", "ratio (lowest to highest round)", "goal")


def figure(value: float) -> str:
    """Three digits that count, with thousands apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def listed(figures: Mapping[str, float], unit: str) -> str:
    return ", ".join(f"{name} {figure(value)}" for name, value in figures.items()) + f" {unit}"


def spread(values: Sequence[float]) -> str:
    """The median, and between what the rounds lay."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def markdown(rows: Iterable[Row]) -> str:
    lines = [_line(HEADING), _line(["---"] * len(HEADING)), *map(_line, rows)]
    return "\n".join([*lines, "", machine()])


def machine() -> str:
    """Where and with what the figures were taken."""
    versions = ", ".join(f"{name} {_version(name)}" for name in (*OURS, *PEERS))
    where = f"{os.cpu_count()} cores, {_cpu_model()}, {platform.system()}"
    return f"{where}; Python {platform.python_version()}, {versions}."


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
