"""Metrics for :mod:`.prometheus` and :mod:`.opentelemetry`: a hook for ``on_event`` each, and an extra of its name.

Here is what the two have in common. Nothing is labelled with a chat id: there are too many.
"""

from __future__ import annotations

from typing import Final

from linq_typing._manager import managers_with
from linq_typing.events import EventHook, EventKind, Stats, TypingEvent

#: What is exported of :class:`linq_typing.Stats`, as sums over managers. Its counters are not: they start afresh with
#: each manager, and the events tell the same.
GAUGES: Final = {
    "sessions": "Open sessions.",
    "chats": "Chats with a session, a request, a message on its way, or a refusal to remember.",
    "shown": "Chats whose indicator may be up.",
    "in_flight": "Requests under way.",
    "waiting": "Chats that wait for a place to make a request.",
    "suspended": "Managers that hold back all starts: a bad key, or an API that is down.",
}

_OUTCOMES: Final[dict[EventKind, str]] = {
    "started": "accepted",
    "refreshed": "accepted",
    "stopped": "accepted",
    "refused": "refused",
    "failed": "failed",
}


def outcome_of(event: TypingEvent) -> str | None:
    """The outcome of the request that has just ended: accepted, refused or failed. None: none has.

    ``gave_up`` is about a request whose failure was told before.
    """
    return _OUTCOMES.get(event.kind)


def stats_of(hook: EventHook) -> list[Stats]:
    """The numbers of each manager that has this hook, or one equal to it."""
    return [manager.stats() for manager in managers_with(hook)]
