"""One chat: its messages and its recipient's screen."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from linq_typing.sandbox._records import Message, Service, Showing
from linq_typing.sandbox._screen import Screen


@dataclass(slots=True, eq=False)
class Chat:
    """A chat. Its people, service and permissions may change."""

    id: str
    line: str
    people: tuple[str, ...]
    is_group: bool
    created_at: float
    screen: Screen
    reopened: deque[float]
    service: Service = "iMessage"
    typing_allowed: bool = True
    messages: list[Message] = field(default_factory=list)
    sent: dict[str, Message] = field(default_factory=dict)
    """The bot's messages, by idempotency key."""
    forgotten: int = 0
    """How many messages came before the first of `messages`."""
    read_by_bot: float | None = None
    """When the bot last marked the chat as read."""
    read_by_person: float | None = None
    """When the person last opened the chat."""

    def unread(self, now: float) -> tuple[Message, ...]:
        """The messages from the line that the person has not read, in the order in which they landed."""
        read = -math.inf if self.read_by_person is None else self.read_by_person
        found = (m for m in self.messages if not m.from_person and m.has_landed(now) and m.lands_at > read)
        return tuple(sorted(found, key=lambda message: message.lands_at))

    def reopen(self, now: float) -> tuple[Message, ...]:
        """The person opens the chat, and reads its unread messages. Returns those."""
        unread = self.unread(now)
        if unread:
            self.screen.reopen(now)
        self.reopened.append(now)
        self.read_by_person = now
        return unread


class ChatUpdate(NamedTuple):
    """What is new in a chat."""

    now: float
    messages: tuple[Message, ...]
    showings: tuple[tuple[int, Showing], ...]
    """Each with its number, from 0."""
    reopened: tuple[float, ...]
