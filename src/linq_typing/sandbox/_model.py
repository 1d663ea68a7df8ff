"""Linq's side of things: chats, messages, what each recipient sees. No I/O; the clock is an argument."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._http import ApiError
from linq_typing.sandbox._records import Message, MessageKind, Service, Showing
from linq_typing.sandbox._request_log import Effect, RequestLog
from linq_typing.sandbox._screen import Screen
from linq_typing.sandbox._timeline import Timeline

LINE = "+12025550100"
DEFAULT_SETTLE = 1.0

Settle = float | Iterable[float] | Callable[[], float]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class Chat:
    """A conversation. `service` and `typing_allowed` may be changed while it goes on."""

    id: str
    line: str
    people: tuple[str, ...]
    is_group: bool
    created_at: float
    screen: Screen
    service: Service = "iMessage"
    typing_allowed: bool = True
    messages: list[Message] = field(default_factory=list)
    reopened: list[float] = field(default_factory=list)
    sent: dict[str, Message] = field(default_factory=dict)
    """What went out under each idempotency key."""
    forgotten: int = 0
    """How many messages came before the first of `messages`."""
    read_by_bot: float | None = None
    """When the bot last marked the chat as read."""
    read_by_person: float | None = None
    """When the person last had the chat open."""

    def read(self, now: float) -> Message | None:
        """The person has the chat open: returns the bot's latest message, if it was not read before."""
        before, self.read_by_person = self.read_by_person, now
        landed = [message for message in self.messages if not message.from_person and message.lands_at <= now]
        latest = max(landed, key=lambda message: message.lands_at, default=None)
        return latest if latest and (before is None or latest.lands_at > before) else None


class Glimpse(NamedTuple):
    """What is new in a chat since somebody last looked."""

    now: float
    messages: tuple[Message, ...]
    showings: tuple[tuple[int, Showing], ...]
    reopened: tuple[float, ...]


class Model:
    """The modelled API and its recipients. Every method may be called from any thread.

    Parameters:
        clock: gives modelled seconds, and never goes back; default: real seconds from now.
        shown_for: how long one start shows the indicator, in modelled seconds.
        active_for: how long after a chat's last message its indicator can be shown, in modelled seconds
            (`math.inf`: always).
        settle: how long after its acceptance a message is really sent, and clears the indicator, in modelled
            seconds; or an iterable of those, one for each message (1.0 once it is used up); or a function
            that returns one.
        keep: how many requests, and for each chat how many messages and showings, to remember; None: all.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        shown_for: float = 85.0,
        active_for: float = 300.0,
        settle: Settle = DEFAULT_SETTLE,
        keep: int | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.log = RequestLog(self.clock, keep)
        self._keep = keep
        self.shown_for = _seconds("shown_for", shown_for)
        self._active_for = _seconds("active_for", active_for)
        self._settle = _settles(settle)
        self._epoch = datetime.now(timezone.utc)
        self._lock = threading.RLock()
        self._chats: dict[str, Chat] = {}
        self._chats_of: dict[frozenset[str], list[Chat]] = {}
        self._messages: dict[str, Message] = {}
        self._people = 0

    # Chats

    def add_chat(
        self,
        people: Sequence[str] = (),
        *,
        line: str = LINE,
        group: bool = False,
        service: Service = "iMessage",
        typing_allowed: bool = True,
        active: bool = False,
    ) -> Chat:
        """Make a chat.

        Parameters:
            people: the recipients' phone numbers or addresses; default: one nobody has (for a group, two).
            line: the bot's own number.
            group: a group, even with a single recipient.
            typing_allowed: False: typing requests are refused (403, code 2005).
            active: as if the person had just written.
        """
        with self._lock:
            count = 2 if group else 1
            people = tuple(people) or tuple(self._new_person() for _ in range(count))
            screen = Screen(shown_for=self.shown_for, active_for=self._active_for, keep=self._keep)
            is_group = group or len(people) > 1
            chat = Chat(str(uuid.uuid4()), line, people, is_group, self.clock(), screen, service, typing_allowed)
            self._chats[chat.id] = chat
            self._chats_of.setdefault(frozenset(people), []).append(chat)
            if active:
                chat.screen.received(chat.created_at)
            return chat

    def chat(self, chat_id: str) -> Chat:
        """The chat with this id; `ApiError` 404 when there is none, 400 when it is no UUID."""
        chat = self.get(chat_id)
        if chat is not None:
            return chat
        if _UUID.fullmatch(chat_id):
            raise ApiError(404, 2001)
        raise ApiError(400, 1005, f"chatId must be a valid UUID, got {chat_id!r}")

    def get(self, chat_id: str) -> Chat | None:
        """The chat with this id, or None."""
        return self._chats.get(chat_id) or self._chats.get(chat_id.lower())

    def chat_between(self, people: Iterable[str], line: str | None = None) -> Chat | None:
        """The oldest chat with exactly these people (on that line), or None."""
        with self._lock:
            chats = self._chats_of.get(frozenset(people), ())
            return next((chat for chat in chats if line in (None, chat.line)), None)

    def message(self, message_id: str) -> Message:
        """The message with this id; `ApiError` 404 when there is none, 400 when it is no UUID."""
        message = self.get_message(message_id)
        if message is not None:
            return message
        if _UUID.fullmatch(message_id):
            raise ApiError(404, 2002)
        raise ApiError(400, 1005, f"messageId must be a valid UUID, got {message_id!r}")

    def get_message(self, message_id: str) -> Message | None:
        """The message with this id, or None."""
        return self._messages.get(message_id.lower())

    # What the bot does

    def start(self, chat: Chat) -> Effect:
        """Ask for the indicator."""
        _check_typing_allowed(chat)
        with self._lock:
            now = self.clock()
            if chat.service != "iMessage":
                return Effect(chat.id, now, "nothing", f"{chat.service} shows no indicator")
            return Effect(chat.id, now, *chat.screen.start(now))

    def stop(self, chat: Chat) -> Effect:
        """Take the indicator away."""
        _check_typing_allowed(chat)
        with self._lock:
            now = self.clock()
            return Effect(chat.id, now, *chat.screen.stop(now))

    def send(
        self,
        chat: Chat,
        text: str = "",
        *,
        kind: MessageKind = "message",
        key: str | None = None,
    ) -> tuple[Message, Effect]:
        """Accept a message of the bot's; it is really sent, and clears the indicator, when it has settled.

        Parameters:
            key: an idempotency key: under one that was used before, nothing is sent again.
        """
        with self._lock:
            now = self.clock()
            if key is not None and key in chat.sent:
                return chat.sent[key], Effect(chat.id, now, "nothing", "idempotency key used before")
            message = self._add(chat, text, kind, now, lands_at=now + self._settle())
            chat.screen.accepted(now, message.lands_at)
            if key is not None:
                chat.sent[key] = message
                self._trim(chat.sent)
            return message, Effect(chat.id, now, "message")

    # What the person does

    def read(self, chat: Chat) -> None:
        """The bot marks the chat as read."""
        chat.read_by_bot = self.clock()

    def write(self, chat: Chat, text: str = "") -> Message:
        """The person writes: the chat is active again; the indicator stays as it is."""
        with self._lock:
            now = self.clock()
            chat.screen.received(now)
            return self._add(chat, text, "message", now, lands_at=now, from_person=True)

    def reopen(self, chat: Chat) -> Message | None:
        """The person brings the chat to the front: a showing indicator drops, and the messages are read.

        Then a start alone does not bring it back, before a stop or a message has come. Returns the bot's latest
        message, if it is read only now.
        """
        with self._lock:
            now = self.clock()
            chat.screen.reopen(now)
            chat.reopened.append(now)
            del chat.reopened[: -self._keep if self._keep else 0]
            return chat.read(now)

    def change(
        self,
        chat: Chat,
        *,
        service: Service | None = None,
        group: bool | None = None,
        typing_allowed: bool | None = None,
    ) -> None:
        """It becomes another kind of chat. What is None stays."""
        with self._lock:
            chat.service = service or chat.service
            chat.is_group = chat.is_group if group is None else group
            chat.typing_allowed = chat.typing_allowed if typing_allowed is None else typing_allowed
            if chat.is_group and len(chat.people) == 1:
                self._join(chat, self._new_person())
            if chat.service != "iMessage":
                chat.screen.stop(self.clock())

    # What can be seen

    def visible(self, chat: Chat) -> bool:
        """Whether the person sees the indicator now."""
        with self._lock:
            return chat.screen.visible(self.clock())

    def showing(self) -> tuple[str, ...]:
        """The ids of the chats whose indicator is seen now."""
        with self._lock:
            now = self.clock()
            return tuple(chat.id for chat in self._chats.values() if chat.screen.visible(now))

    def chats(self) -> tuple[Chat, ...]:
        """All chats, oldest first."""
        with self._lock:
            return tuple(self._chats.values())

    def timeline(self, chat: Chat) -> Timeline:
        """All that happened in this chat so far."""
        with self._lock:
            requests, max_typing = self.log.of_chat(chat.id)
            now = self.clock()
            return Timeline(
                chat_id=chat.id,
                service=chat.service,
                is_group=chat.is_group,
                now=now,
                requests=requests,
                showings=chat.screen.showings(now),
                messages=tuple(chat.messages),
                reopened=tuple(chat.reopened),
                max_typing_in_flight=max_typing,
            )

    def glimpse(self, chat: Chat, first_message: int, first_showing: int) -> Glimpse:
        """What happened in this chat from its message, and its showing, of those numbers on (from 0)."""
        with self._lock:
            now = self.clock()
            messages = tuple(chat.messages[max(first_message - chat.forgotten, 0) :])
            return Glimpse(now, messages, chat.screen.showings_from(first_showing, now), tuple(chat.reopened))

    def wall_time(self, moment: float) -> str:
        """A modelled time as the API writes it, ISO 8601."""
        return (self._epoch + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")

    def _add(
        self,
        chat: Chat,
        text: str,
        kind: MessageKind,
        now: float,
        *,
        lands_at: float,
        from_person: bool = False,
    ) -> Message:
        message = Message(str(uuid.uuid4()), chat.id, kind, text, from_person, now, lands_at)
        chat.messages.append(message)
        self._messages[message.id] = message
        if self._keep is not None and len(chat.messages) > self._keep:
            del self._messages[chat.messages.pop(0).id]
            chat.forgotten += 1
        return message

    def _trim(self, kept: dict[str, Message]) -> None:
        if self._keep is not None and len(kept) > self._keep:
            del kept[next(iter(kept))]

    def _join(self, chat: Chat, person: str) -> None:
        self._chats_of[frozenset(chat.people)].remove(chat)
        chat.people = (*chat.people, person)
        self._chats_of.setdefault(frozenset(chat.people), []).append(chat)

    def _new_person(self) -> str:
        self._people += 1
        return f"+1202{5550100 + self._people:07d}"


def _check_typing_allowed(chat: Chat) -> None:
    if not chat.typing_allowed:
        raise ApiError(403, 2005, "Typing indicators are not supported for group chats")


def _settles(settle: Settle) -> Callable[[], float]:
    if callable(settle):
        return settle
    if isinstance(settle, Iterable):
        delays = iter(settle)
        return lambda: next(delays, DEFAULT_SETTLE)
    fixed = settle
    _seconds("settle", fixed)
    return lambda: fixed


def _seconds(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must be seconds, 0 or more, got {value!r}")
    return value
