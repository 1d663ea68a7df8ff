"""The indicator of a chat that several processes share: the same machine, plus what the others know.

What all members must agree on are six moments, the *marks*. Each is only ever raised, so the later moment wins, and it
does no harm if one is told twice, late or never::

    may_apply_until        until when a start may take effect
    cleared_until          what took effect before this is surely cleared, by a stop or a message
    started_at             when the last accepted start was sent
    stopped_at             when a stop may last have taken effect
    settles_at             when the last message has settled
    stop_may_apply_until   until when a stop without an answer may take effect

The indicator may be up while ``may_apply_until`` > ``cleared_until``. It is confirmed while ``started_at`` is later
than ``stopped_at`` and ``settles_at``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple, Protocol

from .indicator import LONG_AGO, Action, Indicator, MessageInFlight, Outcome, SessionState

CLOCK_GRACE: Final = 0.04  #: seconds by which the clocks of two members may disagree; also in exchange.lua
ROUNDING: Final = 0.001  #: seconds; marks are told in milliseconds


class Marks(NamedTuple):
    """What a member knows of a chat; see the module's docstring."""

    may_apply_until: float
    cleared_until: float
    started_at: float
    stopped_at: float
    settles_at: float
    stop_may_apply_until: float


class Membership(Protocol):
    """What a chat needs to know of its process; :class:`.member.Member`."""

    clock_error: float

    @property
    def may_send_alone(self) -> bool: ...

    def holds(self, chat_id: str) -> bool: ...


class Share:
    """What a shared chat has to remember beside its indicator."""

    __slots__ = ("ask", "cleared_until", "dirty", "granted_at", "in_call", "lease", "member", "message_at",
                 "message_ids", "own_start", "started_at", "stopped_at", "told", "wait_until", "webhooks")  # fmt: skip

    def __init__(self, member: Membership) -> None:
        self.member = member
        self.cleared_until = self.started_at = self.stopped_at = LONG_AGO  # the marks that an indicator has not
        self.own_start = LONG_AGO  # when a start of this member may have taken effect at the latest
        self.lease: int | None = None  # the number of the call that got it
        self.granted_at = LONG_AGO  # when the server last granted one: what this member sends next is later
        self.ask: Action | None = None  # the request that it asks for
        self.wait_until = LONG_AGO  # when to ask again
        self.dirty = False  # whether the others don't know all yet
        self.told = False  # whether they were told that the indicator is wanted here
        self.in_call = False  # whether the answer to what they were told is still to come
        self.message_at: float | None = None  # a message of which no session here can be the sender
        self.message_ids: Sequence[str] = ()  # own messages that the others don't know yet
        self.webhooks: Sequence[tuple[str, float, str]] = ()  # about messages that this process does not know


class SharedIndicator(Indicator):
    """A mixin, without fields of its own but ``share``: the class that is made of it has the slot."""

    __slots__ = ()
    id: str
    share: Share

    # -- Questions

    def marks(self) -> Marks:
        share = self.share
        return Marks(self._may_apply_until, share.cleared_until, share.started_at, share.stopped_at,
                     self._settles_at, self._stop_may_apply_until)  # fmt: skip

    def wanted_since(self, now: float) -> float | None:
        """When the oldest of the sessions joined that want the indicator. One that has left counts until the end of
        its stop_delay, if the others were told of it: what it leaves is stopped then."""
        wanting = (s for s in self.sessions if s.wants(now) or (self.share.told and _lingers(s, now)))
        return min((s.joined_at for s in wanting), default=None)

    def shortest_interval(self, now: float) -> float:
        return self.interval(now) if self.wanted(now) else inf

    @property
    def sent_at(self) -> float:
        """When the request in flight was sent."""
        return self._sent_at

    def pending(self, now: float) -> bool:
        """As without others; also until they have answered that nobody here wants the indicator: it may be up."""
        share = self.share
        unheard = (share.told or share.in_call) and not share.member.may_send_alone
        return super().pending(now) or (unheard and not self.wanted(now))

    def forgettable(self, now: float) -> bool:
        share = self.share
        told = not (share.dirty or share.told or share.in_call or share.ask or share.member.holds(self.id))
        return super().forgettable(now) and (told or share.member.may_send_alone)

    def next(self, now: float) -> tuple[Action | None, float]:
        """As without others, but a request waits until they agree."""
        action, due = super().next(now)
        share = self.share
        if action is None or share.member.may_send_alone:
            return action, due
        if share.ask is not None:
            return None, due
        return (action, due) if share.wait_until <= now else (None, min(due, share.wait_until))

    # -- Inputs, as without others: they raise the marks

    def send_ended(self, message: MessageInFlight, at: float, accepted: bool) -> None:
        owed = self._may_apply_until
        super().send_ended(message, at, accepted)
        if accepted:
            # A start of another member, so close before that the clocks can't tell, is not cleared.
            surely = message.began_at - 2 * self.share.member.clock_error
            if owed <= self.share.own_start + ROUNDING and self._may_apply_until == LONG_AGO:
                surely = max(surely, owed)
            self.share.cleared_until = max(self.share.cleared_until, surely)
            self.share.stopped_at = max(self.share.stopped_at, self._after_last_start())
            if message.sender is None:
                self.share.message_at = at
            if message.id:
                self.share.message_ids = (*self.share.message_ids, _word(message.id))
            self.share.dirty = True

    def message_failed(self, message: MessageInFlight, now: float) -> None:
        was_up = self._may_apply_until
        super().message_failed(message, now)
        if self._may_apply_until > was_up:  # that it was cleared is a mark, which can't be taken back
            self._may_apply_until = now
            self.share.dirty = True

    def _start_answered(
        self, outcome: Outcome, sent_at: float, now: float, retry_in: float | None, retry_after: float
    ) -> None:
        super()._start_answered(outcome, sent_at, now, retry_in, retry_after)
        if outcome is Outcome.ACCEPTED:
            self.share.started_at = max(self.share.started_at, sent_at)
            self.share.own_start = now
        self._request_ended()

    def _stop_answered(
        self, outcome: Outcome, sent_at: float, now: float, retry_in: float | None, retry_after: float
    ) -> None:
        share, owed = self.share, self._may_apply_until
        sent_at = max(sent_at, share.granted_at)
        super()._stop_answered(outcome, sent_at, now, retry_in, retry_after)
        if outcome is Outcome.ACCEPTED:
            share.cleared_until = max(share.cleared_until, sent_at)
        if self._may_apply_until == LONG_AGO:  # also where it was given up: nobody else shall try again
            share.cleared_until = max(share.cleared_until, owed)
        if not self.confirmed:
            share.stopped_at = max(share.stopped_at, now, self._after_last_start())
        self._request_ended()

    def _after_last_start(self) -> float:
        """Late enough to be told apart from the last start."""
        return self.share.started_at + CLOCK_GRACE + 2 * ROUNDING

    def _request_ended(self) -> None:
        self.share.lease = None
        self.share.dirty = True

    def _begin_anew(self, now: float) -> None:
        was_confirmed = self.confirmed
        super()._begin_anew(now)
        if was_confirmed and not self.confirmed:  # it may have faded; else the marks would confirm it again
            self.share.stopped_at = max(self.share.stopped_at, now)
            self.share.dirty = True

    # -- Inputs from the other members

    def merge(self, marks: Marks) -> None:
        """The others know this."""
        share = self.share
        share.cleared_until = max(share.cleared_until, marks.cleared_until)
        share.started_at = max(share.started_at, marks.started_at)
        share.stopped_at = max(share.stopped_at, marks.stopped_at)
        self._settles_at = max(self._settles_at, marks.settles_at)
        self._stop_may_apply_until = max(self._stop_may_apply_until, marks.stop_may_apply_until)
        may_apply_until = max(self._may_apply_until, marks.may_apply_until)
        if LONG_AGO < self._second_stop_at < may_apply_until:
            self._second_stop_at = may_apply_until
        self._may_apply_until = may_apply_until if may_apply_until > share.cleared_until else LONG_AGO
        if share.started_at < max(share.stopped_at, self._settles_at) - CLOCK_GRACE:
            self._confirmed_at = LONG_AGO
        elif share.started_at > LONG_AGO:
            self._confirmed_at = max(self._confirmed_at, share.started_at)
            if self._repeat_at != LONG_AGO:
                self._repeat_at = self._stop_may_apply_until if share.started_at < self._stop_may_apply_until else inf

    def relieve(self) -> None:
        """Nobody here wants the indicator, and no stop is owed: others want it, or it is down by what all know."""
        self._may_apply_until = self._confirmed_at = self._second_stop_at = LONG_AGO
        self._end_cycle()

    def webhook(self, message_id: str, at: float, kind: str) -> None:
        """A webhook tells of a message that this process does not know: the others may."""
        self.share.webhooks = (*self.share.webhooks, (_word(message_id), at, kind))
        self.share.dirty = True

    def stop_denied(self) -> None:
        """Others want the indicator: it can't be shown again by a stop and a start."""
        if self._repeat_at == LONG_AGO:
            self._repeat_at = inf

    def message_elsewhere(self, at: float) -> None:
        """A member without sessions knows of a message that one of these must have sent."""
        sender = self.guess_sender(at)
        if sender is not None:
            self._quiet(sender, at)


def _word(message_id: str) -> str:
    """The id in characters that the server's lists of ids and its JSON can hold."""
    return re.sub(r"[^!-~]", "_", message_id)


def _lingers(session: SessionState, now: float) -> bool:
    return session.left_at is not None and session.quiet_until <= now < session.lingers_until
