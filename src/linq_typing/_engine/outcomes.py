"""Applies the outcome of a request: to its chat, to all chats, to counters and hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from .._core.circuit_breaker import Change, CircuitBreaker, Verdict
from .._core.indicator import Action, Outcome
from ..errors import APIStatusError, LinqTypingError
from ..events import EventHook, EventKind, Failing, LoggingHook, TypingEvent, is_bad_key
from .answers import Answer
from .chat import Chat
from .loop import log_exception


class Outcomes:
    """Applies answers to chats and to the circuit breaker, counts them, and tells the hooks."""

    def __init__(self, hooks: Sequence[EventHook], retry_in: Callable[[int, LinqTypingError], float | None]) -> None:
        self.breaker: CircuitBreaker[str] = CircuitBreaker()
        self.suspended_for: LinqTypingError | None = None
        self.requests: Counter[str] = Counter()
        self.retries = 0
        self._hooks: list[EventHook] = [LoggingHook(), *hooks]
        self._retry_in = retry_in
        self._failing = Failing()

    def reset(self) -> None:
        """Close the breaker: its probe may be among the requests that were cancelled."""
        self.breaker, self.suspended_for = CircuitBreaker(), None

    def apply(
        self,
        chat: Chat,
        action: Action,
        answer: Answer,
        *,
        now: float,
        elapsed: float,
        probe: bool,
        others_work: Callable[[], bool],
    ) -> bool:
        """A request was answered. Returns whether it was given up: it failed, and is not retried.

        ``others_work`` says whether another chat has a session that wants the indicator.
        """
        self.requests[answer.outcome.value] += 1
        self.retries += chat.attempt > 1
        given_up = False
        if answer.error is None:
            self._accepted(chat, action, now, elapsed)
        else:
            given_up = self._failed(chat, action, answer.outcome, answer.error, now, elapsed)
        change = self._tell_breaker(chat, answer, now, probe, others_work) if action is Action.START else None
        recovered = answer.error is None and self._failing.discard(chat.id)
        if change is Change.SUSPENDED:
            self.suspended_for = answer.error
            self.emit("suspended", chat, action, error=answer.error)
        elif recovered or change is Change.RECOVERED:
            self.emit("recovered", chat, action)
        return given_up

    def _accepted(self, chat: Chat, action: Action, now: float, elapsed: float) -> None:
        attempt, refresh = chat.attempt, chat.confirmed
        chat.refusal = None
        chat.answered(Outcome.ACCEPTED, now)
        kind: EventKind = "stopped" if action is Action.STOP else "refreshed" if refresh else "started"
        self.emit(kind, chat, action, attempt=attempt, elapsed=elapsed)

    def _failed(
        self, chat: Chat, action: Action, outcome: Outcome, error: LinqTypingError, now: float, elapsed: float
    ) -> bool:
        attempt, bad_key = chat.attempt, is_bad_key(error)
        for session in chat.sessions:
            session.error = error
        retry_in = self._retry_in(attempt, error)
        if bad_key and action is Action.START:
            outcome, retry_in = Outcome.NOT_APPLIED, 0.0  # not this chat's fault: the breaker decides when to retry
        chat.answered(outcome, now, retry_in=retry_in, retry_after=_retry_after(error))
        if not bad_key:
            self._failing.add(chat.id)
        if outcome is Outcome.REFUSED and action is Action.START:
            chat.refusal = error
        kind: EventKind = "refused" if outcome is Outcome.REFUSED else "failed"
        self.emit(kind, chat, action, error=error, attempt=attempt, elapsed=elapsed)
        if retry_in is None and _matters(chat, action, outcome, now):
            self.emit("gave_up", chat, action, error=error, attempt=attempt)
        return retry_in is None

    def _tell_breaker(
        self, chat: Chat, answer: Answer, now: float, probe: bool, others_work: Callable[[], bool]
    ) -> Change | None:
        verdict = _verdict(answer)
        change = self.breaker.ended(
            chat.id, verdict, now, probe=probe, others_work=verdict is not Verdict.UP and others_work()
        )
        if not self.breaker.is_open:
            self.suspended_for = None
        return change

    def emit(
        self,
        kind: EventKind,
        chat: Chat,
        action: Action | None = None,
        *,
        error: LinqTypingError | None = None,
        attempt: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        """Tell the hooks about something that happened to the chat."""
        self.tell(TypingEvent(kind, chat.id, action and action.value, error, attempt, elapsed))

    def tell(self, event: TypingEvent) -> None:
        """Tell the hooks."""
        for hook in self._hooks:
            try:
                hook(event)
            except BaseException:  # noqa: BLE001 - a SystemExit would end the loop of the whole process
                log_exception("linq-typing: on_event raised on %s", event)


def _matters(chat: Chat, action: Action, outcome: Outcome, now: float) -> bool:
    """Whether it makes a difference that this request is not retried. A refused start has its own event."""
    wanted = chat.wanted(now)
    return not wanted if action is Action.STOP else wanted and outcome is not Outcome.REFUSED


def _verdict(answer: Answer) -> Verdict:
    """What a start's answer says about the API as a whole."""
    if is_bad_key(answer.error):
        return Verdict.BAD_KEY
    error = answer.error
    if error is None or answer.outcome is Outcome.REFUSED:
        return Verdict.UP
    # 409: the API works, this chat is not ready.
    return Verdict.UP if isinstance(error, APIStatusError) and error.status_code == 409 else Verdict.DOWN


def _retry_after(error: LinqTypingError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, APIStatusError) else 0.0
