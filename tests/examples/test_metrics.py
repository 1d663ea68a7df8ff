"""`examples/metrics.py` as its users run it: against the sandbox, scraped over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from linq_typing.sandbox import Sandbox

pytest.importorskip("prometheus_client")

EXAMPLE = Path(__file__).parents[2] / "examples" / "metrics.py"


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number


@pytest.fixture
def example(linq: Sandbox, port: int) -> Iterator[subprocess.Popen[str]]:
    linq.fail("start", status=500, times=1)
    variables = {**linq.env(), "LINQ_CHAT_ID": linq.chat(), "METRICS_PORT": str(port), "FAKE_LLM_SECONDS": "1.5"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LINQ_", "COV_"))}
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "error", str(EXAMPLE)]
    process = subprocess.Popen(command, env=inherited | variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    yield process
    process.kill()
    process.communicate()


def scraped(port: int) -> dict[str, float]:
    """The samples by name and labels; none while nobody listens yet."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    except httpx.HTTPError:
        return {}
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("linq_typing_")]
    return {name: float(value) for name, value in lines}


def test_events_and_stats_are_exported(linq: Sandbox, example: subprocess.Popen[str], port: int) -> None:
    assert linq.wait_until(lambda: scraped(port).get("linq_typing_shown") == 1, timeout=15)
    assert linq.wait_until(lambda: scraped(port).get('linq_typing_events_total{kind="stopped"}') == 1, timeout=15)
    samples = scraped(port)
    assert samples['linq_typing_events_total{kind="failed"}'] == 1
    assert samples['linq_typing_events_total{kind="started"}'] == 1
    assert samples['linq_typing_request_seconds_count{kind="started"}'] == 1
    assert samples['linq_typing_requests_total{outcome="accepted"}'] == 2
    assert samples['linq_typing_requests_total{outcome="unknown"}'] == 1
    assert samples["linq_typing_retries_total"] == 1
    assert [samples[f"linq_typing_{name}"] for name in ("sessions", "shown", "in_flight", "suspended")] == [0, 0, 0, 0]
    out, err = example.communicate("\n", timeout=15)
    assert example.returncode == 0, err
    assert "You said" in out
    assert "Traceback" not in err
