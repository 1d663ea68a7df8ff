"""One chat: its messages and its recipient's screen."""

from __future__ import annotations

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

    def reopen(self, now: float) -> Message | None:
        """The person opens the chat. Returns the bot's latest message if it was unread until now."""
        self.screen.reopen(now)
        self.reopened.append(now)
        before, self.read_by_person = self.read_by_person, now
        landed = [message for message in self.messages if not message.from_person and message.lands_at <= now]
        latest = max(landed, key=lambda message: message.lands_at, default=None)
        return latest if latest and (before is None or latest.lands_at > before) else None


class ChatUpdate(NamedTuple):
    """What is new in a chat."""

    now: float
    messages: tuple[Message, ...]
    showings: tuple[tuple[int, Showing], ...]
    """Each with its number, from 0."""
    reopened: tuple[float, ...]
