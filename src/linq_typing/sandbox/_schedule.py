"""Calls that are due at certain times. Pure: `now` is an argument."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

Call = Callable[[], None]


class Schedule:
    """Calls in the order of their times; those of the same time in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: float, call: Call) -> None:
        """Schedule a call."""
        heapq.heappush(self._heap, (at, next(self._numbers), call))

    def pop(self, now: float) -> Call | None:
        """Remove and return the first call that is due; None: none is."""
        return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= now else None

    @property
    def next_at(self) -> float | None:
        """When the next call is due; None: there is none."""
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget all calls."""
        self._heap.clear()
