"""Makes things go wrong in a sandbox: one method for each kind of fault."""

from __future__ import annotations

from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._faults import (
    Answer,
    Delay,
    Duplicate,
    Fault,
    FaultRule,
    Faults,
    Lateness,
    Loss,
    Reordering,
    SendFailure,
    Slowness,
)
from linq_typing.sandbox._http import ApiError
from linq_typing.sandbox._model import Model


class FaultControls:
    """Sets and removes faults."""

    def __init__(self, model: Model, faults: Faults) -> None:
        self._model = model
        self._faults = faults

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

    def fail_messages(
        self, times: int | None = None, rate: float = 1.0, chat: str | None = None, *, code: int = 4001
    ) -> None:
        """Accept messages of the bot that are never sent.

        The answer is the normal one. When the message would land, it clears nothing, and `message.failed` is sent.

        Parameters:
            code: the error code in the webhook.
            times, rate, chat: as in `fail`.
        """
        self._set(SendFailure(code), "send", times, rate, chat)

    def delay_webhooks(
        self,
        seconds: Delay,
        event: str = "webhook",
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
    ) -> None:
        """Deliver webhooks late.

        Parameters:
            seconds: simulated seconds; a pair: a random time between the two.
            event: `message.sent` and the like; default: all.
            times, rate, chat: as in `fail`.
        """
        self._set(Lateness(seconds), event, times, rate, chat)

    def duplicate_webhooks(
        self,
        event: str = "webhook",
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
        *,
        copies: int = 1,
    ) -> None:
        """Deliver webhooks more than once, with the same `event_id` and body.

        Parameters:
            copies: how many additional deliveries.
            event, times, rate, chat: as in `delay_webhooks`.
        """
        self._set(Duplicate(copies), event, times, rate, chat)

    def reorder_webhooks(
        self, event: str = "webhook", times: int | None = None, rate: float = 1.0, chat: str | None = None
    ) -> None:
        """Deliver webhooks after the next one of their chat, or after 10 simulated seconds without one.

        Parameters:
            event, times, rate, chat: as in `delay_webhooks`.
        """
        self._set(Reordering(), event, times, rate, chat)

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

    def _set(self, fault: Fault, endpoint: str, times: int | None, rate: float, chat: str | None) -> None:
        chat_id = None if chat is None else self._chat(chat).id
        self._faults.add(fault, endpoint, chat=chat_id, times=times, rate=rate)

    def _chat(self, chat_id: str) -> Chat:
        try:
            return self._model.chat(str(chat_id))
        except ApiError:
            raise LookupError(f"the sandbox has no chat {chat_id!r}: create one with chat()") from None
