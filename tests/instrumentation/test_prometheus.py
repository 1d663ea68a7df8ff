"""The Prometheus hook, with the real client library and a registry of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from linq_typing import APITimeoutError, TypingEvent, TypingManager
from linq_typing.sandbox import Sandbox

prometheus = pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from linq_typing.instrumentation.prometheus import PrometheusHook  # noqa: E402 - it needs that

MakeManager = Callable[..., TypingManager]


@pytest.fixture
def registry() -> Any:
    return prometheus.CollectorRegistry()


def samples(registry: Any) -> dict[str, float]:
    """The samples by name and labels, as they are scraped."""
    text = prometheus.generate_latest(registry).decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def below(name: str, found: dict[str, float]) -> dict[str, float]:
    """A metric by its labels."""
    return {sample: value for sample, value in found.items() if sample.startswith(f"{name}{{")}


def gauges(registry: Any) -> dict[str, float]:
    """Those that are not 0."""
    found = samples(registry)
    names = ("sessions", "chats", "shown", "in_flight", "waiting", "suspended")
    return {name: value for name in names if (value := found[f"linq_typing_{name}"])}


def test_events_and_request_durations_are_exported(registry: Any, manager_events: Callable[[object], str]) -> None:
    """By kind, action and outcome; never by chat."""
    chat = manager_events(PrometheusHook(registry))
    found = samples(registry)
    assert below("linq_typing_events_total", found) == {
        'linq_typing_events_total{action="start",kind="failed"}': 1,
        'linq_typing_events_total{action="start",kind="started"}': 1,
        'linq_typing_events_total{action="start",kind="recovered"}': 1,
        'linq_typing_events_total{action="stop",kind="stopped"}': 1,
        'linq_typing_events_total{action="start",kind="refused"}': 1,
    }
    assert below("linq_typing_request_duration_seconds_count", found) == {
        'linq_typing_request_duration_seconds_count{action="start",outcome="failed"}': 1,
        'linq_typing_request_duration_seconds_count{action="start",outcome="accepted"}': 1,
        'linq_typing_request_duration_seconds_count{action="stop",outcome="accepted"}': 1,
        'linq_typing_request_duration_seconds_count{action="start",outcome="refused"}': 1,
    }
    assert found['linq_typing_request_duration_seconds_sum{action="start",outcome="accepted"}'] > 0
    assert chat not in prometheus.generate_latest(registry).decode()


def test_an_event_that_ends_no_request_is_no_duration(registry: Any) -> None:
    """gave_up has the number of the attempt, too, whose failure was told before."""
    hook = PrometheusHook(registry)
    hook(TypingEvent("gave_up", "chat", "stop", APITimeoutError("none"), attempt=5))
    hook(TypingEvent("shared", ""))
    found = samples(registry)
    assert found['linq_typing_events_total{action="stop",kind="gave_up"}'] == 1
    assert found['linq_typing_events_total{action="",kind="shared"}'] == 1
    assert not any("duration" in name for name in found)


def test_gauges_are_sums_over_the_managers_that_have_the_hook(
    linq: Sandbox, registry: Any, make_manager: MakeManager
) -> None:
    """One hook for all, or one for each; a manager without it does not count."""
    hook = PrometheusHook(registry)
    first, second = make_manager(on_event=hook), make_manager(on_event=[print, PrometheusHook(registry)])
    stranger = make_manager()
    chats = [linq.chat() for _ in range(3)]
    with first.typing_while(chats[0]), second.typing_while(chats[1]), stranger.typing_while(chats[2]):
        assert linq.wait_until(lambda: gauges(registry) == {"sessions": 2, "chats": 2, "shown": 2})
    first.close()
    second.close()
    assert gauges(registry) == {}


def test_registries_are_apart(registry: Any) -> None:
    other = prometheus.CollectorRegistry()
    PrometheusHook(registry)(TypingEvent("alone", ""))
    PrometheusHook(other)
    assert 'linq_typing_events_total{action="",kind="alone"}' in samples(registry)
    assert 'linq_typing_events_total{action="",kind="alone"}' not in samples(other)


def test_the_default_is_the_registry_of_start_http_server() -> None:
    assert PrometheusHook() == PrometheusHook(prometheus.REGISTRY)
    assert samples(prometheus.REGISTRY)["linq_typing_sessions"] == 0
