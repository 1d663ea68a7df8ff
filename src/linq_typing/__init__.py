"""Keeps the iMessage typing indicator showing while a Linq bot works, and gone the moment it is done."""

from ._default import aclose, aflush, close, configure, flush, mark_sent, observe, stats, typing_while, watch
from ._manager import TypingManager
from ._sends import unwatch_all, watch_all
from ._session import TypingSession, current_session
from ._typing_while import TypingWhile
from .errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    LinqTypingError,
)
from .events import EventHook, Stats, TypingEvent

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "ConfigurationError",
    "EventHook",
    "LinqTypingError",
    "Stats",
    "TypingEvent",
    "TypingManager",
    "TypingSession",
    "TypingWhile",
    "aclose",
    "aflush",
    "close",
    "configure",
    "current_session",
    "flush",
    "mark_sent",
    "observe",
    "stats",
    "typing_while",
    "unwatch_all",
    "watch",
    "watch_all",
]

for _public in (TypingManager, TypingSession, TypingWhile, aclose, aflush, close, configure, current_session, flush,
                mark_sent, observe, stats, typing_while, unwatch_all, watch, watch_all):  # fmt: skip
    _public.__module__ = __name__  # where users find them
