"""A model of Linq's server and of what the sessions want, independent of the indicator, to check it against.

:class:`World` plays the engine, the sessions, their messages and the server. It writes down all that
happened and judges every answer of the indicator by that history alone:

* A request takes effect at some moment between being sent and its answer; one answered 5xx perhaps not at
  all; one whose answer was lost perhaps not at all, or up to 5 s later. A message clears the indicator at
  some moment between its request and ``settle`` after its acceptance. The indicator fades 85 to 90 s after
  a start took effect.
* Webhooks tell that an accepted message was sent, delivered (which may be later than ``settle`` after all), or never
  sent; that somebody else's message has cleared the indicator; and that the person has opened the chat: then the device
  drops the indicator, and may show no start before it sees a stop or a message.
* A start may *survive* if no accepted stop, and no accepted message, surely comes after it. As long as one
  may survive, a stop is owed; when none can, a stop is needless.

Each thing that happens also gets one concrete moment (``where``, 0 to 1, says how early or late), from
which follows what the recipient really sees.

Times are multiples of a quarter second, so that the arithmetic is exact and moments often coincide.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from types import ModuleType
from typing import Any

from linq_typing._core.indicator import UnknownSender
from linq_typing._settings import SessionOptions

SETTLE = 3.0
TIMEOUT = 5.0
MAY_APPLY_FOR = 5.0
MAX_SEND_TIME = 120.0
SHOWN_AT_LEAST = 85.0
SHOWN_AT_MOST = 90.0
REFUSED_FOR = 600.0
MAX_RETRY_AFTER = 3600.0
KNOWN_FOR = 60.0
DELIVERED_WITHIN = 0.5
UP_FOR = 3.0

OPTIONS = (
    SessionOptions(),
    SessionOptions(start_delay=2.0, stop_delay=1.0, max_duration=None),
    SessionOptions(refresh_interval=20.0, max_duration=10.0),
    SessionOptions(resume_after=1.0, refresh_interval=30.0, max_duration=None),
    SessionOptions(resume_after=5.0, max_duration=40.0),
    SessionOptions(stop_delay=0.0, refresh_interval=5.0, max_duration=None),
    SessionOptions(refresh_interval=300.0),
    SessionOptions(refresh_interval=inf, max_duration=inf),
)
DELAYS = (0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.75, 5.0, 15.0, 60.0, 90.0, 700.0)
LATENESS = (0.0, 0.0, 0.25, 1.0)
WHERE = (0.0, 0.25, 0.5, 0.75, 1.0)
RETRIES = (None, 0.0, 0.5, 2.0, 8.0, 40.0)
RETRY_AFTERS = (0.0, 0.0, -1.0, 1.0, 30.0, 86_400.0)
FAILURES = ("UNKNOWN", "NO_ANSWER", "NOT_APPLIED", "REFUSED")


@dataclass(eq=False)
class Session:
    """What one session asks for, from its own history."""

    state: Any
    options: SessionOptions
    joined_at: float
    left_at: float | None = None
    lingers_until: float = -inf
    paused_at: float | None = None
    paused_for: float = 0.0
    quiet_until: float = -inf
    told: bool = False
    refused: bool = False

    def lasted(self, now: float) -> bool:
        """Whether it has worked for max_duration."""
        rested = self.paused_for + (0.0 if self.paused_at is None else now - self.paused_at)
        return self.options.max_duration is not None and now - self.joined_at - rested >= (self.options.max_duration)

    def wants(self, now: float) -> bool:
        if self.left_at is not None or self.paused_at is not None or self.told or self.lasted(now):
            return False
        return now - self.joined_at >= self.options.start_delay and now >= self.quiet_until


@dataclass(eq=False)
class Request:
    """A start or a stop."""

    start: bool
    number: int
    sent_at: float
    answered_at: float | None = None
    outcome: str | None = None
    effect_at: float | None = None  # the concrete moment

    @property
    def latest(self) -> float:
        """The latest moment at which it may have taken effect; -inf if it did nothing."""
        assert self.answered_at is not None
        if self.outcome in ("ACCEPTED", "UNKNOWN"):
            return self.answered_at
        return self.answered_at + MAY_APPLY_FOR if self.outcome == "NO_ANSWER" else -inf


@dataclass(eq=False)
class Message:
    """A message sent to the chat."""

    session: Session | None
    in_flight: Any
    began_at: float
    ended_at: float | None = None
    accepted: bool = False
    failed: bool = False  # after it was accepted
    delivered: bool = False
    settles_at: float = -inf
    known_until: float = -inf  # when webhooks no longer tell of it
    clears_at: float | None = None  # the concrete moment


@dataclass(eq=False)
class Other:
    """A message of somebody else."""

    clears_at: float
    observed_at: float


class World:
    """Everything around one indicator. Each method is something that happens; all of them check the answers."""

    def __init__(self, machine: ModuleType, *, starts_work: bool = False, observes: bool = False) -> None:
        self.machine = machine
        self.indicator = machine.Indicator(SETTLE)
        self.observes = observes  # whether there are webhooks
        self.starts_work = starts_work  # then no gap is excused by a failed start
        self.now = 0.0
        self.wake = inf
        self.said = ""  # the indicator's last answer, in words
        self.sound = True  # False in the middle of something, and for ever once that went wrong
        self.has_slot = True
        self.queued = False  # a request is due, and no slot is free
        self.flushing = False
        self.sessions: list[Session] = []
        self.requests: list[Request] = []
        self.messages: list[Message] = []
        self.others: list[Other] = []
        self.drops: list[float] = []  # when the device dropped the indicator, because the chat was opened
        self.to_show_again: Request | None = None  # the start that was confirmed when the chat was opened
        self.in_flight: Request | None = None
        self.forgiven = 0  # requests before this number were given up on
        self.gave_up = False
        self.outdated = 0  # no start before this one is confirmed: it may have faded, or something else cleared it
        self.blocked_until = -inf
        self.cycle: bool | None = None  # of starts (True) or stops (False)
        self.cycle_began = -inf
        self.attempt = 0
        self.retry_at = -inf  # when a failed request is tried again; inf if its cycle was given up
        self.quarter_from = inf  # a start also a quarter of the interval after this
        self.resumes = self.failures = 0
        self.revisions = 0  # webhooks that may each cause one more start
        self.wanted_for = 0.0

    # -- What is so

    @property
    def log(self) -> list[str]:
        """The requests that were made: what, and when."""
        return [f"{'start' if r.start else 'stop'} {r.sent_at:g}" for r in self.requests]

    @property
    def open(self) -> list[Session]:
        return [s for s in self.sessions if s.left_at is None]

    @property
    def on_their_way(self) -> list[Message]:
        return [m for m in self.messages if m.ended_at is None]

    @property
    def blocking(self) -> list[Message]:
        """The messages in flight that nothing may overtake."""
        return [m for m in self.on_their_way if self.now < m.began_at + MAX_SEND_TIME]

    @property
    def accepted(self) -> list[Message]:
        return [m for m in self.messages if m.accepted]

    @property
    def undelivered(self) -> list[Message]:
        """The accepted messages whose delivery has not been told."""
        return [m for m in self.accepted if not m.delivered]

    @property
    def known(self) -> list[Message]:
        """The accepted messages that webhooks may still tell of, or that have not settled."""
        return [m for m in self.undelivered if not m.failed and self.now < m.known_until]

    @property
    def settled_at(self) -> float:
        return max((m.settles_at for m in self.accepted), default=-inf)

    def wanted(self, at: float | None = None) -> bool:
        return any(s.wants(self.now if at is None else at) for s in self.sessions)

    def lingering(self) -> list[Session]:
        return [s for s in self.sessions if s.left_at is not None and s.lingers_until > self.now]

    def survivors(self) -> list[Request]:
        """The starts that some ordering leaves showing."""
        stops = [r for r in self.requests if not r.start and r.outcome == "ACCEPTED"]
        stopped_at, stops_until = (stops[-1].sent_at, stops[-1].number) if stops else (-inf, -1)
        began_at = max((m.began_at for m in self.accepted if not m.failed), default=-inf)
        oldest = self.now - TIMEOUT - MAY_APPLY_FOR - SHOWN_AT_MOST
        recent = takewhile(lambda request: request.sent_at >= oldest, reversed(self.requests))
        return [
            start
            for start in recent
            if start.start
            and start.number >= self.forgiven
            and start.outcome is not None
            and self.now < start.latest + SHOWN_AT_MOST
            and not (start.number < stops_until and start.latest <= stopped_at)
            and not start.latest < began_at
        ]

    def confirmed(self) -> Request | None:
        """The last start that was accepted, if nothing but an earlier stop whose answer was lost can have touched
        it since."""
        for request in reversed(self.requests):
            if request.number < self.forgiven:
                return None
            if request.start and request.outcome == "ACCEPTED":
                if request.number < self.outdated:
                    return None
                touched = [m.settles_at for m in self.accepted] + [o.observed_at for o in self.others]
                return request if all(at <= request.sent_at for at in touched) else None
            if not request.start and request.outcome in ("ACCEPTED", "UNKNOWN", "NO_ANSWER"):
                return None
        return None

    def stop_may_apply_until(self, start: Request | None = None) -> float:
        """Until when a stop, sent before that start, may take effect although its answer was lost."""
        before = len(self.requests) if start is None else start.number
        return max((r.latest for r in self.requests[:before] if not r.start and r.outcome == "NO_ANSWER"), default=-inf)

    def visible(self) -> list[tuple[float, float]]:
        """When the recipient sees the dots: the concrete intervals, each start fading as early as it may."""
        effects = [(r.effect_at, r.number, "start" if r.start else "stop") for r in self.requests]
        clears = [(m.clears_at, -1, "message") for m in [*self.messages, *self.others]]
        drops = [(at, -1, "drop") for at in self.drops]
        history = sorted(each for each in [*effects, *clears, *drops] if each[0] is not None)
        shown, ignores = [], False  # whether the device ignores starts
        for index, (at, _, what) in enumerate(history):
            ignores = what == "drop" or (ignores and what == "start")
            if what == "start" and not ignores:
                cleared = next((c for c, _, then in history[index:] if then != "start"), inf)
                shown.append((at, min(cleared, at + SHOWN_AT_LEAST)))
        return shown

    # -- What the indicator must answer

    def _held_back(self) -> bool:
        """Whether a message keeps everything waiting."""
        if self.flushing and not self.wanted():
            return False
        return bool(self.blocking) or self.now < self.settled_at

    def allowed(self) -> set[str | None]:
        """The answers that the history allows now."""
        if self.in_flight is not None or self._held_back():
            return {None}
        if self.wanted():
            again = self.to_show_again is not None and self.confirmed() is self.to_show_again
            return {"STOP"} if again else self._starts_allowed()
        return self._stops_allowed() if self.survivors() else {None}

    def _starts_allowed(self) -> set[str | None]:
        if any(s.refused for s in self.open) or self.now < self.blocked_until:
            return {None}
        due, confirmed = -inf, self.confirmed()
        interval = min(s.options.refresh_interval for s in self.open if s.wants(self.now))
        if confirmed is not None:
            due = confirmed.answered_at + interval
            if confirmed.sent_at < (lost := self.stop_may_apply_until(confirmed)):
                due = min(due, lost)
        if self.cycle is True:
            due = max(due, min(self.retry_at, self.quarter_from + interval / 4))
        return {"START"} if self.now >= due else {None}

    def _stops_allowed(self) -> set[str | None]:
        due = self.retry_at if self.cycle is False else -inf
        if self.lingering():
            return {None}
        last = self.requests[-1]
        if not last.start and last.outcome == "ACCEPTED":  # the other one, for a start whose answer was lost
            due = max(due, *(start.latest for start in self.survivors()))
        return {"STOP"} if self.now >= due else {None}

    # -- The engine

    def ask(self, *, by_time: bool = False) -> None:
        """Do what the indicator says until it says wait."""
        self.sound = False
        early = by_time and not self.queued and self.now < self.wake
        self._check_expired(early)
        if self.wanted() or (self.in_flight is None and not self.survivors()):
            self.flushing = False  # there is nothing pending any more
        action, at = self.indicator.next(self.now)
        name = None if action is None else action.name
        assert name in self.allowed(), f"at {self.now}: {name}, but the history allows {self.allowed()}"
        assert not (early and action), f"at {self.now}: {name}, before the promised moment {self.wake}"
        self._check_questions()
        self.said = name.lower() if name else f"+{at - self.now:g}" if at < inf else "wait"
        self.queued = action is not None and not self.has_slot
        if action is None or self.queued:
            assert at > self.now, "asks to be asked again at once, forever"
            self.wake = at
        else:
            self._send(action)
        self.sound = True

    def _check_expired(self, early: bool) -> None:
        told = self.indicator.expire(self.now)
        mine = [s for s in self.open if s.lasted(self.now) and not s.told and s.paused_at is None]
        assert [s.state for s in mine] == told, f"at {self.now}: max_duration is reported for the wrong sessions"
        assert not (early and told and not self.in_flight), (
            f"at {self.now}: max_duration is over before the promised moment"
        )
        for session in mine:
            session.told = True

    def _check_questions(self) -> None:
        """The other questions that the engine asks."""
        up = bool(self.survivors())
        busy = self.in_flight is not None or up
        rest = not (
            self.open or self.lingering() or self.blocking or self.known or busy
            or self.now < max(self.settled_at, self.blocked_until, self.stop_may_apply_until())
        )  # fmt: skip
        asked = self.indicator
        assert asked.maybe_up(self.now) is up, f"at {self.now}: maybe_up is not {up}"
        assert asked.wanted(self.now) is self.wanted(), f"at {self.now}: wanted is not {self.wanted()}"
        assert asked.pending(self.now) is (busy and not self.wanted()), f"at {self.now}: pending is wrong"
        assert asked.forgettable(self.now) is rest, f"at {self.now}: forgettable is not {rest}"
        assert asked.confirmed is (self.confirmed() is not None), f"at {self.now}: confirmed is {asked.confirmed}"
        self.guess()

    def _send(self, action: Any) -> None:
        start = action.name == "START"
        assert self.in_flight is None, "two requests at once"
        if self.cycle is not start or self.attempt == 0:
            self.cycle, self.cycle_began, self.attempt = start, self.now, 0
        self.attempt += 1
        self.to_show_again = None
        self.in_flight = Request(start, len(self.requests), self.now)
        self.requests.append(self.in_flight)
        self.indicator.sent(action, self.now)
        assert self.indicator.attempt == self.attempt, "the attempts are miscounted"
        self.ask()

    def advance(self, seconds: float) -> None:
        """Time passes, and the engine's timer and the client's time-out do their work."""
        until = self.now + seconds
        while True:
            times_out = self.in_flight.sent_at + TIMEOUT if self.in_flight else inf
            at = min(self.wake, times_out, until)
            if self.wanted():
                self.wanted_for += at - self.now
            self.now = at
            if times_out <= at:
                self.answer("ACCEPTED" if self.starts_work and self.in_flight.start else "NO_ANSWER", retry_in=2.0)
            else:
                self.ask(by_time=True)
            if at >= until:
                return

    # -- What happens: the network

    def answer(
        self, outcome: str, *, retry_in: float | None = None, retry_after: float = 0.0,
        where: float = 0.5,
    ) -> None:  # fmt: skip
        """The request in flight ends."""
        request, self.in_flight = self.in_flight, None
        assert request is not None
        request.answered_at, request.outcome = self.now, outcome
        request.effect_at = self._effect(request, where)
        was_confirmed = self.confirmed() is not None
        if outcome == "ACCEPTED":
            self._end_cycle()
        elif request.start:
            self._start_failed(outcome, retry_in, retry_after, was_confirmed)
        else:
            self._stop_failed(retry_in, retry_after)
        self.indicator.answered(self.machine.Outcome[outcome], self.now, retry_in=retry_in, retry_after=retry_after)
        self.ask()

    def _effect(self, request: Request, where: float) -> float | None:
        """A low ``where`` means never, if that may be."""
        latest = max(request.latest, self.now)
        if request.latest == -inf or (request.outcome != "ACCEPTED" and where < 0.25):
            return None
        return request.sent_at + where * (latest - request.sent_at)

    def _start_failed(self, outcome: str, retry_in: float | None, retry_after: float, was_confirmed: bool) -> None:
        self.failures += 1
        if outcome == "REFUSED":
            self._end_cycle()
            self.blocked_until = self.now + REFUSED_FOR
            for session in self.open:
                session.refused = True
            return
        self.blocked_until = self.now + min(retry_after, MAX_RETRY_AFTER)
        if retry_in is None:
            self.attempt, self.retry_at, self.quarter_from = 0, inf, self.cycle_began
        else:
            self.retry_at, self.quarter_from = self.now + retry_in, self.now if was_confirmed else inf

    def _stop_failed(self, retry_in: float | None, retry_after: float) -> None:
        self.failures += 1
        if retry_in is not None:
            self.retry_at = self.now + max(retry_in, min(retry_after, MAX_RETRY_AFTER))
            return
        self._end_cycle()
        if not self.wanted():
            self.forgiven = len(self.requests)
            self.gave_up = True

    def _end_cycle(self) -> None:
        self.attempt = 0
        self.retry_at, self.quarter_from = -inf, inf

    # -- What happens: sessions

    # ``late`` is how long ago it happened: it is reported from another thread.

    def join(self, options: SessionOptions = OPTIONS[0], *, late: float = 0.0) -> Session:
        at = self.now - late
        self._begin_anew(at)
        session = Session(self.machine.SessionState(options, at), options, at)
        self.sessions.append(session)
        self.indicator.join(session.state, at)
        self.ask()
        return session

    def leave(self, session: Session, *, error: bool = False, late: float = 0.0) -> None:
        at = max(self.now - late, session.joined_at)
        linger = 0.0 if error else session.options.stop_delay
        session.left_at = at
        session.lingers_until = at + (0.0 if self.flushing else linger)
        assert self.indicator.leave(session.state, at, linger) is True, "it was open"
        assert self.indicator.leave(session.state, at, 100.0) is False, "a session leaves once"
        self.ask()

    def pause(self, session: Session, *, late: float = 0.0) -> None:
        at = max(self.now - late, session.joined_at)
        session.paused_at = at if session.paused_at is None else session.paused_at
        self.indicator.pause(session.state, at)
        self.ask()

    def resume(self, session: Session, *, late: float = 0.0) -> None:
        at = max(self.now - late, session.joined_at, session.paused_at or 0.0)
        self._begin_anew(at)
        self.resumes += 1
        if session.paused_at is not None:
            session.paused_for += at - session.paused_at
        session.paused_at, session.quiet_until = None, -inf
        self.indicator.resume(session.state, at)
        self.ask()

    def _begin_anew(self, at: float) -> None:
        """A new session waits for no retry of an earlier one, and relies on no start that may have faded."""
        self.flushing = False
        confirmed = self.confirmed()
        if confirmed is not None and confirmed.answered_at + SHOWN_AT_LEAST <= at:
            self._outdate()
        if self.cycle is True and self.in_flight is None and not self.wanted(at):
            self._end_cycle()

    def _outdate(self) -> None:
        """No start that has been answered shows any more."""
        self.outdated = len(self.requests) - (self.in_flight is not None)

    def flush(self) -> None:
        self.flushing = True
        if self.cycle is False:
            self.retry_at = -inf
        for session in self.lingering():
            session.lingers_until = self.now
        self.indicator.flush()
        self.ask()

    def grant(self, has_slot: bool) -> None:
        """Whether the engine's queue has a free slot for the next request."""
        self.has_slot = has_slot
        self.ask()

    # -- What happens: messages. ``late`` is how long ago it happened.

    def send(self, session: Session | UnknownSender | None, *, late: float = 0.0) -> Message:
        """A message whose path names the chat is on its way."""
        message = self._message(session, self.now - late)
        self.indicator.send_began(message.in_flight)
        self.ask()
        return message

    def end(self, message: Message, accepted: bool = True, *, late: float = 0.0, where: float = 0.5) -> None:
        """Its answer is there."""
        self._ended(message, max(message.began_at, self.now - late), accepted, where)
        self.ask()

    def sent(
        self, session: Session | UnknownSender | None, *, took: float = 0.0, late: float = 0.0, where: float = 0.5
    ) -> Message:
        """A message that is known only by its answer; one marked as sent if it ``took`` no time."""
        at = self.now - late
        message = self._message(session, at - took)
        self.indicator.send_began(message.in_flight)
        self._ended(message, at, True, where)
        self.ask()
        return message

    def _message(self, session: Session | UnknownSender | None, began_at: float) -> Message:
        sender: Any = session
        if session == "unknown":
            session = self.guess(self.now - began_at)
        elif session is not None:
            began_at, sender = max(began_at, session.joined_at), session.state
        in_flight = self.machine.MessageInFlight(began_at, sender)
        in_flight.known_for = KNOWN_FOR if self.observes else 0.0
        message = Message(session, in_flight, began_at)
        self.messages.append(message)
        return message

    def guess(self, late: float = 0.0) -> Session | None:
        """The session that a message of an unknown sender is put down to; checks that the indicator says the same."""
        at = self.now - late
        left = [s for s in self.lingering() if s.left_at <= at]
        there = [s for s in self.sessions if s in self.open or s in self.lingering()]
        there = [s for s in there if s.joined_at <= at and (s.left_at is None or at < s.left_at)]
        session = max(left, key=lambda s: s.left_at) if left else next(iter(there), None)
        assert self.indicator.guess_sender(at) is (session and session.state), "the message is put to the wrong one"
        return session

    def _ended(self, message: Message, at: float, accepted: bool, where: float) -> None:
        at = max(at, message.began_at)
        message.ended_at, message.accepted = at, accepted
        if accepted:
            self._outdate()
            message.settles_at = at + SETTLE
            message.known_until = at + (KNOWN_FOR if self.observes else SETTLE)
            message.clears_at = message.began_at + (0.01 + 0.98 * where) * (at + SETTLE - message.began_at)
            self._quiet(message.session, at)
        self.indicator.send_ended(message.in_flight, at, accepted)

    def _quiet(self, session: Session | None, at: float) -> None:
        if session is not None:
            again = session.options.resume_after
            until = inf if again is None else at + max(again, SETTLE)
            session.quiet_until = max(session.quiet_until, until)

    # -- What happens: webhooks

    def went_out(self, message: Message) -> None:
        """An accepted message was sent from the line."""
        self._settle_by(message, self.now + DELIVERED_WITHIN)
        self.indicator.message_sent(message.in_flight, self.now)
        self.ask()

    def deliver(self, message: Message, *, late: float = 0.0) -> None:
        """It was delivered: ``late`` ago, or so long ago as it was accepted. Perhaps after it was said to have
        failed."""
        at = max(message.ended_at, self.now - late)
        if at > message.settles_at:
            self.revisions += 1
            self._outdate()
            message.settles_at = message.clears_at = self.now
        self._settle_by(message, self.now)
        message.delivered = True
        self.indicator.message_delivered(message.in_flight, at, self.now)
        self.ask()

    def fail(self, message: Message) -> None:
        """It was never sent. That is the truth only of one that is still known, and was not delivered."""
        if message in self.known:
            self.revisions += 1
            message.failed, message.clears_at = True, None
            self._settle_by(message, self.now)
        self.indicator.message_failed(message.in_flight, self.now)
        self.ask()

    def _settle_by(self, message: Message, at: float) -> None:
        if at < message.settles_at:
            self._outdate()
        message.settles_at = min(message.settles_at, at)
        message.clears_at = None if message.clears_at is None else min(message.clears_at, at)

    def observe(self, *, late: float = 0.0) -> None:
        """Somebody else's message has cleared the indicator, ``late`` ago."""
        self.revisions += 1
        self._outdate()
        self._quiet(self.guess(late), self.now - late)
        self.others.append(Other(self.now - late, self.now))
        self.indicator.message_observed(self.now - late, self.now)
        self.ask()

    def read(self, *, drops: bool = True) -> None:
        """The person has read a message: opened the chat, so that the device drops the indicator, or had it open."""
        if drops:
            self.drops.append(self.now)
        again = self._shows_again()
        if again:
            self.revisions += 1
            self.to_show_again = self.confirmed()
        assert self.indicator.chat_read(self.now) is again, f"at {self.now}: shown again, or not, against the history"
        self.ask()

    def _shows_again(self) -> bool:
        start = self.confirmed()
        return (
            self.wanted()
            and start is not None
            and start is not self.to_show_again
            and start.answered_at + UP_FOR <= self.now
            and start.sent_at >= self.stop_may_apply_until(start)
            and self.in_flight is None
            and self.attempt == 0 and self.retry_at == -inf
            and not self.blocking
            and self.now >= max(self.settled_at, self.blocked_until)
        )  # fmt: skip

    # -- The end

    def finish(self) -> None:
        """All leave, all is answered, time runs on: there must be rest, and no ghost."""
        self.grant(True)
        for session in self.open:
            self.leave(session)
        for message in self.on_their_way:
            self.end(message)
        self._come_to_rest()
        assert self.indicator.forgettable(self.now), "at rest, but not forgettable"
        assert not self.survivors(), "at rest, and some ordering leaves the indicator up"
        assert self.gave_up or not any(since <= self.now < to for since, to in self.visible()), "a ghost"
        self._check_starts()
        if self.starts_work and all(s.options.refresh_interval <= 60.0 for s in self.sessions):
            self._check_gaps()

    def _come_to_rest(self) -> None:
        for _ in range(60):
            if self.in_flight is not None:
                self.advance(0.25)
                if self.in_flight is not None:
                    self.answer("ACCEPTED", where=1.0)
            elif self.wake < inf:
                self.advance(min(self.wake - self.now, MAX_RETRY_AFTER))
            else:
                return
        raise AssertionError("it never comes to rest")

    def _check_starts(self) -> None:
        """There are no more starts than something asked for."""
        starts = sum(r.start for r in self.requests)
        shortest = min((s.options.refresh_interval for s in self.sessions), default=60.0)
        resumed = self.resumes + sum(
            m.session is not None and m.session.options.resume_after is not None for m in self.accepted
        )
        causes = len(self.sessions) + len(self.accepted) + resumed + self.failures + self.revisions
        assert starts <= causes + self.wanted_for / shortest, f"{starts} starts, too many"

    def _check_gaps(self) -> None:
        """From the answer of a start that no message touched until the next stop or message, the dots show.

        If the answer of an earlier stop was lost, that stop may follow the start: then there may be a gap until
        the start is repeated.
        """
        shown = self.visible()
        for start in self.requests:
            if start.start and not self._disturbed(start):
                lost = self.stop_may_apply_until(start)
                since = start.answered_at if start.sent_at >= lost else max(lost, start.answered_at) + TIMEOUT
                self._check_gap(since, self._undisturbed_until(start), shown)

    def _disturbed(self, start: Request) -> bool:
        """Whether something else may have cleared it at the same time, or the device have ignored it."""
        spans = [(m.began_at, max(m.ended_at, m.settles_at)) for m in self.messages]
        spans += [(o.clears_at, o.observed_at) for o in self.others]
        if any(start.sent_at < to and start.answered_at >= since for since, to in spans):
            return True
        dropped = max((at for at in self.drops if at <= start.answered_at), default=-inf)
        seen = [r.effect_at for r in self.requests if not r.start and r.number < start.number]
        seen += [m.clears_at for m in [*self.messages, *self.others]]
        return dropped > -inf and not any(at is not None and dropped < at <= start.sent_at for at in seen)

    def _undisturbed_until(self, start: Request) -> float:
        stops = [r.sent_at for r in self.requests if not r.start and r.number > start.number]
        began = [m.began_at for m in self.messages] + [o.clears_at for o in self.others] + self.drops
        return min([*stops, *(at for at in began if at > start.answered_at), self.now])

    @staticmethod
    def _check_gap(since: float, until: float, shown: list[tuple[float, float]]) -> None:
        at = since
        while at < until:
            reach = max((to for begin, to in shown if begin <= at < to), default=at)
            assert reach > at, f"a gap at {at}: the dots should show from {since} to {until}"
            at = reach


# -- Something at random


def random_walk(machine: ModuleType, seed: int, steps: int = 30) -> None:
    """Let chance drive a world for a while, then finish. No two walks are of the same temper."""
    chance = random.Random(seed)
    world = World(machine, starts_work=chance.random() < 0.3, observes=chance.random() < 0.5)
    kinds = [_time] * chance.choice((1, 2, 6)) + [_session] + [_message] * chance.choice((0, 1, 1))
    if world.observes:
        kinds += chance.choice(([_webhook], [_webhook] * 2, [_webhook, _message] * 2, [_reply] * 4, [_open] * 2))
    slow = chance.choice((0.0, 0.0, 0.5, 1.0))  # how seldom an answer comes at once
    for _ in range(chance.randrange(4, steps)):
        random_step(world, chance, kinds, slow)
    world.finish()


def random_step(world: World, chance: random.Random, kinds: list[Any], slow: float) -> None:
    if world.in_flight is not None and chance.random() < 0.4:
        _network(world, chance)
    else:
        chance.choice(kinds)(world, chance)
    if world.in_flight is not None and chance.random() >= slow:
        world.answer("ACCEPTED", where=chance.choice(WHERE))


def _time(world: World, chance: random.Random) -> None:
    world.advance(chance.choice(DELAYS[:10] if chance.random() < 0.85 else (*DELAYS[10:], 60.0, 90.0, 90.0)))


def _network(world: World, chance: random.Random) -> None:
    where = chance.choice(WHERE)
    if (world.starts_work and world.in_flight.start) or chance.random() < 0.5:
        return world.answer("ACCEPTED", where=where)
    outcome = chance.choice(FAILURES if chance.random() < 0.4 else FAILURES[:3])
    retry_in = None if outcome == "REFUSED" else chance.choice(RETRIES)
    retry_after = chance.choice(RETRY_AFTERS) if outcome in ("NOT_APPLIED", "UNKNOWN") else 0.0
    return world.answer(outcome, retry_in=retry_in, retry_after=retry_after, where=where)


def _session(world: World, chance: random.Random) -> None:
    late = chance.choice(LATENESS)
    if not world.open or chance.random() < 0.3:
        world.join(chance.choice(OPTIONS), late=late)
        return
    session = chance.choice(world.open)
    kind = chance.randrange(8)
    if kind < 4:
        world.leave(session, error=kind == 0, late=late)
    elif kind == 4:
        world.pause(session, late=late)
    elif kind < 7:
        world.resume(session, late=late)
    elif chance.random() < 0.3:
        world.flush()
    elif not world.starts_work:
        world.grant(not world.has_slot)


def _message(world: World, chance: random.Random) -> None:
    late, where = chance.choice(LATENESS), chance.choice(WHERE)
    session = chance.choice([None, "unknown", *world.open, *world.open, *world.lingering()])
    if world.on_their_way and chance.random() < 0.6:
        message = chance.choice(world.on_their_way)
        world.end(message, chance.random() < 0.8, late=late, where=where)
    elif chance.random() < 0.6:
        world.send(session, late=late)
    else:
        world.sent(session, took=chance.choice((0.0, 0.0, 0.5, 4.0)), late=late, where=where)


def _open(world: World, chance: random.Random) -> None:
    """Somebody comes back to the chat, perhaps right after a refresh was refused."""
    world.advance(chance.choice((0.25, 3.0, 5.0, 20.0)))
    if world.in_flight is not None and not world.starts_work:
        world.answer("REFUSED")
    world.read(drops=chance.random() < 0.7)


def _reply(world: World, chance: random.Random) -> None:
    """Messages that follow a start, and what webhooks tell of them."""
    world.advance(chance.choice((0.25, 1.0, 3.0)))
    if world.in_flight is not None and not world.in_flight.start:
        world.answer("NOT_APPLIED")
    elif chance.random() < 0.5:
        world.sent(None)
    elif world.known:
        chance.choice((world.fail, world.fail, world.deliver))(chance.choice(world.known))


def _webhook(world: World, chance: random.Random) -> None:
    kind, about = chance.randrange(8), world.known or world.undelivered
    if kind == 0:
        world.observe(late=chance.choice(LATENESS))
    elif kind == 1 or not about:
        world.read(drops=chance.random() < 0.7)
    elif kind == 2:
        world.went_out(chance.choice(about))
    elif kind < 5:
        world.fail(chance.choice(about))
    elif kind == 5:
        for message in about:  # the line is down
            world.fail(message)
    else:
        world.deliver(chance.choice(about), late=chance.choice((*LATENESS, 5.0)))
