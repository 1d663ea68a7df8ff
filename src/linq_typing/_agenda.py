"""Which chat is to be looked at again, and when: a calendar. Pure.

The days to come are mere lists, for most of what they hold is put off or struck before its day; only today is sorted.
An item's ``due`` belongs to the agenda. An entry counts while it says what the item's ``due`` says; others are stale,
and are thrown out together once they are the majority.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import chain, count
from math import inf
from typing import Final, Generic, Protocol, TypeVar

DAY: Final = 1.0  # seconds


class Item(Protocol):
    due: float


T = TypeVar("T", bound=Item)


class Agenda(Generic[T]):
    """Items by time. Putting off is lazy: an item comes up at its earlier time, and is asked for a new one."""

    def __init__(self) -> None:
        self._order = count()
        self._live = 0
        self._clear()

    def _clear(self) -> None:
        self._today = -inf
        self._heap: list[tuple[float, int, T]] = []  # of today, and of what was called up for earlier since
        self._days: list[float] = []  # a heap, too
        self._later: dict[float, list[T]] = {}
        self._entries = 0

    def __len__(self) -> int:
        return self._live

    @property
    def next_at(self) -> float:
        """When to ask again: no item comes up before. ``inf`` if there is none."""
        self._drop_stale_head()
        if self._heap:
            return self._heap[0][0]
        return self._days[0] * DAY if self._days else inf

    def call_up(self, item: T, when: float) -> None:
        """Let the item come up at ``when`` at the latest."""
        if when < item.due:
            self.strike(item)
            item.due = when
            self._live += 1
            self._enter(item)

    def strike(self, item: T) -> None:
        """Forget the item."""
        if item.due < inf:
            self._let_go(item)

    def pop(self, now: float) -> T | None:
        """An item whose time has come, taken off; None if there is none."""
        while self.next_at <= now:
            if self._heap:
                item = self._take_first()
                self._let_go(item)
                return item
            self._open_next_day()
        return None

    def _let_go(self, item: T) -> None:
        item.due = inf
        self._live -= 1
        if self._entries > 2 * self._live + 64:
            self._drop_stale_entries()

    def _enter(self, item: T) -> None:
        self._entries += 1
        day = item.due // DAY
        if day <= self._today:
            heappush(self._heap, (item.due, next(self._order), item))
        elif day in self._later:
            self._later[day].append(item)
        else:
            self._later[day] = [item]
            heappush(self._days, day)

    def _open_next_day(self) -> None:
        self._today = heappop(self._days)
        items = self._later.pop(self._today)
        self._heap = [(item.due, next(self._order), item) for item in items if item.due // DAY == self._today]
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
            self._enter(item)

    def _items(self) -> Iterator[T]:
        return chain((entry[2] for entry in sorted(self._heap)), *self._later.values())
