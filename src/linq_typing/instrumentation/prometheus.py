"""Prometheus: ``configure(on_event=PrometheusHook())``. Needs ``pip install "linq-typing[prometheus]"``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from linq_typing.events import TypingEvent
from linq_typing.instrumentation import GAUGES, outcome_of, stats_of

__all__ = ["PrometheusHook"]


@dataclass(frozen=True)
class PrometheusHook:
    """Exports the events and the ``stats()`` of all managers that have it as their ``on_event``.

    - ``linq_typing_events_total``, by ``kind`` and ``action``
    - ``linq_typing_request_duration_seconds``, by ``action`` and ``outcome`` (accepted, refused, failed)
    - ``linq_typing_sessions``, ``_chats``, ``_shown``, ``_in_flight``, ``_waiting``, ``_suspended``: sums over the
      managers, taken at each scrape. (In prometheus_client's multiprocess mode there are none of these.)

    Give the same hook to several managers, or make one for each: hooks of one registry count together.
    """

    registry: CollectorRegistry = REGISTRY

    def __post_init__(self) -> None:
        _metrics(self)

    def __call__(self, event: TypingEvent) -> None:
        """Count the event."""
        events, durations = _metrics(self)
        events.labels(event.kind, event.action or "").inc()
        if outcome := outcome_of(event):
            durations.labels(event.action, outcome).observe(event.elapsed)


class _StatsCollector(Collector):
    def __init__(self, hook: PrometheusHook) -> None:
        self._hook = hook

    def collect(self) -> Iterator[GaugeMetricFamily]:
        all_stats = stats_of(self._hook)
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"linq_typing_{name}", text, value=sum(getattr(each, name) for each in all_stats))


@functools.cache  # a registry takes each name once
def _metrics(hook: PrometheusHook) -> tuple[Counter, Histogram]:
    registry = hook.registry
    registry.register(_StatsCollector(hook))
    return (
        Counter("linq_typing_events", "What happened to indicators.", ["kind", "action"], registry=registry),
        Histogram("linq_typing_request_duration_seconds", "Typing requests.", ["action", "outcome"], registry=registry),
    )
