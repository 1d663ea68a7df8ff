"""The simulation behind a sandbox: chats, people, faults and time, with or without a running server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._faults import Answer, Delay, FaultRule, Faults, Loss, Slowness
from linq_typing.sandbox._http import ApiError
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message, Request, Service
from linq_typing.sandbox._timeline import Timeline
from linq_typing.sandbox._webhooks import WebhookSender


class Simulation:
    """What a sandbox offers without its server. Every method and property may be called from any thread."""

    def __init__(self, clock: Clock, model: Model, faults: Faults, webhooks: WebhookSender) -> None:
        self._clock = clock
        self._model = model
        self._faults = faults
        self._webhooks = webhooks

    # Time

    @property
    def now(self) -> float:
        """Modelled seconds since the sandbox was created: the time in all records."""
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
        """The person writes: the chat is active again; the indicator stays as it is."""
        found = self._chat(chat)
        message = self._model.write(found, text)
        self._webhooks.send("message.received", found, message)
        return message

    def reopen(self, chat: str) -> None:
        """The person opens the chat again: the device drops the indicator, and the bot's messages are read.

        A start alone does not bring the indicator back until a stop or a message has come.
        """
        found = self._chat(chat)
        message = self._model.reopen(found)
        if message is not None:
            self._webhooks.send("message.read", found, message)

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

    def set_webhook(self, url: str | None, *, secret: str | None = None, version: str | None = None) -> None:
        """Change where webhooks are sent (None: nowhere). A secret or version of None keeps the present one."""
        self._webhooks.configure(url, secret, version)

    @property
    def webhook(self) -> str | None:
        """The URL that webhooks are sent to; None: no webhooks."""
        return self._webhooks.url

    @property
    def webhook_secret(self) -> str:
        """The secret that signs webhooks."""
        return self._webhooks.secret

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

    # Faults

    def fail(
        self,
        endpoint: str = "start",
        status: int = 500,
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
        *,
        code: int | None = None,
        message: str | None = None,
        retry_after: float | str | None = None,
        body: bytes | None = None,
        effect: bool | None = None,
        effect_after: float = 0.0,
    ) -> None:
        """Answer with this status instead of the right one.

        Of all `fail` and `lose` faults that match a request, the one that was set first applies, until its `times` are
        used up; a `slow` fault applies in addition. Requests with a wrong key or an unknown chat are refused first,
        and use up no fault.

        Parameters:
            endpoint: `start`, `stop`, `typing` (both), `send` (all six), `react`, `read`, `get` or `*`.
            status: from 200 to 599.
            times: how many requests it affects; default: all, until `clear_faults()`.
            rate: the probability that it affects a request.
            chat: only for that chat; default: for all.
            code: Linq's error code; default: the usual one for that status (409: 2009, try again).
            message: the error's text; default: the usual one for that code.
            retry_after: real seconds, in header and body, or an HTTP date, in the header; default: none.
            body: sent unchanged, instead of Linq's JSON.
            effect: whether the request takes effect nevertheless; default: only if the status is below 400.
            effect_after: real seconds by which the effect is delayed, possibly until after the answer.
        """
        takes_effect = status < 400 if effect is None else effect
        fault = Answer(status, code, message, retry_after, body, takes_effect, effect_after)
        self._set(fault, endpoint, times, rate, chat)

    def slow(
        self,
        endpoint: str = "typing",
        before: Delay = 0.0,
        after: Delay = 0.0,
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
    ) -> None:
        """Answer slowly. The request takes effect even if the client no longer waits.

        Parameters:
            before: real seconds from the arrival to the effect; a pair: a random time between the two.
            after: real seconds from the effect to the answer; likewise.
            endpoint, times, rate, chat: as in `fail`.
        """
        self._set(Slowness(before, after), endpoint, times, rate, chat)

    def lose(
        self,
        endpoint: str = "start",
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
        *,
        hang: bool = False,
        effect: bool = True,
        effect_after: float = 0.0,
    ) -> None:
        """Lose the answer: the connection is closed without one.

        Parameters:
            hang: keep the connection open without an answer, until the client gives up.
            effect: whether the request takes effect.
            effect_after: real seconds by which the effect is delayed, possibly until after the loss.
            endpoint, times, rate, chat: as in `fail`.
        """
        self._set(Loss(hang, effect, effect_after), endpoint, times, rate, chat)

    def faults(self) -> tuple[FaultRule, ...]:
        """The faults that are set, in the order in which they were set."""
        return self._faults.standing()

    def clear_faults(self, fault: int | None = None) -> None:
        """Remove faults. Requests in flight keep theirs.

        Parameters:
            fault: the id of the one to remove; default: all.
        """
        if fault is None:
            self._faults.clear()
        else:
            self._faults.remove(fault)

    def _set(
        self, fault: Answer | Loss | Slowness, endpoint: str, times: int | None, rate: float, chat: str | None
    ) -> None:
        chat_id = None if chat is None else self._chat(chat).id
        self._faults.add(fault, endpoint, chat=chat_id, times=times, rate=rate)

    def _chat(self, chat_id: str) -> Chat:
        try:
            return self._model.chat(str(chat_id))
        except ApiError:
            raise LookupError(f"the sandbox has no chat {chat_id!r}: make one with chat()") from None
