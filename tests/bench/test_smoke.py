"""Every benchmark runs at its smallest size and prints figures. How fast anything is, is not tested."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from sharing.servers import executables

ROOT = Path(__file__).parents[2]
EXTRA = ("aiogram", "discord", "hikari", "httpx_aiohttp", "matplotlib", "psutil", "redis", "trustme")

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
def test_prints_figures(name: str) -> None:
    if name in ("redis", "crowd") and not executables():
        pytest.skip("no Redis server here")
    rows = [line.split(" | ") for line in run("tests.bench", name, "--smoke").splitlines() if line.startswith("| ")]
    heading, _, *figures = rows
    assert all(len(row) == len(heading) for row in figures)
    assert any(map(str.isdigit, figures[0][1]))
    assert "nan" not in figures[0][1]


def test_soak_of_a_few_seconds_finds_nothing_wrong(tmp_path: Path) -> None:
    plot = tmp_path / "soak.svg"
    assert "nothing wrong" in run("tests.bench.soak", "--seconds", "4", "--chats", "50", "--plot", str(plot))
    assert "</svg>" in plot.read_text()
