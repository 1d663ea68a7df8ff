"""What to do next about one chat's typing indicator: a pure state machine.

It decides; it does no I/O, starts no task, reads no clock (every input brings its time) and logs nothing.
The engine feeds it inputs, asks :meth:`Indicator.next`, does what it says, and reports back.

Three rules hold it together:

* One request at a time. Between ``sent`` and ``answered`` the answer to *what now?* is always "wait".
* ``effect_by`` is the latest moment at which a start that nothing has surely undone may take effect.
  While it is set the indicator may be up, and somebody has to see to it that it goes.
* ``lit_at`` is when a start was last accepted that nothing has touched since. While it is set the
  indicator is up, and no start is due before the next refresh. One exception: a stop whose answer was lost may take
  effect up to 5 s later, and then clear a start that was sent meanwhile. That start is repeated once the 5 s are over.

How inputs move the two (r: a message's request, A: its acceptance; "-" leaves as it is)::

    input                              effect_by                      lit_at
    start accepted at t                max(., t)                      t, unless it overlapped a message
    start answered 5xx at t            max(., t): it may have worked  -
    start lost at t                    max(., t + 5 s)                -
    start refused, or never arrived    -                              -
    stop accepted, sent at s           cleared if <= s                cleared
    stop answered 5xx, or lost         -                              cleared: it may have worked
    stop given up                      cleared: nothing more to do    cleared
    message accepted                   cleared if < r                 cleared
    message failed                     -                              -
    90 s without a start               cleared: the API lets it fade  -

What ``next`` answers, first line that fits::

    a request is in flight             wait for its answer
    a message is in flight             wait for its end, for at most 2 min (not when hurried: then nobody wants it)
    a message has not settled          wait until A + settle   (not when hurried: then nobody wants it)
    a session wants it                 start when due: at once if not lit, else refresh_interval after lit_at, or
                                       when a lost stop can no longer undo it; never before a retry's time, a
                                       Retry-After or the end of a refusal
    effect_by is set                   stop when due: after every stop_delay (not when hurried), never before
                                       a retry's time; after a lost start once at once and once more at effect_by
    otherwise                          wait for the next session

A session *wants* the indicator from its ``start_delay`` on, unless it has left, is paused, has sent its
message (until resumed) or has lasted ``max_duration``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from math import inf
from typing import Final, Literal

from ._settings import SessionOptions
from .errors import LinqTypingError

LONG_AGO: Final = -inf  #: one object for all, since there are many chats

LOST_FOR: Final = 5.0  #: a request whose answer was lost may take effect for so many seconds yet
SHOWN_AT_LEAST: Final = 85.0  #: one start shows the indicator for 85 to 90 s
SHOWN_FOR: Final = 90.0
LONGEST_BAR: Final = 3600.0  #: no Retry-After holds for longer
MAX_SEND_TIME: Final = 120.0  #: a message that takes longer than that keeps nothing waiting any more
REFUSED_FOR: Final = 600.0  #: a permanent refusal is remembered at least so long


class Action(enum.Enum):
    """A request to make."""

    START = "start"
    STOP = "stop"


class Outcome(enum.Enum):
    """What is known of a request's effect once it has ended."""

    ACCEPTED = "accepted"
    PERHAPS = "perhaps"  #: answered 5xx: it has worked by now, or never will
    LOST = "lost"  #: no answer: it may still work, for a while
    NOTHING = "nothing"  #: it surely did nothing, and may be tried again
    REFUSED = "refused"  #: it surely did nothing, and never will


class Wish:
    """What one session asks of its chat's indicator."""

    __slots__ = ("error", "expired", "joined_at", "left_at", "lingers_until", "options", "paused_at", "paused_for",
                 "quiet_until", "refused")  # fmt: skip

    def __init__(self, options: SessionOptions, joined_at: float) -> None:
        self.options = options
        self.joined_at = joined_at
        self.left_at: float | None = None
        self.lingers_until = inf  # once it has left: until the end of its stop_delay
        self.paused_at: float | None = None
        self.paused_for = 0.0
        self.quiet_until = LONG_AGO  # after its message
        self.expired = False
        self.refused = False
        self.error: LinqTypingError | None = None  # the last one of its chat; the engine's to set

    @property
    def shows_at(self) -> float:
        return self.joined_at + self.options.start_delay

    @property
    def expires_at(self) -> float:
        """When it has lasted max_duration; paused time does not count."""
        if self.options.max_duration is None or self.paused_at is not None:
            return inf
        return self.joined_at + self.options.max_duration + self.paused_for

    @property
    def is_open(self) -> bool:
        return self.left_at is None

    def wants(self, now: float) -> bool:
        return (
            self.left_at is None
            and self.paused_at is None
            and not self.expired
            and self.quiet_until <= now
            and self.shows_at <= now < self.expires_at
        )

    def changes(self) -> Iterator[float]:
        """The moments at which time alone changes what it wants."""
        if self.left_at is not None:
            yield self.lingers_until
        elif not self.expired:
            yield self.shows_at
            yield self.quiet_until
            yield self.expires_at


#: Stands for a sender that has to be guessed: the message was sent outside of every session's context.
Unknown = Literal["unknown"]


class Window:
    """A message on its way: from its request to its answer, or for MAX_SEND_TIME. What comes later still counts."""

    __slots__ = ("began_at", "wish")

    def __init__(self, began_at: float, wish: Wish | Unknown | None = None) -> None:
        self.began_at = began_at
        self.wish = wish  # of the session that sends it

    @property
    def closes_at(self) -> float:
        return self.began_at + MAX_SEND_TIME


class Indicator:
    """The typing indicator of one chat. See the module's docstring for its rules."""

    __slots__ = ("_attempt", "_barred_until", "_effect_by", "_hurried", "_lit_at", "_lost_stop_until", "_not_before",
                 "_quarter_from", "_repeat_at", "_retried", "_round_began", "_second_stop_at", "_sent_at", "_settle",
                 "_settles_at", "_windows", "in_flight", "wishes")  # fmt: skip

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self.wishes: tuple[Wish, ...] = ()  # in the order of joining; those that left stay for their stop_delay
        self.in_flight: Action | None = None
        self._windows: tuple[Window, ...] = ()
        self._settles_at = LONG_AGO
        self._effect_by = LONG_AGO
        self._lit_at = LONG_AGO
        self._repeat_at = inf  # when the start that made it lit has to be repeated
        self._lost_stop_until = LONG_AGO  # a stop whose answer was lost may take effect until then
        self._sent_at = LONG_AGO
        self._second_stop_at = LONG_AGO
        self._barred_until = LONG_AGO
        # A round is a request and its retries.
        self._retried: Action | None = None
        self._attempt = 0
        self._round_began = LONG_AGO
        self._not_before = LONG_AGO  # the end of the back-off; inf if the round of a start was given up
        self._quarter_from = inf  # a start is tried again a quarter of the interval after this at the latest
        self._hurried = False

    # -- Questions

    def wanted(self, now: float) -> bool:
        """Whether a session wants the indicator up."""
        return any(wish.wants(now) for wish in self.wishes)

    def pending(self, now: float) -> bool:
        """Whether there is something to finish although nobody wants the indicator: a request, or a stop."""
        return (self.in_flight is not None or self.maybe_up(now)) and not self.wanted(now)

    def maybe_up(self, now: float) -> bool:
        """Whether some ordering of what was sent leaves the indicator up."""
        return now < self._effect_by + SHOWN_FOR

    @property
    def lit(self) -> bool:
        """Whether the last start was accepted and nothing has touched it since: the next one is a refresh."""
        return self._lit_at > LONG_AGO

    @property
    def attempt(self) -> int:
        """The number of the attempt in flight, or of the last one, in its round; 1 is the first."""
        return self._attempt

    def forgettable(self, now: float) -> bool:
        """Whether nothing is left to do, to wait for or to remember."""
        return not (
            self.wishes
            or self._windows
            or self.in_flight
            or now < self._settles_at
            or now < self._barred_until
            or now < self._lost_stop_until
            or self.maybe_up(now)
        )

    def sender(self, at: float) -> Wish | None:
        """Whose message it was that was sent at ``at`` by an unknown hand: a session's that has just left and
        is in its stop_delay, else the oldest open one's."""
        left = [wish for wish in self.wishes if wish.left_at is not None and wish.left_at <= at < wish.lingers_until]
        if left:
            return max(left, key=lambda wish: wish.left_at or 0.0)
        return next(
            (wish for wish in self.wishes if wish.joined_at <= at and (wish.left_at is None or at < wish.left_at)), None
        )

    # -- Inputs from sessions

    def join(self, wish: Wish, now: float) -> None:
        self._fresh_start(now)
        self.wishes += (wish,)

    def leave(self, wish: Wish, now: float, linger: float) -> bool:
        """The session has ended; the indicator may stay up for ``linger`` seconds yet. Returns whether it was open."""
        if wish not in self.wishes or not wish.is_open:
            return False
        wish.left_at = now
        wish.lingers_until = now if self._hurried else now + linger
        return True

    def pause(self, wish: Wish, now: float) -> None:
        if wish.paused_at is None:
            wish.paused_at = now

    def resume(self, wish: Wish, now: float) -> None:
        """Back from a pause, or from the quiet after a message."""
        self._fresh_start(now)
        if wish.paused_at is not None:
            wish.paused_for += now - wish.paused_at
            wish.paused_at = None
        wish.quiet_until = LONG_AGO

    def hurry(self) -> None:
        """Let nothing wait for courtesy any more: no stop_delay, no back-off of a stop, no message that has
        yet to settle."""
        self._hurried = True
        if self._retried is Action.STOP:
            self._not_before = LONG_AGO
        self.wishes = tuple(wish for wish in self.wishes if wish.is_open)

    # -- Inputs from messages. Their times may lie in the past: they were read in another thread.

    def send_began(self, window: Window) -> None:
        if window.wish == "unknown":
            window.wish = self.sender(window.began_at)
        self._windows += (window,)

    def send_ended(self, window: Window, at: float, accepted: bool) -> None:
        self._windows = tuple(other for other in self._windows if other is not window)
        if not accepted:
            return
        self._settles_at = max(self._settles_at, at + self._settle)
        self._lit_at = LONG_AGO
        if self._effect_by < window.began_at:  # every start came before the message: it wipes them all
            self._effect_by = LONG_AGO
        if isinstance(window.wish, Wish):
            resume_after = window.wish.options.resume_after
            until = inf if resume_after is None else at + max(resume_after, self._settle)
            window.wish.quiet_until = max(window.wish.quiet_until, until)

    # -- Inputs from requests

    def sent(self, action: Action, now: float) -> None:
        """The engine does what ``next`` said: the request goes out now."""
        self.in_flight = action
        self._sent_at = now
        if self._retried is not action or self._attempt == 0:
            self._retried = action
            self._attempt = 0
            self._round_began = now
        self._attempt += 1
        self._second_stop_at = LONG_AGO

    def answered(
        self, outcome: Outcome, now: float, *, retry_in: float | None = None, retry_after: float = 0.0
    ) -> None:
        """The request in flight has ended.

        ``retry_in`` is the back-off after which a failed one may be tried again, None if never. ``retry_after`` is
        what the API asked for: it never shortens a back-off, and that of a start goes beyond this round.
        """
        retry_after = min(retry_after, LONGEST_BAR)
        action, self.in_flight = self.in_flight, None
        sent_at, self._sent_at = self._sent_at, LONG_AGO  # many chats at rest: a number less in each
        if action is Action.START:
            self._start_answered(outcome, sent_at, now, retry_in, retry_after)
        else:
            self._stop_answered(outcome, sent_at, now, retry_in, retry_after)

    def _start_answered(
        self, outcome: Outcome, sent_at: float, now: float, retry_in: float | None, retry_after: float
    ) -> None:
        if outcome is Outcome.ACCEPTED:
            self._effect_by = max(self._effect_by, now)
            self._lit_at = now if sent_at >= self._settles_at else LONG_AGO
            self._repeat_at = self._lost_stop_until if sent_at < self._lost_stop_until else inf
            self._end_round()
            return
        if outcome is Outcome.PERHAPS:
            self._effect_by = max(self._effect_by, now)
        elif outcome is Outcome.LOST:
            self._effect_by = now + LOST_FOR
        self._barred_until = now + retry_after
        if outcome is Outcome.REFUSED:
            self._barred_until = now + REFUSED_FOR
            for wish in self.wishes:
                wish.refused = True
            self._end_round()
        elif retry_in is None:
            self._attempt, self._not_before, self._quarter_from = 0, inf, self._round_began
        else:
            self._not_before, self._quarter_from = now + retry_in, now if self.lit else inf

    def _stop_answered(
        self, outcome: Outcome, sent_at: float, now: float, retry_in: float | None, retry_after: float
    ) -> None:
        if outcome in (Outcome.ACCEPTED, Outcome.PERHAPS, Outcome.LOST):
            self._lit_at = LONG_AGO
        if outcome is Outcome.LOST:
            self._lost_stop_until = now + LOST_FOR
        if outcome is Outcome.ACCEPTED:
            if self._effect_by <= sent_at:
                self._effect_by = LONG_AGO
            else:
                self._second_stop_at = self._effect_by
            self._end_round()
        elif retry_in is None:
            self._end_round()
            if not self.wanted(now):  # else it is not given up, but needless for now
                self._effect_by = self._lit_at = LONG_AGO
        else:
            self._not_before = now + max(retry_in, retry_after)

    def _end_round(self) -> None:
        self._attempt = 0
        self._round_began = self._not_before = LONG_AGO

    def _fresh_start(self, now: float) -> None:
        """A new wish is in no hurry, trusts no old light, and does not wait for the retries of an old one."""
        self._hurried = False
        if now >= self._lit_at + SHOWN_AT_LEAST:
            self._lit_at = LONG_AGO
        if self._retried is Action.START and self.in_flight is None and not self.wanted(now):
            self._end_round()

    # -- What now?

    def next(self, now: float) -> tuple[Action | None, float]:
        """What to do now, and when to ask again if no input comes before (``inf``: after the next one)."""
        self._drop_what_is_over(now)
        if self._hurried and not self.pending(now):  # also when a session wants the indicator again
            self._hurried = False
        if self.in_flight is not None:
            return None, inf
        if self._windows and not self._hurried:
            due = inf
        elif now < self._settles_at and not self._hurried:
            due = self._settles_at
        elif self.wanted(now):
            due = self._start_due(now)
            if due <= now:
                return Action.START, self._next_change(now)
        elif self.maybe_up(now):
            due = self._stop_due()
            if due <= now:
                return Action.STOP, self._next_change(now)
        else:
            due = inf
        return None, min(due, self._next_change(now))

    def expire(self, now: float) -> list[Wish]:
        """The sessions that have lasted max_duration and were not yet told so; each only once."""
        ended = [wish for wish in self.wishes if wish.is_open and not wish.expired and wish.expires_at <= now]
        for wish in ended:
            wish.expired = True
        return ended

    def _drop_what_is_over(self, now: float) -> None:
        if any(wish.lingers_until <= now for wish in self.wishes):
            self.wishes = tuple(wish for wish in self.wishes if wish.lingers_until > now)
        if any(window.closes_at <= now for window in self._windows):
            self._windows = tuple(window for window in self._windows if window.closes_at > now)

    def _start_due(self, now: float) -> float:
        if any(wish.refused and wish.is_open for wish in self.wishes):
            return inf
        interval, due = self._interval(now), self._barred_until
        if self.lit:
            due = max(due, min(self._lit_at + interval, self._repeat_at))
        if self._retried is Action.START:
            due = max(due, min(self._not_before, self._quarter_from + interval / 4))
        return due

    def _stop_due(self) -> float:
        retry_at = self._not_before if self._retried is Action.STOP else LONG_AGO
        lingers = (wish.lingers_until for wish in self.wishes if not wish.is_open)
        return max(self._second_stop_at, retry_at, *lingers)

    def _interval(self, now: float) -> float:
        return min(wish.options.refresh_interval for wish in self.wishes if wish.wants(now))

    def _next_change(self, now: float) -> float:
        """The next moment at which time alone may change the answer."""
        moments = [self._settles_at, self._barred_until, self._lost_stop_until, self._effect_by + SHOWN_FOR]
        moments.extend(window.closes_at for window in self._windows)
        for wish in self.wishes:
            moments.extend(wish.changes())
        return min((moment for moment in moments if moment > now), default=inf)
