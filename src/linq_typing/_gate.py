"""When starts are suspended for a whole manager, and who probes. Pure: every input brings its time.

A bad key, or five failed starts in a row with none accepted between, close the gate. After a pause one chat
may try; its answer opens the gate, or closes it for twice as long. Stops never ask here.
"""

from __future__ import annotations

import enum
from math import inf
from typing import Final

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


class Gate:
    """Lets starts through, or one at a time after growing pauses."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause = 0.0
        self._closed_until = -inf
        self._probing = False
        self._bad_key = False
        self.suspended = False

    def may_start(self, now: float) -> bool:
        return not self.suspended or (now >= self._closed_until and not self._probing)

    @property
    def opens_at(self) -> float:
        """When to ask again without another input; ``inf`` if that is no question of time."""
        return self._closed_until if self.suspended and not self._probing else inf

    def began(self) -> bool:
        """A start goes out. Returns whether it is a probe, which ``ended`` wants to know."""
        self._probing = self.suspended
        return self._probing

    def ended(self, verdict: Verdict, now: float, *, probe: bool) -> Change | None:
        """A start was answered. Returns what has changed for all."""
        if probe:
            self._probing = False
        if verdict is Verdict.UP:
            self._failures, self._pause, self._bad_key = 0, 0.0, False
            was_suspended, self.suspended = self.suspended, False
            return Change.RECOVERED if was_suspended else None
        self._failures += 1
        if self.suspended and not probe:  # it was under way when the gate closed, and says nothing new
            return None
        if verdict is Verdict.DOWN and self._failures < FAILURES_IN_A_ROW and not self.suspended:
            return None
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._closed_until = now + self._pause
        known = self.suspended and (self._bad_key or verdict is Verdict.DOWN)
        self.suspended, self._bad_key = True, self._bad_key or verdict is Verdict.BAD_KEY
        return None if known else Change.SUSPENDED
