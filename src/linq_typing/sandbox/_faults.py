"""Faults that the API has on purpose: wrong statuses, delays, lost answers.

Clients meet faults with time-outs of their own, so all durations here are real seconds, whatever the time scale.
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass
from typing import Final, NamedTuple

from linq_typing.sandbox._records import TYPING, Endpoint

Delay = float | tuple[float, float]
"""Seconds, or the two ends of a range from which each request's delay is drawn."""

_ALL: Final[frozenset[Endpoint]] = frozenset({"start", "stop", "send", "react", "read", "get", "other"})

_COVERS: Final[dict[str, frozenset[Endpoint]]] = {
    "*": _ALL,
    "typing": TYPING,
    **{endpoint: frozenset({endpoint}) for endpoint in _ALL},
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
class Plan:
    """The faults of one request."""

    outcome: Answer | Loss | None
    before: float
    after: float


class FaultRule(NamedTuple):
    """A fault that is set, and the requests it is for."""

    id: int
    fault: Answer | Loss | Slowness
    endpoint: str
    chat: str | None
    rate: float
    left: int | None
    """How many more requests it affects; None: no limit."""

    def covers(self, endpoint: Endpoint, chat_id: str | None) -> bool:
        """Whether it is for this request."""
        return endpoint in _COVERS[self.endpoint] and self.chat in (None, chat_id)


class Faults:
    """The faults that are set. Every method may be called from any thread."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: dict[int, FaultRule] = {}
        self._ids = itertools.count(1)

    def add(
        self,
        fault: Answer | Loss | Slowness,
        endpoint: str,
        *,
        chat: str | None = None,
        times: int | None = None,
        rate: float = 1.0,
    ) -> None:
        """Set a fault.

        Parameters:
            endpoint: `start`, `stop`, `typing` (both), `send`, `react`, `read`, `get`, `other` or `*`.
            chat: only for that chat; default: for all.
            times: how many requests it affects; default: all.
            rate: the probability that it affects a request.
        """
        if endpoint not in _COVERS:
            raise ValueError(f"endpoint must be one of {', '.join(sorted(_COVERS))}, got {endpoint!r}")
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
            if outcome is None and slow is None:
                return None
            assert not isinstance(outcome, Slowness)
            before, after = (slow.before, slow.after) if isinstance(slow, Slowness) else (0.0, 0.0)
            return Plan(outcome, self._draw(before), self._draw(after))

    def _first(
        self, kinds: tuple[type, ...], endpoint: Endpoint, chat_id: str | None
    ) -> Answer | Loss | Slowness | None:
        for rule in self._rules.values():
            if isinstance(rule.fault, kinds) and rule.covers(endpoint, chat_id) and self._hits(rule):
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


def _check_delay(name: str, delay: Delay) -> None:
    ends = delay if isinstance(delay, tuple) else (delay, delay)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
        raise ValueError(f"{name} must be seconds, 0 or more, or a (low, high) pair of them, got {delay!r}")
