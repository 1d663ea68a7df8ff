"""The state of Linq and its chats. No I/O; the clock is passed in."""

from __future__ import annotations

import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from linq_typing.sandbox._chat import Chat, ChatUpdate
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._http import ApiError
from linq_typing.sandbox._records import Message, MessageKind, Service
from linq_typing.sandbox._request_log import Effect, RequestLog
from linq_typing.sandbox._screen import Screen
from linq_typing.sandbox._settle import DEFAULT_SETTLE, Settle, checked_seconds, settle_function
from linq_typing.sandbox._timeline import Timeline

LINE = "+12025550100"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Model:
    """The simulated API and its recipients. Every method may be called from any thread.

    Parameters:
        clock: returns simulated seconds, which never decrease; default: real seconds from now.
        shown_for, active_for, settle, keep: as in `Sandbox`.
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
        self.on_message: Callable[[Chat, Message], None] | None = None
        """Called for each new message, with the model locked."""
        self.log = RequestLog(self.clock, keep)
        self._keep = keep
        self.shown_for = checked_seconds("shown_for", shown_for)
        self._active_for = checked_seconds("active_for", active_for)
        self._settle = settle_function(settle)
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
        """Create a chat.

        Parameters:
            people: the recipients' phone numbers or addresses; default: one unused number (for a group, two).
            line: the bot's own number.
            group: a group, even with a single recipient.
            typing_allowed: False: typing requests are refused (403, code 2005).
            active: as if the person had just written.
        """
        with self._lock:
            people = tuple(people) or tuple(self._new_person() for _ in range(2 if group else 1))
            is_group = group or len(people) > 1
            screen = Screen(shown_for=self.shown_for, active_for=self._active_for, keep=self._keep)
            reopened = deque[float](maxlen=self._keep)
            now = self.clock()
            chat = Chat(str(uuid.uuid4()), line, people, is_group, now, screen, reopened, service, typing_allowed)
            self._chats[chat.id] = chat
            self._chats_of.setdefault(frozenset(people), []).append(chat)
            if active:
                screen.received(now)
            return chat

    def chat(self, chat_id: str) -> Chat:
        """The chat with this id; `ApiError` 404 if there is none, 400 if it is not a UUID."""
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
        """The message with this id; `ApiError` 404 if there is none, 400 if it is not a UUID."""
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
        """Request the indicator."""
        _check_typing_allowed(chat)
        with self._lock:
            now = self.clock()
            if chat.service != "iMessage":
                return Effect(chat.id, now, "nothing", f"{chat.service} shows no indicator")
            return Effect(chat.id, now, *chat.screen.start(now))

    def stop(self, chat: Chat) -> Effect:
        """Take the indicator down."""
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
        options: Sequence[str] = (),
        failure: Callable[[], int | None] = lambda: None,
    ) -> tuple[Message, Effect]:
        """Accept a message from the bot. It lands, and clears the indicator, when it has settled.

        Parameters:
            key: an idempotency key: a second message under the same key is not sent.
            options: of a poll.
            failure: called once it is accepted; returns the error code with which it fails instead of landing, or None.
        """
        with self._lock:
            if key is not None and key in chat.sent:
                return chat.sent[key], Effect(chat.id, self.clock(), "nothing", "idempotency key used before")
            message = self._accept(
                chat, text, kind, idempotency_key=key, options=tuple(options), failure_code=failure()
            )
            if key is not None:
                chat.sent[key] = message
                if self._keep is not None and len(chat.sent) > self._keep:
                    del chat.sent[next(iter(chat.sent))]
            return message, Effect(chat.id, message.accepted_at, "message")

    def send_as_colleague(self, chat: Chat, text: str = "") -> Message:
        """A human sends a message from the bot's own number. It settles and clears as one of the bot does."""
        with self._lock:
            return self._accept(chat, text, "message", from_colleague=True)

    def read(self, chat: Chat) -> None:
        """The bot marks the chat as read."""
        chat.read_by_bot = self.clock()

    # What the person does

    def write(self, chat: Chat, text: str = "") -> Message:
        """The person writes: the chat is active again; the indicator stays as it is."""
        with self._lock:
            now = self.clock()
            chat.screen.received(now)
            return self._add(chat, text, "message", now, now, from_person=True)

    def reopen(self, chat: Chat) -> tuple[Message, ...]:
        """The person opens the chat again, and reads its unread messages. Returns those.

        If there are any, the device drops the indicator, and a start alone does not bring it back until a stop or a
        message has come.
        """
        with self._lock:
            return chat.reopen(self.clock())

    def change(
        self,
        chat: Chat,
        *,
        service: Service | None = None,
        group: bool | None = None,
        typing_allowed: bool | None = None,
    ) -> None:
        """Change the kind of chat. None: as before."""
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
        """The ids of the chats whose indicator is visible now."""
        with self._lock:
            now = self.clock()
            return tuple(chat.id for chat in self._chats.values() if chat.screen.visible(now))

    def chats(self) -> tuple[Chat, ...]:
        """All chats, oldest first."""
        with self._lock:
            return tuple(self._chats.values())

    def timeline(self, chat: Chat) -> Timeline:
        """All that has happened in this chat."""
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

    def update_of(self, chat: Chat, first_message: int, first_showing: int) -> ChatUpdate:
        """The chat's messages and showings from these numbers on (from 0)."""
        with self._lock:
            now = self.clock()
            messages = tuple(chat.messages[max(first_message - chat.forgotten, 0) :])
            return ChatUpdate(now, messages, chat.screen.showings_from(first_showing, now), tuple(chat.reopened))

    def wall_time(self, moment: float) -> str:
        """A simulated time in the API's format, ISO 8601."""
        return (self._epoch + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")

    def _accept(self, chat: Chat, text: str, kind: MessageKind, **more: Any) -> Message:
        now = self.clock()
        message = self._add(chat, text, kind, now, now + self._settle(), from_person=False, **more)
        if message.failure_code is None:
            chat.screen.accepted(now, message.lands_at)
        return message

    def _add(
        self, chat: Chat, text: str, kind: MessageKind, now: float, lands_at: float, from_person: bool, **more: Any
    ) -> Message:
        message = Message(str(uuid.uuid4()), chat.id, kind, text, from_person, now, lands_at, **more)
        chat.messages.append(message)
        self._messages[message.id] = message
        if self._keep is not None and len(chat.messages) > self._keep:
            del self._messages[chat.messages.pop(0).id]
            chat.forgotten += 1
        if self.on_message is not None:
            self.on_message(chat, message)
        return message

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
