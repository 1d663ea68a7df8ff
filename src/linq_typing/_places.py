"""Who makes the next request: a queue of our own before httpx's pools. Pure.

Stops go first: a ghost is worse than a late start. Then first starts: somebody looks at an empty screen.
Refreshes can wait: an indicator stays up 25 s beyond its refresh. Now and then a start goes before the stops all
the same, so that a crowd that leaves does not hold up who comes.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Collection, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

TURN_OF_STARTS: Final = 8  #: every so-manieth place goes to a first start, if one waits


class Rank(enum.IntEnum):
    """What a request is for; the lowest goes first."""

    STOP = 0
    FIRST_START = 1
    REFRESH = 2


class Places(Generic[K]):
    """A number of places, and those who wait for one, each at most once and first come, first served."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._taken = 0
        self._given = 0
        self._queues: tuple[OrderedDict[K, None], ...] = tuple(OrderedDict() for _ in Rank)

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues))

    @property
    def free(self) -> bool:
        return self._taken < self._capacity

    def starts_waiting(self, *, besides: Collection[K] = ()) -> bool:
        """Whether a start waits that is of none of these."""
        return any(who not in besides for queue in self._queues[Rank.FIRST_START :] for who in queue)

    def wait(self, who: K, rank: Rank) -> None:
        """Queue for a place. Who waits already keeps its turn, unless the rank has changed."""
        if who not in self._queues[rank]:
            self.withdraw(who)
            self._queues[rank][who] = None

    def withdraw(self, who: K) -> None:
        for queue in self._queues:
            queue.pop(who, None)

    def next(self, *, starts: bool, avoid: Collection[K] = ()) -> K | None:
        """Who may go now, no longer waiting; None if nobody. Without ``starts`` only those with a stop; a start of
        those to avoid only if no other one waits."""
        if not self.free:
            return None
        stops, first_starts, refreshes = self._queues
        queues = (stops, first_starts, refreshes) if starts else (stops,)
        if starts and self._given % TURN_OF_STARTS == TURN_OF_STARTS - 1:
            queues = (first_starts, stops, refreshes)
        for avoided in (avoid, ()):
            for queue in queues:
                who = next((who for who in queue if queue is stops or who not in avoided), None)
                if who is not None:
                    del queue[who]
                    if not queue:
                        queue.clear()  # gives back what a crowd took
                    return who
        return None

    def take(self) -> None:
        self._taken += 1
        self._given += 1

    def release(self) -> None:
        self._taken -= 1
