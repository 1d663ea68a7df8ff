"""One chat in the engine."""

from __future__ import annotations

from math import inf

from .._core.indicator import Action, Indicator
from .._core.request_queue import Priority
from ..errors import LinqTypingError


class Chat(Indicator):
    """The indicator of a chat with something to do or to remember, and the engine's own fields.

    A subclass, not two objects: with tens of thousands of chats, a second one would cost a tenth of their memory.
    """

    __slots__ = ("due", "id", "refusal", "shown")

    def __init__(self, chat_id: str, settle: float) -> None:
        super().__init__(settle)
        self.id = chat_id
        self.due = inf  # the timer queue's
        self.refusal: LinqTypingError | None = None  # for sessions that join later
        self.shown = False  # whether this chat is included in the count

    def priority(self, action: Action) -> Priority:
        """The priority of its next request."""
        if action is Action.STOP:
            return Priority.STOP
        return Priority.REFRESH if self.confirmed else Priority.FIRST_START
