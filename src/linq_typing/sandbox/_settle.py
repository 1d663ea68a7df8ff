"""How long messages take from their acceptance to their landing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

DEFAULT_SETTLE = 1.0

Settle = float | Iterable[float] | Callable[[], float]


def settle_function(settle: Settle) -> Callable[[], float]:
    """A function that returns the next message's duration each time it is called."""
    if callable(settle):
        return settle
    if isinstance(settle, Iterable):
        delays = iter(settle)
        return lambda: next(delays, DEFAULT_SETTLE)
    fixed = checked_seconds("settle", settle)
    return lambda: fixed


def checked_seconds(name: str, value: float) -> float:
    """The value, if it is a duration."""
    if not value >= 0:
        raise ValueError(f"{name} must be seconds, 0 or more, got {value!r}")
    return value
