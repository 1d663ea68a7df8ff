"""Keeps the iMessage typing indicator showing while a Linq bot works, and gone the moment it is done."""

from ._default import aflush, close, configure, flush, mark_sent, typing_while, watch
from ._manager import TypingManager
from ._sends import unwatch_all, watch_all
from ._session import TypingSession, current_session
from .errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    LinqTypingError,
)
from .events import TypingEvent

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "ConfigurationError",
    "LinqTypingError",
    "TypingEvent",
    "TypingManager",
    "TypingSession",
    "aflush",
    "close",
    "configure",
    "current_session",
    "flush",
    "mark_sent",
    "typing_while",
    "unwatch_all",
    "watch",
    "watch_all",
]
