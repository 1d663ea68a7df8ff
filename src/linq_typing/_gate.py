"""When starts are suspended for a whole manager, and who probes. Pure: every input brings its time.

A bad key, or five failed starts in a row with none accepted between, close the gate; one chat alone closes it only
while no other one is working. After a pause one chat may try; its answer opens the gate, or closes it for twice as
long. Each probe is another chat's, until all that wait have had their turn. Stops never ask here.
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
    """What a start's answer says of the API as a whole."""

    UP = "up"  #: it works, whether or not it likes this chat
    DOWN = "down"
    BAD_KEY = "bad key"


class Change(enum.Enum):
    SUSPENDED = "suspended"
    RECOVERED = "recovered"


class Gate(Generic[K]):
    """Lets starts through, or one at a time after growing pauses. The chats are told apart by a key."""

    def __init__(self) -> None:
        self._failures = 0  # in a row
        self._failed: set[K] = set()  # the chats whose starts they were
        self._tried: set[K] = set()
        self._pause = 0.0
        self._closed_until = -inf
        self._probing = False
        self._bad_key = False
        self.suspended = False

    @property
    def tried(self) -> Collection[K]:
        """While starts are suspended: the chats that failed since all had their turn. Others probe first."""
        return self._tried if self.suspended else ()

    def may_start(self, now: float, *, untried: bool) -> bool:
        """Whether a start may go out: one of a chat that is not among :attr:`tried`, or of one that is."""
        if not self.suspended:
            return True
        only_one_fails = len(self._failed) == 1 and not self._bad_key
        return not self._probing and (now >= self._closed_until or (untried and only_one_fails))

    @property
    def opens_at(self) -> float:
        """When to ask again without another input; ``inf`` if that is no question of time."""
        return self._closed_until if self.suspended and not self._probing else inf

    def began(self, chat: K) -> bool:
        """A start goes out. Returns whether it is a probe, which ``ended`` wants to know."""
        if self.suspended and chat in self._tried:  # then so are all that wait
            self._tried.clear()
        self._probing = self.suspended
        return self._probing

    def ended(self, chat: K, verdict: Verdict, now: float, *, probe: bool, others_work: bool) -> Change | None:
        """A start was answered. Returns what has changed for all.

        ``others_work`` says whether another chat has a session that wants the indicator.
        """
        if probe:
            self._probing = False
        if verdict is Verdict.UP:
            return self._open()
        self._failures += 1
        self._failed.add(chat)
        self._tried.add(chat)
        if self.suspended and not probe:  # it was under way when the gate closed, and says nothing new
            return None
        if not self.suspended and verdict is Verdict.DOWN and not self._is_down(others_work):
            return None
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._closed_until = now + self._pause
        known = self.suspended and (self._bad_key or verdict is Verdict.DOWN)
        self.suspended, self._bad_key = True, self._bad_key or verdict is Verdict.BAD_KEY
        return None if known else Change.SUSPENDED

    def _is_down(self, others_work: bool) -> bool:
        return self._failures >= FAILURES_IN_A_ROW and (len(self._failed) > 1 or not others_work)

    def _open(self) -> Change | None:
        self._failures, self._pause, self._bad_key = 0, 0.0, False
        self._failed.clear()
        self._tried.clear()
        was_suspended, self.suspended = self.suspended, False
        return Change.RECOVERED if was_suspended else None
