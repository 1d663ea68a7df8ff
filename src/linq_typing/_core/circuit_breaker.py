"""Decides when starts are suspended for a whole manager, and which chat probes. Pure: every input carries its time.

The breaker opens, which suspends starts, on a bad key, or on five failed starts in a row with none accepted in between;
failures of one chat alone open it only while no other chat is working. After a pause it is half-open: one chat may
probe. The answer closes the breaker, or opens it for twice as long. Each probe uses a different chat, until all waiting
chats have had their turn. Stops are never suspended.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Hashable
from math import inf
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FAILURES_IN_A_ROW: Final = 5
FIRST_PAUSE: Final = 1.0  # seconds
LONGEST_PAUSE: Final = 60.0


class Verdict(enum.Enum):
    """What a start's answer says about the API as a whole."""

    UP = "up"  #: it works, whether or not it accepts starts in this chat
    DOWN = "down"
    BAD_KEY = "bad key"


class Change(enum.Enum):
    SUSPENDED = "suspended"
    RECOVERED = "recovered"


class CircuitBreaker(Generic[K]):
    """Closed, it lets all starts through; open, only probes, one at a time after growing pauses.

    ``K`` is what identifies a chat.
    """

    def __init__(self) -> None:
        self._failures = 0  # in a row
        self._failed: set[K] = set()  # the chats whose starts they were
        self._tried: set[K] = set()
        self._pause = 0.0
        self._half_open_at = -inf
        self._probing = False
        self._bad_key = False
        self.is_open = False

    @property
    def tried(self) -> Collection[K]:
        """While it is open: the chats that have failed since all had their turn. Others probe first."""
        return self._tried if self.is_open else ()

    def may_start(self, now: float, *, untried: bool) -> bool:
        """Whether a start may go out. ``untried`` says that its chat is not among :attr:`tried`."""
        if not self.is_open:
            return True
        only_one_fails = len(self._failed) == 1 and not self._bad_key
        return not self._probing and (now >= self._half_open_at or (untried and only_one_fails))

    @property
    def half_open_at(self) -> float:
        """When to ask again if no input comes first; ``inf`` if time alone changes nothing."""
        return self._half_open_at if self.is_open and not self._probing else inf

    def began(self, chat: K) -> bool:
        """A start goes out. Returns whether it is a probe, for :meth:`ended`."""
        if self.is_open and chat in self._tried:  # then all waiting chats have been tried
            self._tried.clear()
        self._probing = self.is_open
        return self._probing

    def ended(self, chat: K, verdict: Verdict, now: float, *, probe: bool, others_work: bool) -> Change | None:
        """A start was answered. Returns what has changed for all chats.

        ``others_work`` says whether another chat has a session that wants the indicator.
        """
        if probe:
            self._probing = False
        if verdict is Verdict.UP:
            return self._close()
        self._failures += 1
        self._failed.add(chat)
        self._tried.add(chat)
        if self.is_open and not probe:  # it was in flight when the breaker opened, and says nothing new
            return None
        if not self.is_open and verdict is Verdict.DOWN and not self._is_down(others_work):
            return None
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._half_open_at = now + self._pause
        known = self.is_open and (self._bad_key or verdict is Verdict.DOWN)
        self.is_open, self._bad_key = True, self._bad_key or verdict is Verdict.BAD_KEY
        return None if known else Change.SUSPENDED

    def _is_down(self, others_work: bool) -> bool:
        return self._failures >= FAILURES_IN_A_ROW and (len(self._failed) > 1 or not others_work)

    def _close(self) -> Change | None:
        self._failures, self._pause, self._bad_key = 0, 0.0, False
        self._failed.clear()
        self._tried.clear()
        was_open, self.is_open = self.is_open, False
        return Change.RECOVERED if was_open else None
