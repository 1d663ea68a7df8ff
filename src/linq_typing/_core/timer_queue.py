"""Decides which chat to look at next, and when: a calendar queue. Pure.

Most timers are postponed or cancelled before they are due, so only the current bucket is sorted; later ones are plain
lists. An item's ``due`` belongs to the queue. An entry is valid only while its time is the item's ``due``; the others
are stale, and are removed together once they are the majority.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import chain, count
from math import inf
from typing import Final, Generic, Protocol, TypeVar

BUCKET: Final = 1.0  # seconds


class Item(Protocol):
    due: float


T = TypeVar("T", bound=Item)


class TimerQueue(Generic[T]):
    """Items by time. Postponing is lazy: an item comes up at its earlier time, and has to be scheduled again."""

    def __init__(self) -> None:
        self._order = count()
        self._live = 0
        self._clear()

    def _clear(self) -> None:
        self._current = -inf  # the number of the bucket that is sorted
        self._heap: list[tuple[float, int, T]] = []  # that bucket, plus items scheduled before it since
        self._buckets: list[float] = []  # the numbers of the later buckets; also a heap
        self._later: dict[float, list[T]] = {}
        self._entries = 0

    def __len__(self) -> int:
        return self._live

    @property
    def next_at(self) -> float:
        """When to ask again: no item comes up earlier. ``inf`` if there is none."""
        self._drop_stale_head()
        if self._heap:
            return self._heap[0][0]
        return self._buckets[0] * BUCKET if self._buckets else inf

    def schedule(self, item: T, when: float) -> None:
        """Make the item come up at ``when`` at the latest."""
        if when < item.due:
            self.cancel(item)
            item.due = when
            self._live += 1
            self._insert(item)

    def cancel(self, item: T) -> None:
        """Keep the item from coming up."""
        if item.due < inf:
            self._let_go(item)

    def pop(self, now: float) -> T | None:
        """Remove and return an item that is due; None if there is none."""
        while self.next_at <= now:
            if self._heap:
                item = self._take_first()
                self._let_go(item)
                return item
            self._sort_next_bucket()
        return None

    def _let_go(self, item: T) -> None:
        item.due = inf
        self._live -= 1
        if self._entries > 2 * self._live + 64:
            self._drop_stale_entries()

    def _insert(self, item: T) -> None:
        self._entries += 1
        bucket = item.due // BUCKET
        if bucket <= self._current:
            heappush(self._heap, (item.due, next(self._order), item))
        elif bucket in self._later:
            self._later[bucket].append(item)
        else:
            self._later[bucket] = [item]
            heappush(self._buckets, bucket)

    def _sort_next_bucket(self) -> None:
        self._current = heappop(self._buckets)
        items = self._later.pop(self._current)
        self._heap = [(item.due, next(self._order), item) for item in items if item.due // BUCKET == self._current]
        heapify(self._heap)
        self._entries -= len(items) - len(self._heap)

    def _take_first(self) -> T:
        self._entries -= 1
        return heappop(self._heap)[2]

    def _drop_stale_head(self) -> None:
        while self._heap and self._heap[0][0] != self._heap[0][2].due:
            self._take_first()

    def _drop_stale_entries(self) -> None:
        live = dict.fromkeys(item for item in self._items() if item.due < inf)
        self._clear()
        for item in live:
            self._insert(item)

    def _items(self) -> Iterator[T]:
        return chain((entry[2] for entry in self._heap), *self._later.values())
