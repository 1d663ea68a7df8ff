"""OpenTelemetry: ``configure(on_event=OpenTelemetryHook())``. Needs ``pip install "linq-typing[opentelemetry]"``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, MeterProvider, Observation, get_meter

from linq_typing.errors import APIStatusError, LinqTypingError
from linq_typing.events import TypingEvent
from linq_typing.instrumentation import GAUGES, outcome_of, stats_of

__all__ = ["OpenTelemetryHook"]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)  # as HTTP's
_NAMES_AND_UNITS: Final = {
    "sessions": ("linq_typing.session.count", "{session}"),
    "chats": ("linq_typing.chat.count", "{chat}"),
    "shown": ("linq_typing.indicator.count", "{indicator}"),
    "in_flight": ("linq_typing.active_requests", "{request}"),
    "waiting": ("linq_typing.pending_requests", "{request}"),
    "suspended": ("linq_typing.suspended_managers", "{manager}"),
}


@dataclass(frozen=True)
class OpenTelemetryHook:
    """Exports the events and the ``stats()`` of all managers that have it as their ``on_event``.

    - ``linq_typing.events``, a counter by ``linq_typing.event.kind`` and ``linq_typing.action``
    - ``linq_typing.request.duration``, a histogram in seconds by ``linq_typing.action``, ``linq_typing.outcome``
      (accepted, refused, failed) and, of those not accepted, ``error.type`` (the status, or the name of the error)
    - ``linq_typing.session.count``, ``.chat.count``, ``.indicator.count``, ``.active_requests``,
      ``.pending_requests``, ``.suspended_managers``: observable up-down counters, sums over the managers

    Give the same hook to several managers, or make one for each: hooks of one provider count together. Default: the
    global provider. There are no spans: each typing request is a trace of its own, if httpx is instrumented.
    """

    meter_provider: MeterProvider | None = None

    def __post_init__(self) -> None:
        _instruments(self)

    def __call__(self, event: TypingEvent) -> None:
        """Count the event."""
        events, durations = _instruments(self)
        action = {"linq_typing.action": event.action} if event.action else {}
        events.add(1, {"linq_typing.event.kind": event.kind, **action})
        if outcome := outcome_of(event):
            durations.record(event.elapsed, {**action, "linq_typing.outcome": outcome, **_error_type(event.error)})


def _error_type(error: LinqTypingError | None) -> dict[str, str]:
    if error is None:
        return {}
    return {"error.type": str(error.status_code) if isinstance(error, APIStatusError) else type(error).__qualname__}


@functools.cache  # an observable instrument takes no second callback
def _instruments(hook: OpenTelemetryHook) -> tuple[Counter, Histogram]:
    meter = get_meter("linq_typing", meter_provider=hook.meter_provider)

    def observe(field: str, _: CallbackOptions) -> Iterator[Observation]:
        yield Observation(sum(getattr(stats, field) for stats in stats_of(hook)))

    for field, (name, unit) in _NAMES_AND_UNITS.items():
        callbacks = [functools.partial(observe, field)]
        meter.create_observable_up_down_counter(name, callbacks, unit=unit, description=GAUGES[field])
    return (
        meter.create_counter("linq_typing.events", "{event}", "What happened to indicators."),
        meter.create_histogram(
            "linq_typing.request.duration", "s", "Typing requests.", explicit_bucket_boundaries_advisory=_SECONDS
        ),
    )
