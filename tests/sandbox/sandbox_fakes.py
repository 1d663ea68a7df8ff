"""Stand-ins for the sandbox's own tests."""

from __future__ import annotations


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def __iadd__(self, seconds: float) -> FakeClock:
        self.now += seconds
        return self
