"""Prometheus metrics: a manager's events as counters, its `stats()` as gauges, read at each scrape.

Set LINQ_API_V3_API_KEY, LINQ_CHAT_ID and perhaps METRICS_PORT, then: python examples/metrics.py
and look at http://localhost:9464/metrics
"""

import os
from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fake_llm import answer
from linq_typing import TypingEvent, TypingManager

EVENTS = Counter("linq_typing_events", "What happened to indicators.", ["kind"])
SECONDS = Histogram("linq_typing_request_seconds", "From a request to its answer.", ["kind"])


def count(event: TypingEvent) -> None:
    """The hook. No chat id as a label: there are too many."""
    EVENTS.labels(event.kind).inc()
    if event.attempt:
        SECONDS.labels(event.kind).observe(event.elapsed)


class StatsCollector(Collector):
    """Asks the manager when it is scraped, so that nothing is counted twice or grows stale."""

    def __init__(self, manager: TypingManager) -> None:
        self._manager = manager

    def collect(self) -> Iterator[Metric]:
        stats = self._manager.stats()
        for name in ("sessions", "chats", "shown", "in_flight", "waiting", "suspended"):
            yield GaugeMetricFamily(f"linq_typing_{name}", f"stats().{name}", value=float(getattr(stats, name)))
        yield CounterMetricFamily("linq_typing_retries", "Attempts after a first.", value=stats.retries)
        requests = CounterMetricFamily("linq_typing_requests", "Requests that have ended.", labels=["outcome"])
        for outcome, number in stats.requests.items():
            requests.add_metric([outcome], number)
        yield requests


def main() -> None:
    start_http_server(int(os.environ.get("METRICS_PORT", "9464")))
    with TypingManager(on_event=count) as manager:
        REGISTRY.register(StatsCollector(manager))
        with manager.typing_while(os.environ["LINQ_CHAT_ID"]):
            print(answer("What is a metric?"), flush=True)
        manager.flush()
        input("Return ends it. ")


if __name__ == "__main__":
    main()
