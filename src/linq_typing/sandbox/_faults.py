"""What the API gets wrong on purpose: statuses, delays, lost answers.

Faults live on the wire, where the client meets them with its own time-outs: all their durations are real
seconds, whatever the time scale.
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass
from typing import Final, NamedTuple

from linq_typing.sandbox._records import TYPING, Endpoint

Delay = float | tuple[float, float]
"""Seconds, or the two ends of a range that each request gets its own figure from."""

_ALL: Final[frozenset[Endpoint]] = frozenset({"start", "stop", "send", "react", "read", "get", "other"})

_COVERS: Final[dict[str, frozenset[Endpoint]]] = {
    "*": _ALL,
    "typing": TYPING,
    **{endpoint: frozenset({endpoint}) for endpoint in _ALL},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The fault of answering with this status instead of the right one."""

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
    """The fault of closing the connection without an answer, or of never answering."""

    hang: bool = False
    effect: bool = True
    effect_after: float = 0.0

    def __post_init__(self) -> None:
        _check_delay("effect_after", self.effect_after)


@dataclass(frozen=True, slots=True)
class Slowness:
    """The fault of taking long, before the request takes effect and after."""

    before: Delay = 0.0
    after: Delay = 0.0

    def __post_init__(self) -> None:
        _check_delay("before", self.before)
        _check_delay("after", self.after)


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong with one request."""

    outcome: Answer | Loss | None
    before: float
    after: float


class Standing(NamedTuple):
    """A fault that is set, as it is read."""

    id: int
    fault: Answer | Loss | Slowness
    endpoint: str
    chat: str | None
    rate: float
    left: int | None
    """How many more requests will meet it; None: no limit."""


@dataclass(slots=True)
class _Rule:
    fault: Answer | Loss | Slowness
    endpoint: str
    endpoints: frozenset[Endpoint]
    chat: str | None
    rate: float
    left: int | None
    id: int

    def covers(self, endpoint: Endpoint, chat_id: str | None) -> bool:
        return endpoint in self.endpoints and self.chat in (None, chat_id)


class Faults:
    """The faults that are set. Every method may be called from any thread."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
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
            times: used up after so many requests; default: never.
            rate: the probability that a request it covers meets it.
        """
        if endpoint not in _COVERS:
            raise ValueError(f"endpoint must be one of {', '.join(sorted(_COVERS))}, got {endpoint!r}")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be a probability from 0 to 1, got {rate!r}")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for no limit, got {times!r}")
        with self._lock:
            self._rules.append(_Rule(fault, endpoint, _COVERS[endpoint], chat, rate, times, next(self._ids)))

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._rules.clear()

    def remove(self, fault_id: int) -> None:
        """Take one away. Nothing when it is used up already."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.id != fault_id]

    def standing(self) -> tuple[Standing, ...]:
        """The faults that are set, the first one first."""
        with self._lock:
            return tuple(Standing(r.id, r.fault, r.endpoint, r.chat, r.rate, r.left) for r in self._rules)

    def pick(self, endpoint: Endpoint, chat_id: str | None) -> Plan | None:
        """What goes wrong with this request: at most one slowness, and one wrong answer or loss.

        The fault that was set first comes first. None: nothing goes wrong.
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
        for rule in self._rules:
            if isinstance(rule.fault, kinds) and rule.covers(endpoint, chat_id) and self._strikes(rule):
                self._use(rule)
                return rule.fault
        return None

    def _strikes(self, rule: _Rule) -> bool:
        return rule.rate == 1 or self._random.random() < rule.rate

    def _use(self, rule: _Rule) -> None:
        if rule.left is not None:
            rule.left -= 1
            if rule.left == 0:
                self._rules.remove(rule)

    def _draw(self, delay: Delay) -> float:
        return self._random.uniform(*delay) if isinstance(delay, tuple) else delay


def _check_delay(name: str, delay: Delay) -> None:
    ends = delay if isinstance(delay, tuple) else (delay, delay)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
        raise ValueError(f"{name} must be seconds, 0 or more, or a (low, high) pair of them, got {delay!r}")
