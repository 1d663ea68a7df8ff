"""Simulated time, which can run faster than real time."""

from __future__ import annotations

import time


class Clock:
    """Calling it returns the simulated seconds since it was created.

    Parameters:
        scale: simulated seconds per real second; above 0. May be changed at any time, from any thread; the time does
            not jump.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self._reading = (time.monotonic(), 0.0, _checked(scale))

    def __call__(self) -> float:
        real, simulated, scale = self._reading
        return simulated + (time.monotonic() - real) * scale

    @property
    def scale(self) -> float:
        """Simulated seconds per real second."""
        return self._reading[2]

    @scale.setter
    def scale(self, scale: float) -> None:
        real = time.monotonic()
        since, simulated, old = self._reading
        self._reading = (real, simulated + (real - since) * old, _checked(scale))


def _checked(scale: float) -> float:
    if not 0 < scale < float("inf"):
        raise ValueError(f"time_scale must be a number above 0, got {scale!r}")
    return scale
