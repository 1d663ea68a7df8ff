"""Records with revisions, so that whoever has seen some of them can be given the rest."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import takewhile
from typing import Any

Record = dict[str, Any]


class Revisions:
    """Counts changes; several shelves share one."""

    def __init__(self) -> None:
        self.latest = 0

    def next(self) -> int:
        """The number of one more change."""
        self.latest += 1
        return self.latest


class Shelf:
    """The latest records of one kind, in the order of their last change.

    Parameters:
        room: how many records fit; the one whose change is longest ago goes first.
    """

    def __init__(self, revisions: Revisions, room: int) -> None:
        self._revisions = revisions
        self._room = room
        self._records: dict[Hashable, tuple[int, Record]] = {}

    def put(self, key: Hashable, record: Record) -> None:
        """Put it there, in place of the one before. Nothing when they are the same."""
        before = self._records.get(key)
        if before is not None and before[1] == record:
            return
        self._records.pop(key, None)
        self._records[key] = (self._revisions.next(), record)
        if len(self._records) > self._room:
            del self._records[next(iter(self._records))]

    def since(self, revision: int) -> list[Record]:
        """The records that changed after that revision."""
        latest_first = reversed(self._records.values())
        return [record for _, record in takewhile(lambda entry: entry[0] > revision, latest_first)][::-1]
