"""Deliberate faults: wrong statuses, delays, lost answers, messages that fail, late or disordered webhooks.

The API's faults are timed in real seconds at every time scale, since clients have time-outs of their own. A webhook's
delay is in simulated seconds.
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar, get_args

from linq_typing.sandbox._records import TYPING, Endpoint, WebhookEvent

Delay = float | tuple[float, float]
"""Seconds, or the two ends of a range from which each request's delay is drawn."""

Affected = Endpoint | WebhookEvent
"""What a fault may affect."""

_Covers = dict[str, frozenset[Affected]]

_REQUESTS: Final[_Covers] = {
    "*": frozenset(get_args(Endpoint)),
    "typing": frozenset(TYPING),
    **{endpoint: frozenset({endpoint}) for endpoint in get_args(Endpoint)},
}
_MESSAGES: Final[_Covers] = {"send": frozenset({"send"})}
_WEBHOOKS: Final[_Covers] = {
    "webhook": frozenset(get_args(WebhookEvent)),
    **{event: frozenset({event}) for event in get_args(WebhookEvent)},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers with this status instead of the right one."""

    status: int
    code: int | None = None
    message: str | None = None
    retry_after: float | str | None = None
    body: bytes | None = None
    effect: bool = False
    effect_after: float = 0.0

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"status must be from 200 to 599, got {self.status!r}")
        _check_delay("effect_after", self.effect_after)


@dataclass(frozen=True, slots=True)
class Loss:
    """Closes the connection without an answer, or never answers."""

    hang: bool = False
    effect: bool = True
    effect_after: float = 0.0

    def __post_init__(self) -> None:
        _check_delay("effect_after", self.effect_after)


@dataclass(frozen=True, slots=True)
class Slowness:
    """Delays the request before it takes effect, and after."""

    before: Delay = 0.0
    after: Delay = 0.0

    def __post_init__(self) -> None:
        _check_delay("before", self.before)
        _check_delay("after", self.after)


@dataclass(frozen=True, slots=True)
class SendFailure:
    """Accepts a message that is never sent."""

    failure_code: int = 4001


@dataclass(frozen=True, slots=True)
class Lateness:
    """Delivers a webhook this many simulated seconds late."""

    late: Delay

    def __post_init__(self) -> None:
        _check_delay("seconds", self.late)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Delivers a webhook more than once."""

    copies: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"copies must be at least 1, got {self.copies!r}")


@dataclass(frozen=True, slots=True)
class Reordering:
    """Delivers a webhook after the next one of its chat."""


RequestFault = Answer | Loss | Slowness
WebhookFault = Lateness | Duplicate | Reordering
Fault = RequestFault | SendFailure | WebhookFault

_F = TypeVar("_F", bound=Fault)


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of one request."""

    outcome: Answer | Loss | None
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class WebhookPlan:
    """How one webhook is delivered."""

    late: float
    copies: int
    reordered: bool


class FaultRule(NamedTuple):
    """A fault that is set, and the requests or webhooks that it affects."""

    id: int
    fault: Fault
    endpoint: str
    chat: str | None
    rate: float
    left: int | None
    """How many more it affects; None: no limit."""

    def covers(self, affected: Affected, chat_id: str | None) -> bool:
        """Whether it may affect this request or webhook."""
        return affected in _covers(self.fault)[self.endpoint] and self.chat in (None, chat_id)


class Faults:
    """The faults that are set. Every method may be called from any thread."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: dict[int, FaultRule] = {}
        self._ids = itertools.count(1)

    def add(
        self,
        fault: Fault,
        endpoint: str,
        *,
        chat: str | None = None,
        times: int | None = None,
        rate: float = 1.0,
    ) -> None:
        """Set a fault.

        Parameters:
            endpoint: `start`, `stop`, `typing` (both), `send`, `react`, `read`, `get`, `other` or `*`; for a
                `SendFailure`: `send`; for a webhook's fault: an event, or `webhook` (all).
            chat: only for that chat; default: for all.
            times: how many it affects; default: all.
            rate: the probability that it affects one.
        """
        if endpoint not in (known := _covers(fault)):
            name = "event" if known is _WEBHOOKS else "endpoint"
            raise ValueError(f"{name} must be one of {', '.join(sorted(known))}, got {endpoint!r}")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be a probability from 0 to 1, got {rate!r}")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for no limit, got {times!r}")
        with self._lock:
            rule = FaultRule(next(self._ids), fault, endpoint, chat, rate, times)
            self._rules[rule.id] = rule

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._rules.clear()

    def remove(self, fault_id: int) -> None:
        """Remove one. Does nothing if it is used up already."""
        with self._lock:
            self._rules.pop(fault_id, None)

    def standing(self) -> tuple[FaultRule, ...]:
        """The faults that are set, in the order in which they were set."""
        with self._lock:
            return tuple(self._rules.values())

    def pick(self, endpoint: Endpoint, chat_id: str | None) -> Plan | None:
        """The faults for this request: at most one delay, and at most one wrong answer or loss. None: no fault.

        Of several, the one that was set first applies.
        """
        if not self._rules:
            return None
        with self._lock:
            outcome = self._first((Answer, Loss), endpoint, chat_id)
            slow = self._first((Slowness,), endpoint, chat_id)
            assert outcome is None or isinstance(outcome, (Answer, Loss))  # for the type checker
            if outcome is None and slow is None:
                return None
            before, after = (slow.before, slow.after) if slow else (0.0, 0.0)
            return Plan(outcome, self._draw(before), self._draw(after))

    def pick_failure(self, chat_id: str) -> SendFailure | None:
        """The failure of this message that has just been accepted."""
        with self._lock:
            return self._first((SendFailure,), "send", chat_id)

    def pick_webhook(self, event: WebhookEvent, chat_id: str) -> WebhookPlan:
        """The faults for this webhook: at most one of each kind."""
        with self._lock:
            late = self._first((Lateness,), event, chat_id)
            duplicate = self._first((Duplicate,), event, chat_id)
            reordering = self._first((Reordering,), event, chat_id)
            return WebhookPlan(
                self._draw(late.late) if late else 0.0, duplicate.copies if duplicate else 0, reordering is not None
            )

    def _first(self, kinds: tuple[type[_F], ...], affected: Affected, chat_id: str | None) -> _F | None:
        for rule in self._rules.values():
            if isinstance(rule.fault, kinds) and rule.covers(affected, chat_id) and self._hits(rule):
                self._use(rule)
                return rule.fault
        return None

    def _hits(self, rule: FaultRule) -> bool:
        return rule.rate == 1 or self._random.random() < rule.rate

    def _use(self, rule: FaultRule) -> None:
        if rule.left == 1:
            del self._rules[rule.id]
        elif rule.left is not None:
            self._rules[rule.id] = rule._replace(left=rule.left - 1)

    def _draw(self, delay: Delay) -> float:
        return self._random.uniform(*delay) if isinstance(delay, tuple) else delay


def _covers(fault: Fault) -> _Covers:
    if isinstance(fault, SendFailure):
        return _MESSAGES
    return _REQUESTS if isinstance(fault, (Answer, Loss, Slowness)) else _WEBHOOKS


def _check_delay(name: str, delay: Delay) -> None:
    ends = delay if isinstance(delay, tuple) else (delay, delay)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
        raise ValueError(f"{name} must be seconds, 0 or more, or a (low, high) pair of them, got {delay!r}")
