"""Tracks who waits until the stops of some chats are out."""

from __future__ import annotations

from .chat import Chat
from .waiting import Completion


class _Flush:
    def __init__(self, chats: set[Chat], done: Completion) -> None:
        self.chats = chats
        self.done = done
        self.clean = True


class Flushes:
    """The flushes under way. Each completion says whether every stop was accepted."""

    def __init__(self) -> None:
        self._flushes: list[_Flush] = []

    def __bool__(self) -> bool:
        return bool(self._flushes)

    def add(self, chats: set[Chat], done: Completion) -> None:
        """Set ``done`` once nothing is pending in any of these chats."""
        self._flushes.append(_Flush(chats, done))
        self._end_finished()

    def settled(self, chat: Chat) -> None:
        """Nothing is pending in the chat."""
        for flush in self._flushes:
            flush.chats.discard(chat)
        self._end_finished()

    def gave_up(self, chat: Chat) -> None:
        """A stop of the chat was given up."""
        for flush in self._flushes:
            if chat in flush.chats:
                flush.clean = False

    def abandon(self) -> None:
        """End them all: not every stop was accepted."""
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            flush.done.set(False)

    def _end_finished(self) -> None:
        finished = [flush for flush in self._flushes if not flush.chats]
        self._flushes = [flush for flush in self._flushes if flush.chats]
        for flush in finished:
            flush.done.set(flush.clean)
