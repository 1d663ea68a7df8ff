"""`examples/metrics.py` as its users run it: against the sandbox, scraped over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from linq_typing.sandbox import Sandbox
from ports import reserved_port

from .kit import Example

pytest.importorskip("prometheus_client")


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


def scraped(port: int) -> dict[str, float]:
    """The samples by name and labels; none while nobody listens yet."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60, trust_env=False).text
    except httpx.HTTPError:
        return {}
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("linq_typing_")]
    return {name: float(value) for name, value in lines}


def test_events_and_stats_are_exported(linq: Sandbox, chat: str, hold: Path, port: int) -> None:
    linq.fail("start", status=500, times=1)
    with Example("metrics.py", linq, chat, hold, METRICS_PORT=str(port)) as example:
        assert linq.wait_until(lambda: scraped(port).get("linq_typing_shown") == 1)
        example.answer_once_it_shows()
        assert linq.wait_until(lambda: scraped(port).get('linq_typing_events_total{action="stop",kind="stopped"}') == 1)
        assert linq.wait_until(lambda: scraped(port)["linq_typing_shown"] == 0)  # the event is told just before
        samples = scraped(port)
        example.type("")
        assert "You said" in example.finish()
    assert samples['linq_typing_events_total{action="start",kind="failed"}'] == 1
    assert samples['linq_typing_events_total{action="start",kind="started"}'] == 1
    requests = "linq_typing_request_duration_seconds_count"
    assert samples[f'{requests}{{action="start",outcome="failed"}}'] == 1
    assert samples[f'{requests}{{action="start",outcome="accepted"}}'] == 1
    assert samples[f'{requests}{{action="stop",outcome="accepted"}}'] == 1
    assert [samples[f"linq_typing_{name}"] for name in ("sessions", "shown", "in_flight", "suspended")] == [0, 0, 0, 0]
