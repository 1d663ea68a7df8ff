"""The requests of a timeline, by kind, and counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

from linq_typing.sandbox import Request, Timeline

Kind = Literal["start", "refresh", "retry", "stop", "message", "other"]

PLURALS: Final[dict[Kind, str]] = {
    "start": "starts",
    "refresh": "refreshes",
    "retry": "retries",
    "stop": "stops",
    "message": "messages",
}


def kinds(timeline: Timeline) -> Iterator[tuple[Kind, Request]]:
    """The requests in the order of arrival.

    A start is a retry after one that failed, and a refresh after one that was accepted, until a stop or a message.
    """
    up = failed = False
    for request in timeline.requests:
        if request.endpoint == "start":
            yield "retry" if failed else "refresh" if up else "start", request
            up = up or request.accepted
            failed = not request.accepted and request.outcome != "pending"
        elif request.endpoint in ("stop", "send"):
            yield "stop" if request.endpoint == "stop" else "message", request
            up = up and not request.accepted
        else:
            yield "other", request


def count(timeline: Timeline) -> Counter[Kind]:
    """How many requests there are of each kind."""
    return Counter(kind for kind, _ in kinds(timeline))


def in_words(counts: Counter[Kind]) -> str:
    """As in `1 start, 2 refreshes, 1 stop`."""
    found = ((counts[kind], kind if counts[kind] == 1 else plural) for kind, plural in PLURALS.items())
    return ", ".join(f"{number} {name}" for number, name in found if number) or "no requests"
