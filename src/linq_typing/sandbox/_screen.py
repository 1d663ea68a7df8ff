"""One chat on the recipient's screen: when the typing indicator is visible.

Pure: `now` is an argument, in simulated seconds, and never decreases. The indicator is cleared by messages and expires
without a call, so each method first applies what was due by `now` (`advance`).

| input    | indicator hidden                        | indicator showing        |
|----------|-----------------------------------------|--------------------------|
| start    | shows, unless idle or stuck             | shows `shown_for` longer |
| stop     | no longer stuck                         | hides                    |
| accepted | clears at `lands_at`, not before        | the same                 |
| clear    | no longer stuck                         | hides                    |
| expiry   | -                                       | hides                    |
| reopen   | -                                       | hides, and is stuck      |

`reopen` stands for opening the chat while a message in it is unread; otherwise the indicator stays.

*Idle*: no message for `active_for` seconds. *Stuck*: the device has dropped the indicator by itself, while the sender
still counts as typing, so another start changes nothing.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque

from linq_typing.sandbox._records import Change, EndedBy, Showing

IDLE = "no message in this chat lately"
STUCK = "the recipient's device has dropped it: stop first"


class Screen:
    """One recipient's view of one chat.

    Parameters:
        keep: how many of the latest past showings to keep; None: all.
    """

    def __init__(self, *, shown_for: float, active_for: float, keep: int | None = None) -> None:
        self._shown_for = shown_for
        self._active_for = active_for
        self._past: deque[Showing] = deque(maxlen=keep)
        self._ended = 0
        self._since: float | None = None
        self._expires = math.inf
        self._clears: list[float] = []
        self._last_message = -math.inf
        self._stuck = False

    def start(self, now: float) -> tuple[Change, str]:
        """A start took effect."""
        self.advance(now)
        if now - self._last_message > self._active_for:
            return "nothing", IDLE
        if self._stuck:
            return "nothing", STUCK
        change: Change = "shown" if self._since is None else "extended"
        self._since = now if self._since is None else self._since
        self._expires = now + self._shown_for
        return change, ""

    def stop(self, now: float) -> tuple[Change, str]:
        """A stop took effect."""
        self.advance(now)
        self._stuck = False
        if self._since is None:
            return "nothing", "it was not showing"
        self._hide(now, "stop")
        return "hidden", ""

    def accepted(self, now: float, lands_at: float) -> None:
        """A message was accepted; it lands, and clears the indicator, at `lands_at`."""
        self.advance(now)
        self._last_message = now
        insort(self._clears, lands_at)
        self.advance(now)

    def received(self, now: float) -> None:
        """The person wrote. The indicator stays as it is."""
        self.advance(now)
        self._last_message = now

    def reopen(self, now: float) -> bool:
        """The person opened the chat with an unread message. Returns whether that dropped the indicator."""
        self.advance(now)
        if self._since is None:
            return False
        self._hide(now, "reopened")
        self._stuck = True
        return True

    def advance(self, now: float) -> None:
        """Apply what was due by `now`."""
        while min(self._next_clear, self._expires) <= now:
            if self._next_clear <= self._expires:
                self._clear(self._clears.pop(0))
            else:
                self._hide(self._expires, "expired")

    def visible(self, now: float) -> bool:
        """Whether the indicator is visible."""
        self.advance(now)
        return self._since is not None

    def showings(self, now: float) -> tuple[Showing, ...]:
        """The periods in which the indicator was visible, the present one last."""
        self.advance(now)
        if self._since is None:
            return tuple(self._past)
        return (*self._past, Showing(self._since, None, None, self._expires))

    def showings_from(self, number: int, now: float) -> tuple[tuple[int, Showing], ...]:
        """The showings from that number on, each with its number (from 0)."""
        showings = self.showings(now)
        first = self._ended - len(self._past)
        return tuple(enumerate(showings[max(number - first, 0) :], max(number, first)))

    @property
    def active_until(self) -> float:
        """Until when a start shows the indicator, unless a message extends it."""
        return self._last_message + self._active_for

    @property
    def stuck(self) -> bool:
        """Whether the device has dropped the indicator, so that a start alone does not bring it back."""
        return self._stuck

    @property
    def _next_clear(self) -> float:
        return self._clears[0] if self._clears else math.inf

    def _clear(self, now: float) -> None:
        self._stuck = False
        if self._since is not None:
            self._hide(now, "message")

    def _hide(self, now: float, ended_by: EndedBy) -> None:
        assert self._since is not None
        self._ended += 1
        self._past.append(Showing(self._since, now, ended_by, self._expires))
        self._since = None
        self._expires = math.inf
