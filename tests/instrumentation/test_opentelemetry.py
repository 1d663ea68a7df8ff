"""The OpenTelemetry hook, with the real SDK in memory, alone and beside the official instrumentation of httpx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from linq_typing import APITimeoutError, TypingEvent, TypingManager
from linq_typing._engine import process
from linq_typing.sandbox import Sandbox

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from linq_typing.instrumentation.opentelemetry import OpenTelemetryHook

MakeManager = Callable[..., TypingManager]


class Metrics:
    """What a provider's instruments have measured."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def read(self) -> dict[str, Any]:
        """By name."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str, field: str) -> dict[tuple[str, ...], Any]:
        """A field of each point of a metric, by its attributes."""
        found = {}
        for point in self.read()[name].data.data_points:
            attributes = tuple(f"{key}={value}" for key, value in sorted(point.attributes.items()))
            found[attributes] = getattr(point, field)
        return found

    def gauges(self) -> dict[str, int]:
        """The up-down counters that are not 0."""
        found = {name: metric for name, metric in self.read().items() if not getattr(metric.data, "is_monotonic", True)}
        return {name: value for name, metric in found.items() if (value := metric.data.data_points[0].value)}


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics()
    yield metrics
    metrics.provider.shutdown()


def test_events_and_request_durations_are_exported(metrics: Metrics, manager_events: Callable[[object], str]) -> None:
    """By kind, action, outcome and error.type; never by chat."""
    chat = manager_events(OpenTelemetryHook(metrics.provider))
    start, stop = "linq_typing.action=start", "linq_typing.action=stop"
    assert metrics.points("linq_typing.events", "value") == {
        (start, "linq_typing.event.kind=failed"): 1,
        (start, "linq_typing.event.kind=started"): 1,
        (start, "linq_typing.event.kind=recovered"): 1,
        (stop, "linq_typing.event.kind=stopped"): 1,
        (start, "linq_typing.event.kind=refused"): 1,
    }
    assert metrics.points("linq_typing.request.duration", "count") == {
        ("error.type=503", start, "linq_typing.outcome=failed"): 1,
        (start, "linq_typing.outcome=accepted"): 1,
        (stop, "linq_typing.outcome=accepted"): 1,
        ("error.type=403", start, "linq_typing.outcome=refused"): 1,
    }
    assert metrics.points("linq_typing.request.duration", "sum")[(start, "linq_typing.outcome=accepted")] > 0
    assert chat not in str(metrics.read())


def test_units_and_buckets_are_those_of_the_conventions(metrics: Metrics) -> None:
    """The SDK's own buckets are made for milliseconds."""
    hook = OpenTelemetryHook(metrics.provider)
    hook(TypingEvent("failed", "chat", "stop", APITimeoutError("none"), attempt=1, elapsed=5.0))
    units = {name: metric.unit for name, metric in metrics.read().items()}
    assert units == {
        "linq_typing.events": "{event}",
        "linq_typing.request.duration": "s",
        "linq_typing.session.count": "{session}",
        "linq_typing.chat.count": "{chat}",
        "linq_typing.indicator.count": "{indicator}",
        "linq_typing.active_requests": "{request}",
        "linq_typing.pending_requests": "{request}",
        "linq_typing.suspended_managers": "{manager}",
    }
    [(attributes, bounds)] = metrics.points("linq_typing.request.duration", "explicit_bounds").items()
    assert attributes == ("error.type=APITimeoutError", "linq_typing.action=stop", "linq_typing.outcome=failed")
    assert (bounds[0], bounds[-1]) == (0.005, 10)


def test_an_event_that_ends_no_request_is_no_duration(metrics: Metrics) -> None:
    """gave_up has the number of the attempt, too, whose failure was told before."""
    hook = OpenTelemetryHook(metrics.provider)
    hook(TypingEvent("gave_up", "chat", "stop", APITimeoutError("none"), attempt=5))
    hook(TypingEvent("shared", ""))
    assert metrics.points("linq_typing.events", "value") == {
        ("linq_typing.action=stop", "linq_typing.event.kind=gave_up"): 1,
        ("linq_typing.event.kind=shared",): 1,
    }
    assert "linq_typing.request.duration" not in metrics.read()


def test_up_down_counters_are_sums_over_the_managers_that_have_the_hook(
    linq: Sandbox, metrics: Metrics, make_manager: MakeManager
) -> None:
    """One hook for all, or one for each; a manager without it does not count."""
    hook = OpenTelemetryHook(metrics.provider)
    first, second = make_manager(on_event=hook), make_manager(on_event=[print, OpenTelemetryHook(metrics.provider)])
    stranger = make_manager()
    chats = [linq.chat() for _ in range(3)]
    with first.typing_while(chats[0]), second.typing_while(chats[1]), stranger.typing_while(chats[2]):
        expected = dict.fromkeys((f"linq_typing.{name}.count" for name in ("session", "chat", "indicator")), 2)
        assert linq.wait_until(lambda: metrics.gauges() == expected)
    first.close()
    second.close()
    assert metrics.gauges() == {}


# -- Beside the instrumentation of httpx


class Tracing(NamedTuple):
    provider: TracerProvider
    exporter: InMemorySpanExporter

    def spans(self, suffix: str) -> list[ReadableSpan]:
        """The finished spans of requests to URLs that end so."""
        spans = self.exporter.get_finished_spans()
        return [span for span in spans if str((span.attributes or {}).get("http.url")).endswith(suffix)]


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing(TracerProvider(), InMemorySpanExporter())
    tracing.provider.add_span_processor(SimpleSpanProcessor(tracing.exporter))
    yield tracing
    tracing.provider.shutdown()


@pytest.fixture
def instrumentor() -> Any:
    """The official one."""
    reason = "opentelemetry-instrumentation-httpx is not installed"
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.httpx", reason=reason)
    return instrumentation.HTTPXClientInstrumentor()


@pytest.fixture
def instrumented(instrumentor: Any, tracing: Tracing, metrics: Metrics) -> Iterator[None]:
    """All of httpx is."""
    instrumentor.instrument(tracer_provider=tracing.provider, meter_provider=metrics.provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def new_thread(monkeypatch: pytest.MonkeyPatch, threads_inherit_contexts: None) -> Iterator[None]:
    """The library's thread is started by the test, and would inherit its context."""
    monkeypatch.setattr(process, "_current", None)
    yield
    if process._current is not None:
        process._current.shut_down(60.0)


@pytest.mark.usefixtures("new_thread", "instrumented")
def test_typing_requests_are_no_children_of_the_users_spans(
    linq: Sandbox, make_manager: MakeManager, metrics: Metrics, tracing: Tracing
) -> None:
    """Each is a trace of its own, and is counted once; the user's own request stays a child."""
    chat = linq.chat()
    manager = make_manager(on_event=OpenTelemetryHook(metrics.provider))
    tracer = tracing.provider.get_tracer("bot")
    with httpx.Client(base_url=linq.base_url, timeout=60, trust_env=False) as client:
        with tracer.start_as_current_span("reply") as reply, manager.typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
            client.post("/v3/else")
        manager.flush(60)
    typing = tracing.spans("/typing")
    assert [(span.name, span.parent) for span in typing] == [("POST", None), ("DELETE", None)]
    assert len({span.context.trace_id for span in typing}) == 2
    [own] = tracing.spans("/v3/else")
    assert own.parent is not None
    assert own.parent.span_id == reply.get_span_context().span_id
    assert sum(metrics.points("linq_typing.request.duration", "count").values()) == 2


def test_typing_requests_can_be_left_out_of_the_traces(
    linq: Sandbox, make_manager: MakeManager, tracing: Tracing, instrumentor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the instrumentation's own setting."""
    monkeypatch.setenv("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "/typing$")
    instrumentor.instrument(tracer_provider=tracing.provider)
    try:
        chat, manager = linq.chat(), make_manager()
        with manager.typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
        manager.close()
    finally:
        instrumentor.uninstrument()
    assert tracing.exporter.get_finished_spans() == ()


@pytest.mark.parametrize("watched_first", [True, False])
def test_a_client_that_is_watched_and_instrumented_does_both(
    linq: Sandbox, make_manager: MakeManager, tracing: Tracing, instrumentor: Any, watched_first: bool
) -> None:
    """In either order, for one message: one span, one message noticed."""
    chat, kinds = linq.chat(), []
    manager = make_manager(on_event=lambda event: kinds.append(event.kind))
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    with httpx.Client(base_url=linq.base_url, headers=headers, timeout=60, trust_env=False) as client:
        if watched_first:
            manager.watch(client)
        instrumentor.instrument_client(client, tracer_provider=tracing.provider)
        manager.watch(client)
        with manager.typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat) and not manager.stats().in_flight)
            message = {"message": {"parts": [{"type": "text", "value": "Hello!"}]}}
            client.post(f"/v3/chats/{chat}/messages", json=message).raise_for_status()
        manager.close()
    assert kinds == ["started", "message_sent"]
    assert len(tracing.spans("/messages")) == 1
    assert tracing.spans("/typing") == []
