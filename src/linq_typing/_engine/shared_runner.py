"""The runner of a manager that has ``redis=``: it asks the others before a request, and tells them afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .._core.indicator import Action, MessageInFlight
from .._core.member import Member, Mode
from .._core.observations import News
from .._core.shared_indicator import Share, SharedIndicator
from ..errors import ConfigurationError, LinqTypingError
from ..events import Stats, TypingEvent
from .chat import Chat
from .runner import Runner
from .sharing import Server, ServerError, Sharing


class SharedChat(SharedIndicator, Chat):
    """A chat, and what it shares."""

    __slots__ = ("share",)

    def __init__(self, chat_id: str, settle: float, member: Member[SharedChat]) -> None:
        super().__init__(chat_id, settle)
        self.share = Share(member)


class SharedRunner(Runner):
    """A runner, and the :class:`.sharing.Host` of its sharing."""

    _chats: dict[str, SharedChat]  # type: ignore[assignment]

    def __init__(self, *args: Any, server: Server, member: Member[SharedChat], **options: Any) -> None:
        super().__init__(*args, **options)
        self._sharing: Sharing[SharedChat] = Sharing(server, member, self)

    # -- Where it differs

    def stats(self) -> Stats:
        return replace(super().stats(), sharing=self._sharing.member.mode.value)

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        self._chat(chat_id)  # the session may be in another process
        super().mark_sent(chat_id, message)

    def foreign_message(self, news: News) -> None:
        if self._sharing.member.may_send_alone:
            super().foreign_message(news)
        else:  # it may be another process's
            chat = self._chat(news.chat_id)
            chat.webhook(news.message_id, news.at, news.kind)
            self._go_on(chat)

    def _chat(self, chat_id: str) -> SharedChat:
        self._sharing.start()
        chat = self._chats.get(chat_id)  # which may be remembered from before it was closed
        if chat is None:
            chat = self._chats[chat_id] = SharedChat(chat_id, self._settle, self._sharing.member)
        return chat

    def _review(self, chat: Chat) -> None:
        super()._review(chat)
        assert isinstance(chat, SharedChat)
        self._sharing.review(chat)

    def _send(self, chat: Chat, action: Action, now: float) -> None:
        assert isinstance(chat, SharedChat)
        if self._sharing.may_send(chat, action):
            super()._send(chat, action, now)

    async def end_requests(self) -> None:
        await self._sharing.aclose()
        await super().end_requests()

    # -- The host

    def all_chats(self) -> Iterable[SharedChat]:
        return self._chats.values()

    def chat(self, chat_id: str) -> SharedChat:
        return self._chat(chat_id)

    def review(self, chat: SharedChat) -> None:
        self._go_on(chat)

    def granted(self, chat: SharedChat, action: Action) -> bool:
        now, breaker = self.now(), self._outcomes.breaker
        if action is Action.START and not breaker.may_start(now, untried=chat.id not in breaker.tried):
            return False  # many have asked to probe
        if chat.next(now)[0] is not action:
            return False
        super()._send(chat, action, now)
        return True

    def not_granted(self, chat: SharedChat) -> None:
        self._queue.release()

    def mode_changed(self, mode: Mode, error: ServerError | None) -> None:
        if mode is Mode.SHARED:
            self._outcomes.tell(TypingEvent("shared", ""))
        else:
            kind = ConfigurationError if error is not None and error.denied else LinqTypingError
            text = "the server has forgotten this process" if error is None else str(error)
            self._outcomes.tell(TypingEvent("alone", "", error=kind(text)))
