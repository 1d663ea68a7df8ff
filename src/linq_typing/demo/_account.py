"""What was asked of the API, read out of a timeline. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal

from linq_typing.sandbox import Request, Timeline

Kind = Literal["start", "refresh", "retry", "stop", "message", "other"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A request, and what it was for."""

    kind: Kind
    request: Request
    waited: float = 0.0
    """For a retry: how long after the failure."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests, and what for."""

    requests: int = 0
    starts: int = 0
    refreshes: int = 0
    retries: int = 0
    stops: int = 0
    messages: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def entries(timeline: Timeline) -> tuple[Entry, ...]:
    """The requests of a chat in the order of their arrival, each with what it was for."""
    found: list[Entry] = []
    up = False  # a start was accepted, and nothing has taken the indicator away since
    failed: Request | None = None  # the start before, if it failed
    for request in timeline.requests:
        found.append(_entry(request, up, failed))
        if request.endpoint == "start":
            up = up or request.accepted
            failed = None if request.accepted or request.outcome == "pending" else request
        elif request.endpoint in ("stop", "send") and request.accepted:
            up = False
    return tuple(found)


def _entry(request: Request, up: bool, failed: Request | None) -> Entry:
    if request.endpoint == "start" and failed is not None:
        return Entry("retry", request, request.received_at - (failed.ended_at or failed.received_at))
    if request.endpoint == "start":
        return Entry("refresh" if up else "start", request)
    if request.endpoint == "send":
        return Entry("message", request)
    return Entry("stop" if request.endpoint == "stop" else "other", request)


def tally(timeline: Timeline) -> Tally:
    """The requests of a chat, counted."""
    count = Counter(entry.kind for entry in entries(timeline))
    return Tally(
        len(timeline.requests), count["start"], count["refresh"], count["retry"], count["stop"], count["message"]
    )


def is_ghost(timeline: Timeline, work_ended_at: float) -> bool:
    """Whether the indicator was left showing: it still is, or nothing but Linq's own time-out has ended it."""
    left_alone = any(s.ended_by == "expired" and (s.until or 0) > work_ended_at for s in timeline.showings)
    return timeline.visible or left_alone


def longest_gap(beats: Sequence[float], now: float) -> tuple[float, float]:
    """The longest time between two beats, the one that lasts until now included."""
    times = (*beats, now)
    return max(pairwise(times), key=lambda gap: gap[1] - gap[0], default=(now, now))


def within(found: Iterable[Entry], kind: Kind, since: float, until: float) -> int:
    """How many requests of that kind arrived between the two times."""
    return sum(entry.kind == kind and since < entry.request.received_at < until for entry in found)
