"""Which chat is to be looked at again, and when: a heap. Pure.

An item's ``due`` belongs to the agenda. An entry of the heap counts while its time is the item's ``due``;
others are stale, and are thrown out together once they are the majority.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar


class Item(Protocol):
    due: float


T = TypeVar("T", bound=Item)


class Agenda(Generic[T]):
    """Items by time. Putting off is lazy: an item comes up at its earlier time, and is asked for a new one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()
        self._stale = 0

    def __len__(self) -> int:
        return len(self._heap) - self._stale

    @property
    def next_at(self) -> float:
        """When the next item comes up; ``inf`` if there is none."""
        while self._heap and self._heap[0][0] != self._heap[0][2].due:
            heappop(self._heap)
            self._stale -= 1
        return self._heap[0][0] if self._heap else inf

    def call_up(self, item: T, when: float) -> None:
        """Let the item come up at ``when`` at the latest."""
        if when < item.due:
            self.strike(item)
            item.due = when
            heappush(self._heap, (when, next(self._order), item))

    def strike(self, item: T) -> None:
        """Forget the item."""
        if item.due < inf:
            item.due = inf
            self._stale += 1
            if self._stale > 64 and self._stale > len(self._heap) / 2:
                self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
                heapify(self._heap)
                self._stale = 0

    def pop(self, now: float) -> T | None:
        """An item whose time has come, taken off; None if there is none."""
        while self._heap and self._heap[0][0] <= now:
            when, _, item = heappop(self._heap)
            if item.due == when:
                item.due = inf
                return item
            self._stale -= 1
        return None
