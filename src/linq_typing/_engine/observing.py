"""Handles webhooks, and the messages of this process that they are about, on the loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .._core.indicator import MessageInFlight
from .._core.observations import KNOWN_FOR, News, Observation, Observations
from .chat import Chat
from .lifecycle import READY, Lifecycle
from .runner import Runner


class Observing:
    """Tells the runner what webhooks mean. This process's messages pass through it, to be matched with webhooks."""

    def __init__(self, runner: Runner, lifecycle: Lifecycle) -> None:
        self._runner = runner
        self._lifecycle = lifecycle
        self._observations: Observations | None = None  # None: no webhook has arrived yet
        self._timer: asyncio.TimerHandle | None = None

    def send_ended(self, chat_id: str, message: MessageInFlight, at: float, accepted: bool) -> None:
        is_new = accepted and not message.ended
        if self._observations is not None:
            message.known_for = KNOWN_FOR
        self._runner.send_ended(chat_id, message, at, accepted)
        if is_new:
            self._remember(chat_id, message)

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        if self._observations is not None:
            message.known_for = KNOWN_FOR
        self._runner.mark_sent(chat_id, message)
        self._remember(chat_id, message)

    def _remember(self, chat_id: str, message: MessageInFlight) -> None:
        if self._observations is not None:
            self._apply(self._observations.sent(chat_id, message, self._runner.now()))

    def observe(self, observation: Observation | None, at: float) -> None:
        """A webhook has arrived. None: it is irrelevant, but from now on there are webhooks."""
        if self._observations is None:
            self._observations = Observations()
        if observation is not None and self._lifecycle.life in READY:
            self._apply(self._observations.observe(observation, at))

    def _on_time(self) -> None:
        self._timer = None
        assert self._observations is not None
        news = list(self._observations.release(self._runner.now(), self._is_sending))
        self._apply(news if self._lifecycle.life in READY else ())

    def _is_sending(self, chat_id: str) -> bool:
        chat = self._runner.find(chat_id)
        return chat is not None and chat.is_sending

    def _apply(self, news: Iterable[News]) -> None:
        for each in news:
            if each.message is None and each.kind != "read":
                self._runner.foreign_message(each)
            else:
                self._runner.tell(each.chat_id, lambda chat, each=each: self._tell(chat, each))  # type: ignore[misc]
        assert self._observations is not None
        if self._timer is None and self._observations.next_at < float("inf"):
            self._timer = asyncio.get_running_loop().call_at(self._observations.next_at, self._on_time)

    def _tell(self, chat: Chat, news: News) -> None:
        now, message = self._runner.now(), news.message
        if message is None:
            self._show_again(chat, now)
        elif news.kind == "sent":
            chat.message_sent(message, now)
        elif news.kind == "delivered":
            chat.message_delivered(message, news.at, now)
        else:
            chat.message_failed(message, now)

    def _show_again(self, chat: Chat, now: float) -> None:
        # While starts are suspended, no start would follow the stop.
        if not self._runner.stats().suspended and chat.chat_read(now):
            assert self._observations is not None
            self._observations.shown_again(chat.id, now)
