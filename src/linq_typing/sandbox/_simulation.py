"""The simulation behind a sandbox: chats, people, faults and time, with or without a running server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._fault_controls import FaultControls
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message, Request, Service, Webhook
from linq_typing.sandbox._timeline import Timeline
from linq_typing.sandbox._webhooks import Target, WebhookSender


class Simulation(FaultControls):
    """What a sandbox offers without its server. Every method and property may be called from any thread."""

    def __init__(self, clock: Clock, model: Model, faults: Faults, webhooks: WebhookSender) -> None:
        super().__init__(model, faults)
        self._clock = clock
        self._webhooks = webhooks

    # Time

    @property
    def now(self) -> float:
        """Simulated seconds since the sandbox was created: the time in all records."""
        return self._clock()

    @property
    def time_scale(self) -> float:
        """The simulation speed: 1 is real time. May be set at any time; the sandbox's clock does not jump."""
        return self._clock.scale

    @time_scale.setter
    def time_scale(self, scale: float) -> None:
        self._clock.scale = scale

    # Chats and people

    def chat(self, to: str | None = None, *, active: bool = True) -> str:
        """Create an iMessage chat with one person.

        Parameters:
            to: the person's number or address; default: an unused number.
            active: as if the person had just written; otherwise starts are accepted but show nothing until the first
                message.

        Returns:
            The chat's id.
        """
        return self._model.add_chat([to] if to else [], active=active).id

    def sms(self, to: str | None = None, *, service: Service = "SMS", active: bool = True) -> str:
        """Create an SMS or RCS chat, which accepts typing requests but shows nothing. Parameters as in `chat`."""
        return self._model.add_chat([to] if to else [], service=service, active=active).id

    def group(self, to: Sequence[str] = (), *, typing_allowed: bool = True, active: bool = True) -> str:
        """Create a group chat.

        Parameters:
            to: the people in it; default: two unused numbers.
            typing_allowed: False: typing requests are refused, as older deployments do (403, code 2005).
            active: as in `chat`.

        Returns:
            The chat's id.
        """
        return self._model.add_chat(to, group=True, typing_allowed=typing_allowed, active=active).id

    def write(self, chat: str, text: str = "Hello?") -> Message:
        """The person writes: the chat is active again; the indicator stays as it is. Sends `message.received`."""
        return self._model.write(self._chat(chat), text)

    def send_as_colleague(self, chat: str, text: str = "A colleague here: I'll take over.") -> Message:
        """A human sends a message from the bot's own number, bypassing the bot.

        Like the bot's messages, it settles, clears the indicator and causes `message.sent` and `message.delivered`.
        """
        return self._model.send_as_colleague(self._chat(chat), text)

    def reopen(self, chat: str) -> tuple[Message, ...]:
        """The person opens the chat again, and reads its unread messages. Sends `message.read` for each; returns them.

        If there are any, the device drops the indicator, and a start alone does not bring it back until a stop or a
        message has come. If there are none, the indicator stays as it is.
        """
        found = self._chat(chat)
        messages = self._model.reopen(found)
        self._webhooks.read(found, messages)
        return messages

    def change(
        self,
        chat: str,
        *,
        service: Service | None = None,
        group: bool | None = None,
        typing_allowed: bool | None = None,
    ) -> None:
        """Change the kind of chat. None: as before.

        Parameters:
            group: True: make it a group; if there is only one person, a second one joins.
            typing_allowed: False: typing requests are refused, as older deployments do for groups.
        """
        self._model.change(self._chat(chat), service=service, group=group, typing_allowed=typing_allowed)

    # Webhooks

    def set_webhook(self, target: Target | None, *, secret: str | None = None, version: str | None = None) -> None:
        """Change where webhooks are sent. A secret or version of None keeps the present one.

        Parameters:
            target: a URL; or a function, which gets each webhook's JSON as text, on a thread of the sandbox (if it
                raises an exception, it gets the webhook again later); or None: nowhere, and what is pending is dropped.
        """
        self._webhooks.configure(target, secret, version)

    @property
    def webhook(self) -> str | None:
        """The URL that webhooks are sent to; None: they go to a function, or nowhere."""
        return self._webhooks.url

    @property
    def webhook_secret(self) -> str:
        """The secret that signs webhooks."""
        return self._webhooks.secret

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """The latest 500 webhooks, in the order in which they happened: pending, delivered and failed ones."""
        return self._webhooks.log

    def wait_for_webhooks(self, timeout: float = 30.0) -> bool:
        """Wait up to `timeout` real seconds until no webhook is pending. Returns whether none is.

        Messages that have yet to land, late webhooks and retries count as pending.
        """
        return self.wait_until(self._webhooks.is_idle, timeout)

    # What can be seen

    def visible(self, chat: str) -> bool:
        """Whether the person sees the indicator now."""
        return self._model.visible(self._chat(chat))

    def ghosts(self) -> tuple[str, ...]:
        """The ids of the chats whose indicator is visible now. While no bot is at work, each is a ghost."""
        return self._model.showing()

    def timeline(self, chat: str) -> Timeline:
        """All that has happened in this chat: requests, messages, and when the indicator was visible."""
        return self._model.timeline(self._chat(chat))

    def messages(self, chat: str) -> tuple[Message, ...]:
        """The chat's messages, in the order in which they were accepted."""
        return self.timeline(chat).messages

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests so far, in the order of arrival, including those that were refused or name no chat."""
        return self._model.log.all()

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> bool:
        """Wait up to `timeout` real seconds for `predicate()` to become true. Returns whether it did."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() >= deadline:
                return bool(predicate())
            time.sleep(0.002)
        return True
