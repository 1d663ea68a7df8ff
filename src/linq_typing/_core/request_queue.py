"""Decides which request gets the next free connection: a priority queue. Pure.

Stops go first: a ghost is worse than a late start. Then first starts: the person sees nothing yet.
Refreshes can wait: an indicator stays up for 25 s after its refresh is due. Every eighth slot goes to a first start
even while stops wait, so that many ending sessions do not delay new ones.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Collection, Hashable
from math import inf
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_START_TURN: Final = 8  #: every 8th slot goes to a first start, if one is queued
MEAN_OF: Final = 64  #: about how many requests count for their mean duration


class Priority(enum.IntEnum):
    """What a request is for; the lowest goes first."""

    STOP = 0
    FIRST_START = 1
    REFRESH = 2


class RequestQueue(Generic[K]):
    """A number of slots, and the keys that wait for one: each key once, and first in, first out within a priority.

    Times are in seconds, on any clock.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._in_use = 0
        self._acquired = 0
        self._held_at = -inf  # when starts were last held back by something else
        self._mean_duration = 0.0  # how long a request uses a slot; the latest ones count most
        # In each queue, the time from which each key waits.
        self._queues: tuple[OrderedDict[K, float], ...] = tuple(OrderedDict() for _ in Priority)

    @property
    def in_use(self) -> int:
        return self._in_use

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues))

    @property
    def has_free_slot(self) -> bool:
        return self._in_use < self.capacity

    @property
    def oldest_refresh(self) -> tuple[K, float] | None:
        """The refresh that has waited longest, and the time since which it waits for a slot. None if it was waiting for
        something else before."""
        first = next(iter(self._queues[Priority.REFRESH].items()), None)
        return first if first is not None and first[1] > self._held_at else None

    def starts_waiting(self, *, besides: Collection[K] = ()) -> bool:
        """Whether a start is waiting for a key other than these."""
        return any(key not in besides for queue in self._queues[Priority.FIRST_START :] for key in queue)

    def enqueue(self, key: K, priority: Priority, now: float) -> None:
        """Wait for a slot. A key that waits already keeps its turn, unless its priority has changed."""
        if key not in self._queues[priority]:
            self.discard(key)
            self._queues[priority][key] = now

    def discard(self, key: K) -> None:
        for queue in self._queues:
            queue.pop(key, None)

    def acquire(self, now: float, *, starts: bool, avoid: Collection[K] = ()) -> K | None:
        """Take a slot for the key whose turn it is; None if no slot is free or no key may go.

        Without ``starts`` only stops may go. A start whose key is in ``avoid`` goes only if no other is waiting.
        """
        if not starts:
            self._held_at = now
        if not self.has_free_slot:
            return None
        stops, first_starts, refreshes = self._queues
        queues = (stops, first_starts, refreshes) if starts else (stops,)
        if starts and self._acquired % FIRST_START_TURN == FIRST_START_TURN - 1:
            queues = (first_starts, stops, refreshes)
        for avoided in (avoid, ()):
            for queue in queues:
                key = next((key for key in queue if queue is stops or key not in avoided), None)
                if key is not None:
                    self._take_out(key, queue)
                    self._in_use += 1
                    self._acquired += 1
                    return key
        return None

    def release(self, used_for: float | None = None) -> None:
        """Give a slot back. ``used_for``: how long a request has used it."""
        self._in_use -= 1
        if used_for is not None:
            self._mean_duration += (used_for - self._mean_duration) / (MEAN_OF if self._mean_duration else 1)

    def slots_for(self, rate: float) -> float:
        """How many slots are in use on average, if so many requests are made per second."""
        return rate * self._mean_duration

    @staticmethod
    def _take_out(key: K, queue: OrderedDict[K, float]) -> None:
        del queue[key]
        if not queue:
            queue.clear()  # gives back the memory
