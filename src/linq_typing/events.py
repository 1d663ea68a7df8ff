"""Events and statistics, for metrics and logs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from ._linq import BAD_KEY
from .errors import APIStatusError, ConfigurationError, LinqTypingError

__all__ = ["EventHook", "EventKind", "Stats", "TypingEvent"]

logger = logging.getLogger("linq_typing")

EventKind = Literal[
    "started",
    "refreshed",
    "stopped",
    "message_sent",
    "refused",
    "failed",
    "gave_up",
    "recovered",
    "expired",
    "suspended",
    "congested",
    "shared",
    "alone",
]


@dataclass(frozen=True, slots=True)
class TypingEvent:
    """Something that happened to a chat's indicator.

    Attributes:
        kind: ``started``, ``refreshed``, ``stopped``: the API accepted that request. ``message_sent``: a message
            went out in a chat with a session. ``failed``: an attempt failed. ``refused``: the API will never accept
            the request for this chat. ``gave_up``: the retries of a request have run out; for a stop it means that a
            ghost is likely, for up to 90 s. ``recovered``: the first success after a failure. ``expired``: a session
            lasted ``max_duration``. ``suspended``: starts are held back in all chats, because the key is bad or the
            API is down. ``congested``, once: a refresh waited for a free connection for more than a quarter of its
            interval; ``error`` says which ``max_connections`` is needed. ``shared``, ``alone``: with ``redis=``, this
            process coordinates with the others from now on, or works alone because Redis does not answer.
        chat_id: the chat's canonical UUID text; empty for ``congested``, ``shared`` and ``alone``, which concern all
            chats.
        action: the request that the event is about, ``"start"`` or ``"stop"``; None if there is none.
        error: what went wrong, or None.
        attempt: the number of the attempt, from 1; 0 where no request was made.
        elapsed: seconds from the request to its answer; 0.0 where no request was made.
    """

    kind: EventKind
    chat_id: str
    action: Literal["start", "stop"] | None = None
    error: LinqTypingError | None = None
    attempt: int = 0
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Stats:
    """A manager's statistics.

    Attributes:
        sessions: open sessions.
        chats: chats with a session, a request, a message in flight, or something to remember.
        shown: chats whose indicator may be up, as far as the library knows.
        in_flight: requests in flight.
        waiting: chats whose request waits for a free connection.
        requests: requests that have ended, by outcome: accepted, unknown (5xx), no_answer, not_applied, refused.
        retries: how many of them were not the first attempt.
        suspended: whether starts are held back for the whole manager.
        sharing: with ``redis=``, whether chats are shared with other processes: ``"connecting"``, ``"shared"`` or
            ``"alone"``. None without ``redis=``, and before the first session.
    """

    sessions: int = 0
    chats: int = 0
    shown: int = 0
    in_flight: int = 0
    waiting: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    suspended: bool = False
    sharing: Literal["connecting", "shared", "alone"] | None = None


#: Called with each event on the library's own thread, so it must be quick and never block. Its exceptions are logged.
EventHook = Callable[[TypingEvent], object]

_REMEMBERED: Final = 10_000


class Failing:
    """The chats whose last request failed: the latest 10,000 of them."""

    def __init__(self) -> None:
        self._chats: dict[str, None] = {}  # in order of their first failure

    def add(self, chat_id: str) -> bool:
        """Returns whether it is the chat's first failure since its last success."""
        if chat_id in self._chats:
            return False
        self._chats[chat_id] = None
        if len(self._chats) > _REMEMBERED:
            del self._chats[next(iter(self._chats))]
        return True

    def discard(self, chat_id: str) -> bool:
        """Returns whether the chat was failing."""
        return self._chats.pop(chat_id, False) is None


_TEXTS: Final = {
    "failed": "typing {} failed",
    "refused": "typing {} refused",
    "gave_up": "gave up the typing {}",
    "message_sent": "message sent",
}


_OF_ALL_CHATS: Final = {
    "suspended": "typing indicators suspended in all chats",
    "congested": "typing indicators may disappear for a while",
    "shared": "typing indicators are shared with other processes",
    "alone": "typing indicators are not shared with other processes",
}


_LEVELS: Final = {
    "congested": logging.WARNING,
    "expired": logging.WARNING,
    "recovered": logging.INFO,
    "shared": logging.INFO,
}


class LoggingHook:
    """Logs to ``logging.getLogger("linq_typing")``: what operators should see at INFO or above, the rest at DEBUG.

    A chat's first failure is logged as a WARNING, the following ones at DEBUG, until a request succeeds.
    """

    def __init__(self) -> None:
        self._failing = Failing()

    def __call__(self, event: TypingEvent) -> None:
        level = self._level(event)
        if event.kind in _OF_ALL_CHATS:
            logger.log(level, "%s%s", _OF_ALL_CHATS[event.kind], _details(event))
        elif logger.isEnabledFor(level):
            text = _TEXTS.get(event.kind, f"typing indicator {event.kind}")
            logger.log(level, "%s in chat %s%s", text.format(event.action), event.chat_id, _details(event))

    def _level(self, event: TypingEvent) -> int:
        if event.kind == "suspended":
            return logging.ERROR if is_bad_key(event.error) else logging.WARNING
        if event.kind == "alone":
            return logging.ERROR if isinstance(event.error, ConfigurationError) else logging.WARNING
        if event.kind in ("failed", "refused") and not is_bad_key(event.error):
            return logging.WARNING if self._failing.add(event.chat_id) else logging.DEBUG
        if event.kind == "gave_up":
            return logging.WARNING if event.action == "stop" else logging.DEBUG
        if event.kind in ("started", "refreshed", "stopped"):
            self._failing.discard(event.chat_id)
        return _LEVELS.get(event.kind, logging.DEBUG)


def is_bad_key(error: LinqTypingError | None) -> bool:
    """Whether the API does not know the key, which affects all chats, not just one."""
    return isinstance(error, APIStatusError) and error.status_code == BAD_KEY


def _details(event: TypingEvent) -> str:
    attempt = f", attempt {event.attempt}" if event.attempt else ""
    return attempt if event.error is None else f"{attempt}: {event.error}"
