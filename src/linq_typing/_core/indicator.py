"""Decides what to do next about one chat's typing indicator: a pure state machine.

It does no I/O, starts no task, reads no clock (every input carries its time) and logs nothing.
The engine feeds it inputs, asks :meth:`Indicator.next`, does what it says, and reports back.

Three rules:

* One request at a time. Between ``sent`` and ``answered``, ``next`` always says "wait".
* ``may_apply_until`` is the latest moment at which a start may take effect that has not certainly been cleared.
  While it is set the indicator may be up, and a stop is owed unless a session wants it.
* ``confirmed_at`` is when the last start was accepted, if neither a stop nor a message can have cleared it since. While
  it is set the indicator is up, and no start is due before the next refresh. One exception: a stop without an answer
  may take effect up to 5 s later and clear a start sent in between, so that start is repeated when the 5 s are over.

How inputs change the two (r: time of a message's request, A: of its acceptance; "-": no change). The last five come
from webhooks::

    input                              may_apply_until                confirmed_at
    start accepted at t                max(., t)                      t, unless it overlapped a message
    start answered 5xx at t            max(., t): it may have worked  -
    start without an answer at t       t + 5 s                        -
    start not applied, or refused      -                              -
    stop accepted, sent at s           cleared if <= s                cleared
    stop answered 5xx, or not at all   -                              cleared: it may have worked
    stop not applied, or refused       -                              -
    stop given up                      cleared: nothing more to do    cleared
    message accepted                   cleared if < r                 cleared
    message failed                     -                              -
    90 s without a start               cleared: it has faded          -
    accepted message sent              -                              -
    accepted message delivered         -                              cleared, if only after it had settled
    accepted message failed            what it had cleared, unless    -
                                       something else cleared that
    someone else's message             -: a start may have come       cleared
                                       after it
    chat opened again                  -                              -: see below

What ``next`` says, the first line that applies::

    a request is in flight             wait for its answer
    a message is in flight             wait for its end, at most 2 min (not while flushing: then no session wants it)
    a message has not settled          wait until A + settle           (not while flushing)
    the chat was opened again, while   stop, once: the device shows a start only after a stop. Not retried if it fails
    a session wants the indicator
    a session wants the indicator      start when due: at once if not confirmed, else refresh_interval after
                                       confirmed_at, or when a stop without an answer can no longer take effect; never
                                       before the end of a back-off, a Retry-After or a refusal
    may_apply_until is set             stop when due: after every stop_delay (not while flushing), never before the
                                       end of a back-off; after a start without an answer immediately, and again at
                                       may_apply_until
    otherwise                          wait for the next session

A message settles 3 s (``settle``) after A. Webhooks may show that it settles sooner: when it is delivered, or half a
second after it was sent from the line. It is remembered until it has settled, and for ``known_for`` after A.

A session *wants* the indicator from its ``start_delay`` on, unless it has left, is paused, has sent its
message (until resumed) or has lasted ``max_duration``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from math import inf
from typing import Final, Literal

from .._linq import SHOWN_AT_LEAST, SHOWN_AT_MOST
from .._settings import SessionOptions
from ..errors import LinqTypingError

LONG_AGO: Final = -inf  #: one object shared by all chats, to save memory

DELIVERED_WITHIN: Final = 0.5  #: seconds from the sending of a message until it clears the indicator
MAY_APPLY_FOR: Final = 5.0  #: seconds in which a request without an answer may still take effect
MAX_RETRY_AFTER: Final = 3600.0  #: seconds; cap on Retry-After
MAX_SEND_TIME: Final = 120.0  #: seconds after which a message in flight no longer holds requests back
REFUSED_FOR: Final = 600.0  #: seconds; a permanent refusal is remembered at least this long
UP_FOR: Final = 3.0  #: seconds after the start was accepted; from then on, opening the chat drops the indicator


class Action(enum.Enum):
    """A request to make."""

    START = "start"
    STOP = "stop"


class Outcome(enum.Enum):
    """What is known of a request's effect once it has ended."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"  #: 5xx: it has taken effect by now, or never will
    NO_ANSWER = "no_answer"  #: it may still take effect, for MAY_APPLY_FOR
    NOT_APPLIED = "not_applied"  #: it had no effect, and may be tried again
    REFUSED = "refused"  #: it had no effect, and never will


class SessionState:
    """One session's part in its chat: what it asks of the indicator."""

    __slots__ = ("error", "expired", "joined_at", "left_at", "lingers_until", "options", "paused_at", "paused_for",
                 "quiet_until", "refused")  # fmt: skip

    def __init__(self, options: SessionOptions, joined_at: float) -> None:
        self.options = options
        self.joined_at = joined_at
        self.left_at: float | None = None
        self.lingers_until = inf  # once it has left: the end of its stop_delay
        self.paused_at: float | None = None
        self.paused_for = 0.0
        self.quiet_until = LONG_AGO  # after its message
        self.expired = False
        self.refused = False
        self.error: LinqTypingError | None = None  # the last one of its chat; set by the engine

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

    def changes(self) -> tuple[float, ...]:
        """The times at which what it wants changes without an input."""
        if self.left_at is not None:
            return (self.lingers_until,)
        return () if self.expired else (self.shows_at, self.quiet_until, self.expires_at)


#: The message was sent outside every session's context: the indicator guesses whose it is.
UnknownSender = Literal["unknown"]


class MessageInFlight:
    """A message from its request to its answer, or for MAX_SEND_TIME. A later answer still counts.

    Once accepted, it is remembered until it has settled; longer if webhooks may report what became of it.
    """

    __slots__ = ("began", "began_at", "cleared", "ended", "id", "known_for", "known_until", "sender", "settles_at")

    def __init__(self, began_at: float, sender: SessionState | UnknownSender | None = None) -> None:
        self.began_at = began_at
        self.began = self.ended = False  # whether the engine has processed that
        self.sender = sender
        self.id = ""  # Linq's id, if webhooks are observed and the answer named it; set by the engine
        self.known_for = 0.0  # seconds after its acceptance in which webhooks may report on it; set by the engine
        self.settles_at = self.known_until = LONG_AGO
        self.cleared = LONG_AGO  # what may_apply_until was before this message, and nothing else, cleared it

    @property
    def blocks_until(self) -> float:
        return self.began_at + MAX_SEND_TIME


class Indicator:
    """The typing indicator of one chat. See the module's docstring for its rules."""

    __slots__ = ("_accepted", "_attempt", "_blocked_until", "_confirmed_at", "_cycle_began", "_flushing",
                 "_may_apply_until", "_messages", "_not_before", "_quarter_from", "_repeat_at", "_retried",
                 "_second_stop_at", "_sent_at", "_settle", "_settles_at", "_stop_may_apply_until", "in_flight",
                 "sessions")  # fmt: skip

    def __init__(self, settle: float) -> None:
        self._settle = settle
        #: In the order of joining; those that have left stay for their stop_delay.
        self.sessions: tuple[SessionState, ...] = ()
        self.in_flight: Action | None = None
        self._messages: tuple[MessageInFlight, ...] = ()
        self._accepted: tuple[MessageInFlight, ...] = ()  # those that have not settled, or that webhooks may report on
        self._settles_at = LONG_AGO
        self._may_apply_until = LONG_AGO
        self._confirmed_at = LONG_AGO
        self._repeat_at = inf  # when the confirmed start is to be repeated; LONG_AGO: now, after a stop
        self._stop_may_apply_until = LONG_AGO  # when a stop without an answer can no longer take effect
        self._sent_at = LONG_AGO
        self._second_stop_at = LONG_AGO
        self._blocked_until = LONG_AGO
        # A retry cycle is a request and its retries.
        self._retried: Action | None = None
        self._attempt = 0
        self._cycle_began = LONG_AGO
        self._not_before = LONG_AGO  # the end of the back-off; inf once a start's cycle was given up
        self._quarter_from = inf  # a start is retried a quarter of the interval after this, at the latest
        self._flushing = False

    # -- Questions

    def wanted(self, now: float) -> bool:
        """Whether a session wants the indicator up."""
        for session in self.sessions:  # noqa: SIM110 - any() is slower, and this is asked several times a request
            if session.wants(now):
                return True
        return False

    def interval(self, now: float) -> float:
        """Seconds between two starts; to be asked only while a session wants the indicator."""
        return min([session.options.refresh_interval for session in self.sessions if session.wants(now)])

    def pending(self, now: float) -> bool:
        """Whether a request is in flight or a stop is owed, while no session wants the indicator."""
        return (self.in_flight is not None or self.maybe_up(now)) and not self.wanted(now)

    def maybe_up(self, now: float) -> bool:
        """Whether the indicator is up in some possible ordering of the requests and messages."""
        return now < self._may_apply_until + SHOWN_AT_MOST

    @property
    def confirmed(self) -> bool:
        """Whether the last start was accepted, and nothing has cleared it since: the next one is a refresh."""
        return self._confirmed_at > LONG_AGO

    @property
    def is_sending(self) -> bool:
        """Whether a message is in flight."""
        return bool(self._messages)

    @property
    def attempt(self) -> int:
        """The number of the attempt in flight, or of the last one, in its retry cycle; 1 is the first."""
        return self._attempt

    def forgettable(self, now: float) -> bool:
        """Whether nothing is left to do, to wait for or to remember."""
        return not (
            self.sessions
            or self._messages
            or self._accepted
            or self.in_flight
            or now < self._settles_at
            or now < self._blocked_until
            or now < self._stop_may_apply_until
            or self.maybe_up(now)
        )

    def guess_sender(self, at: float) -> SessionState | None:
        """The session to which a message of unknown sender is attributed: the last to leave, if still in its
        stop_delay, else the oldest open one."""
        left = [s for s in self.sessions if s.left_at is not None and s.left_at <= at < s.lingers_until]
        if left:
            return max(left, key=lambda session: session.left_at or 0.0)
        there = (s for s in self.sessions if s.joined_at <= at and (s.left_at is None or at < s.left_at))
        return next(there, None)

    # -- Inputs from sessions

    def join(self, session: SessionState, now: float) -> None:
        self._begin_anew(now)
        self.sessions += (session,)

    def leave(self, session: SessionState, now: float, linger: float) -> bool:
        """The session has ended; the indicator may stay up for another ``linger`` seconds. Returns whether it was
        open."""
        if session not in self.sessions or not session.is_open:
            return False
        session.left_at = now
        session.lingers_until = now if self._flushing else now + linger
        return True

    def pause(self, session: SessionState, now: float) -> None:
        if session.paused_at is None:
            session.paused_at = now

    def resume(self, session: SessionState, now: float) -> None:
        """The session ends its pause, or the quiet after its message."""
        self._begin_anew(now)
        if session.paused_at is not None:
            session.paused_for += now - session.paused_at
            session.paused_at = None
        session.quiet_until = LONG_AGO

    def flush(self) -> None:
        """Send stops now: skip stop_delay, stop back-off and the settling of messages."""
        self._flushing = True
        if self._retried is Action.STOP:
            self._not_before = LONG_AGO
        self.sessions = tuple(session for session in self.sessions if session.is_open)

    # -- Inputs from messages. Their times may lie in the past: they were taken in another thread.

    def send_began(self, message: MessageInFlight) -> None:
        if message.sender == "unknown":
            message.sender = self.guess_sender(message.began_at)
        self._messages += (message,)

    def send_ended(self, message: MessageInFlight, at: float, accepted: bool) -> None:
        self._messages = tuple(other for other in self._messages if other is not message)
        if not accepted:
            return
        message.settles_at = at + self._settle
        message.known_until = at + max(message.known_for, self._settle)
        self._accepted += (message,)
        self._settles_at = max(self._settles_at, message.settles_at)
        self._confirmed_at = LONG_AGO
        if self._may_apply_until < message.began_at:  # it came after every start: it clears them all
            message.cleared, self._may_apply_until = self._may_apply_until, LONG_AGO
        if isinstance(message.sender, SessionState):
            self._quiet(message.sender, at)

    def _quiet(self, sender: SessionState, at: float) -> None:
        resume_after = sender.options.resume_after
        until = inf if resume_after is None else at + max(resume_after, self._settle)
        sender.quiet_until = max(sender.quiet_until, until)

    # -- Inputs from webhooks

    def message_sent(self, message: MessageInFlight, now: float) -> None:
        """An accepted message has gone out from the line. It clears the indicator on its delivery, which follows."""
        message.settles_at = min(message.settles_at, now + DELIVERED_WITHIN)
        self._settle_anew(message, now)

    def message_delivered(self, message: MessageInFlight, at: float, now: float) -> None:
        """An accepted message was delivered at time ``at``, and cleared the indicator: if that was later than expected,
        also one that has been shown since."""
        if at > message.settles_at:
            self._confirmed_at = LONG_AGO
            message.settles_at = now
        message.settles_at = min(message.settles_at, now)
        self._settle_anew(message, now)
        self._drop(message)

    def message_failed(self, message: MessageInFlight, now: float) -> None:
        """An accepted message was not sent after all, and has cleared nothing.

        Its sender stays quiet: its work on the message is done. The bot may send again, or resume.
        """
        if message not in self._accepted:
            return
        self._accepted = tuple(other for other in self._accepted if other is not message)
        message.settles_at = min(message.settles_at, now)
        self._settle_anew(message, now)
        another = next((other for other in self._accepted if message.cleared < other.began_at), None)
        if another is not None:
            another.cleared = max(another.cleared, message.cleared)
        else:
            self._may_apply_until = max(self._may_apply_until, message.cleared)

    def message_observed(self, at: float, now: float) -> None:
        """Someone else's message went out at time ``at``, which is known only now."""
        sender = self.guess_sender(at)
        if sender is not None:
            self._quiet(sender, at)
        self._confirmed_at = LONG_AGO
        self._settles_at = max(self._settles_at, now)  # a start that is in flight may have come before it

    def chat_read(self, now: float) -> bool:
        """The person has opened the chat, so the device may have dropped the indicator. Returns whether a stop and a
        start will show it again: only if it was up, and nothing else is going on."""
        show_again = (
            self.wanted(now)
            and self.confirmed
            and now >= self._confirmed_at + UP_FOR
            and self._repeat_at == inf
            and self._attempt == 0 and self._not_before == LONG_AGO  # no request is in flight, or has failed since
            and not self._messages
            and now >= self._blocked_until
        )  # fmt: skip
        if show_again:
            self._repeat_at = LONG_AGO
        return show_again

    def _settle_anew(self, message: MessageInFlight, now: float) -> None:
        """A message settles at a different time than expected; the others still count."""
        others = (other.settles_at for other in self._accepted)
        self._settles_at = max(min(self._settles_at, now), message.settles_at, *others)

    def _drop(self, message: MessageInFlight) -> None:
        """A message was certainly sent. It has cleared everything before it."""
        if message in self._accepted:
            self._accepted = tuple(other for other in self._accepted if other is not message)
            self._forget_cleared(lambda cleared: cleared < message.began_at)

    def _forget_cleared(self, surely: Callable[[float], bool]) -> None:
        """Starts that ``surely`` accepts need no stop, even if the message that has cleared them fails."""
        for message in self._accepted:
            if surely(message.cleared):
                message.cleared = LONG_AGO

    # -- Inputs from requests

    def sent(self, action: Action, now: float) -> None:
        """The engine does what ``next`` said: the request goes out now."""
        self.in_flight = action
        self._sent_at = now
        if action is Action.STOP and self._repeat_at == LONG_AGO:
            self._repeat_at = inf
        if self._retried is not action or self._attempt == 0:
            self._retried = action
            self._attempt = 0
            self._cycle_began = now
        self._attempt += 1
        self._second_stop_at = LONG_AGO

    def answered(
        self, outcome: Outcome, now: float, *, retry_in: float | None = None, retry_after: float = 0.0
    ) -> None:
        """The request in flight has ended.

        ``retry_in`` is the back-off after which a failed one may be tried again, None if never. ``retry_after`` is
        what the API asked for: it never shortens a back-off, and for a start it outlasts the retry cycle.
        """
        retry_after = min(retry_after, MAX_RETRY_AFTER)
        action, self.in_flight = self.in_flight, None
        sent_at, self._sent_at = self._sent_at, LONG_AGO  # saves memory while the chat is at rest
        if action is Action.START:
            self._start_answered(outcome, sent_at, now, retry_in, retry_after)
        else:
            self._stop_answered(outcome, sent_at, now, retry_in, retry_after)

    def _start_answered(
        self, outcome: Outcome, sent_at: float, now: float, retry_in: float | None, retry_after: float
    ) -> None:
        if outcome is Outcome.ACCEPTED:
            self._may_apply_until = max(self._may_apply_until, now)
            self._confirmed_at = now if sent_at >= self._settles_at else LONG_AGO
            self._repeat_at = self._stop_may_apply_until if sent_at < self._stop_may_apply_until else inf
            self._end_cycle()
            return
        if outcome is Outcome.UNKNOWN:
            self._may_apply_until = max(self._may_apply_until, now)
        elif outcome is Outcome.NO_ANSWER:
            self._may_apply_until = now + MAY_APPLY_FOR
        self._blocked_until = now + retry_after
        if outcome is Outcome.REFUSED:
            self._blocked_until = now + REFUSED_FOR
            for session in self.sessions:
                session.refused = True
            self._end_cycle()
        elif retry_in is None:
            self._attempt, self._not_before, self._quarter_from = 0, inf, self._cycle_began
        else:
            self._not_before, self._quarter_from = now + retry_in, now if self.confirmed else inf

    def _stop_answered(
        self, outcome: Outcome, sent_at: float, now: float, retry_in: float | None, retry_after: float
    ) -> None:
        if outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.NO_ANSWER):
            self._confirmed_at = LONG_AGO
        if outcome is Outcome.NO_ANSWER:
            self._stop_may_apply_until = now + MAY_APPLY_FOR
        if outcome is Outcome.ACCEPTED:
            if self._may_apply_until <= sent_at:
                self._may_apply_until = LONG_AGO
            else:
                self._second_stop_at = self._may_apply_until
            self._forget_cleared(lambda cleared: cleared <= sent_at)
            self._end_cycle()
        elif retry_in is None:
            self._end_cycle()
            if not self.wanted(now):  # else the stop is not given up, just not needed now
                self._may_apply_until = self._confirmed_at = LONG_AGO
                self._forget_cleared(lambda _: True)
        else:
            self._not_before = now + max(retry_in, retry_after)

    def _end_cycle(self) -> None:
        self._attempt = 0
        self._cycle_began = self._not_before = LONG_AGO

    def _begin_anew(self, now: float) -> None:
        """A session joins or resumes: cancel a flush, distrust a start that may have faded, and drop the retries of an
        earlier session."""
        self._flushing = False
        if now >= self._confirmed_at + SHOWN_AT_LEAST:
            self._confirmed_at = LONG_AGO
        if self._retried is Action.START and self.in_flight is None and not self.wanted(now):
            self._end_cycle()

    # -- What now?

    def next(self, now: float) -> tuple[Action | None, float]:
        """What to do now, and when to ask again if no input comes first (``inf``: after the next input)."""
        self._drop_what_is_over(now)
        if self._flushing and not self.pending(now):  # also when a session wants the indicator again
            self._flushing = False
        if self.in_flight is not None:
            return None, inf
        if self._messages and not self._flushing:
            due = inf
        elif now < self._settles_at and not self._flushing:
            due = self._settles_at
        elif self.wanted(now):
            if self.confirmed and self._repeat_at == LONG_AGO:
                return Action.STOP, self._next_change(now)
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

    def expire(self, now: float) -> list[SessionState]:
        """The sessions that have lasted max_duration; each is returned once."""
        ended = [
            session
            for session in self.sessions
            if session.is_open and not session.expired and session.expires_at <= now
        ]
        for session in ended:
            session.expired = True
        return ended

    def _drop_what_is_over(self, now: float) -> None:
        for session in self.sessions:
            if session.lingers_until <= now:
                self.sessions = tuple(other for other in self.sessions if other is not session)
        if self._messages and any(message.blocks_until <= now for message in self._messages):
            self._messages = tuple(message for message in self._messages if message.blocks_until > now)
        for message in self._accepted:
            if message.known_until <= now:
                self._drop(message)

    def _start_due(self, now: float) -> float:
        for session in self.sessions:
            if session.refused and session.is_open:
                return inf
        interval, due = self.interval(now), self._blocked_until
        if self.confirmed:
            due = max(due, min(self._confirmed_at + interval, self._repeat_at))
        if self._retried is Action.START:
            due = max(due, min(self._not_before, self._quarter_from + interval / 4))
        return due

    def _stop_due(self) -> float:
        retry_at = self._not_before if self._retried is Action.STOP else LONG_AGO
        lingers = (session.lingers_until for session in self.sessions if not session.is_open)
        return max(self._second_stop_at, retry_at, *lingers)

    def _next_change(self, now: float) -> float:
        """The next time at which what ``next`` says may change without an input."""
        fades_at = self._may_apply_until + SHOWN_AT_MOST
        moments = [self._settles_at, self._blocked_until, self._stop_may_apply_until, fades_at]
        if self._messages or self._accepted:  # seldom, and this is asked often
            moments.extend(message.blocks_until for message in self._messages)
            moments.extend(message.known_until for message in self._accepted)
        for session in self.sessions:
            moments.extend(session.changes())
        return min([moment for moment in moments if moment > now], default=inf)
