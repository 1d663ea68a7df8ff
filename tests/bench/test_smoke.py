"""Every benchmark runs at its smallest size and prints a ratio. How fast anything is, is not tested."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from sharing.servers import executables

ROOT = Path(__file__).parents[2]
EXTRA = ("aiogram", "discord", "hikari", "httpx_aiohttp", "matplotlib", "psutil", "redis")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(importlib.util.find_spec, EXTRA)), reason="needs the extra `bench`"),
]


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name", ["enter", "memory", "requests", "first", "reply", "leaving", "imports", "hold", "redis", "crowd"]
)
def test_prints_a_ratio(name: str, tmp_path: Path) -> None:
    if name in ("redis", "crowd") and not executables():
        pytest.skip("no Redis server here")
    table = tmp_path / "table.md"
    printed = run("tests.bench", name, "--smoke", "--markdown", str(table))
    rows = [line for line in table.read_text().splitlines() if line.startswith("| ")][2:]
    assert rows
    assert all(row in printed for row in rows)
    assert any(" of " in row.split(" | ")[3] for row in rows)


def test_soak_of_a_few_seconds_finds_nothing_wrong(tmp_path: Path) -> None:
    plot = tmp_path / "soak.svg"
    assert "nothing wrong" in run("tests.bench.soak", "--seconds", "4", "--chats", "50", "--plot", str(plot))
    assert "</svg>" in plot.read_text()
