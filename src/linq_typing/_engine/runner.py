"""Runs the indicators of one manager on the loop thread: does what they decide and reports back.

What is not under "From any thread" runs on the loop's thread. Callers post inputs, each with the
time at which it happened for them. ``indicator`` decides what to do, ``request_queue`` which request goes first,
``circuit_breaker`` whether starts are suspended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from math import inf
from typing import Any, Final

from .._core.circuit_breaker import Change, CircuitBreaker, Verdict
from .._core.indicator import Action, Indicator, MessageInFlight, Outcome, SessionState
from .._core.request_queue import Priority, RequestQueue
from .._core.timer_queue import TimerQueue
from ..errors import APIStatusError, APITimeoutError, LinqTypingError
from ..events import EventHook, EventKind, Failing, LoggingHook, Stats, TypingEvent, is_bad_key
from .http import CLOSE_TIMEOUT, Answer, TypingAPI
from .loop import LoopThread, log_exception
from .process import EXIT_TIMEOUT
from .waiting import Completion, wait_for_async

logger = logging.getLogger("linq_typing")

PATIENCE: Final = 0.45 * EXIT_TIMEOUT  #: seconds that closing waits for stops, twice; the rest is for giving up


class Chat(Indicator):
    """The indicator of a chat with something to do or to remember, and what the engine keeps beside it."""

    __slots__ = ("due", "id", "refusal", "shown")

    def __init__(self, chat_id: str, settle: float) -> None:
        super().__init__(settle)
        self.id = chat_id
        self.due = inf  # the timer queue's
        self.refusal: LinqTypingError | None = None  # which the sessions that follow want to know of, too
        self.shown = False  # as it was counted


class _Waiter:
    """Somebody who waits until some chats have nothing pending."""

    def __init__(self, chats: set[Chat], done: Completion) -> None:
        self.chats = chats
        self.done = done
        self.clean = True

    def tell_if_done(self) -> bool:
        if self.chats:
            return False
        self.done.set(self.clean)
        return True


class Runner:
    """The indicators of one manager, on one loop thread, over one API."""

    def __init__(
        self,
        thread: LoopThread,
        api: TypingAPI,
        *,
        settle: float,
        max_connections: int,
        hooks: Sequence[EventHook],
    ) -> None:
        self.now = thread.now
        self._thread = thread
        self._api = api
        self._settle = settle
        self._hooks: list[EventHook] = [LoggingHook(), *hooks]
        self._chats: dict[str, Chat] = {}
        self._timers: TimerQueue[Chat] = TimerQueue()
        self._queue: RequestQueue[str] = RequestQueue(max_connections)
        self._breaker: CircuitBreaker[str] = CircuitBreaker()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starts: set[asyncio.Task[None]] = set()
        self._max_connections = max_connections
        self._ended = False  # requests are over: what is left of them is cancelled
        self._over = False  # for good: the process exits
        self._postponed: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._dispatch_due = False
        self._waiters: list[_Waiter] = []
        self._failing = Failing()
        self._suspended_for: LinqTypingError | None = None
        self._requests: Counter[str] = Counter()
        self._retries = 0
        self._sessions = 0
        self._shown = 0
        self._retiring = False
        self._for_good = False  # a transport of the user's is closed, too
        self._manager: object = None
        self._closing: Completion | None = None
        thread.add_resident(self)

    # -- From any thread

    def begin_close(self) -> Completion:
        """End all sessions, let the stops go out (5 s at most), drop all connections."""
        done = Completion()
        self._thread.post(self._close, done)
        if self._thread.dead:
            done.set(True)
        return done

    def begin_end(self) -> Completion:
        """Close for good: the process exits."""
        self._over = True
        return self.begin_close()

    def stats(self) -> Stats:
        """A snapshot; the numbers may be a moment apart. All are counted as they change: none costs a walk."""
        return Stats(
            sessions=self._sessions,
            chats=len(self._chats),
            shown=self._shown,
            in_flight=self._queue.in_use,
            waiting=self._queue.waiting,
            requests=dict(self._requests),
            retries=self._retries,
            suspended=self._breaker.is_open,
        )

    # -- Inputs from sessions

    def join(self, chat_id: str, session: SessionState) -> None:
        if self._postpone(self.join, chat_id, session) or self._over:
            return
        chat = self._chat(chat_id)
        chat.join(session, session.joined_at)
        self._sessions += 1
        session.error = chat.refusal or self._suspended_for
        self._go_on(chat)

    def leave(self, chat_id: str, session: SessionState, at: float, linger: float, done: Completion | None) -> None:
        chat = self._chats.get(chat_id)
        if (chat is None or session not in chat.sessions) and self._postpone(
            self.leave, chat_id, session, at, linger, done
        ):
            return  # its join was postponed
        if chat is not None:
            self._sessions -= chat.leave(session, at, linger)
            self._go_on(chat)
            if done is not None:
                self._flush_chats({chat}, done)
        elif done is not None:
            done.set(True)
        self._close_if_retired()

    def pause(self, chat_id: str, session: SessionState, at: float) -> None:
        self._tell(Chat.pause, chat_id, session, at)

    def resume(self, chat_id: str, session: SessionState, at: float) -> None:
        self._tell(Chat.resume, chat_id, session, at)

    def _tell(
        self, what: Callable[[Chat, SessionState, float], None], chat_id: str, session: SessionState, at: float
    ) -> None:
        if self._postpone(self._tell, what, chat_id, session, at):
            return
        chat = self._chats.get(chat_id)
        if chat is not None and session.is_open:
            what(chat, session, at)
            self._go_on(chat)

    # -- Inputs from messages

    def send_began(self, chat_id: str, message: MessageInFlight) -> None:
        if chat_id not in self._chats and self._postpone(self.send_began, chat_id, message):
            return
        message.began = True
        chat = self._chat(chat_id)
        chat.send_began(message)
        self._go_on(chat)

    def send_ended(self, chat_id: str, message: MessageInFlight, at: float, accepted: bool) -> None:
        if message.ended or (
            chat_id not in self._chats and self._postpone(self.send_ended, chat_id, message, at, accepted)
        ):
            return
        message.ended = True
        if accepted and not message.began:  # known only by its answer: it began in retrospect
            self.send_began(chat_id, message)
        elif not accepted and chat_id not in self._chats:
            return
        chat = self._chat(chat_id)  # which may have been forgotten, if the message took long
        chat.send_ended(message, at, accepted)
        if accepted and chat.sessions:
            self._emit("message_sent", chat)
        elif accepted:
            logger.debug("message sent in chat %s, which has no session", chat_id)
        self._go_on(chat)

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        if chat_id in self._chats:
            self.send_ended(chat_id, message, message.began_at, True)
        elif not self._postpone(self.mark_sent, chat_id, message):
            logger.debug("mark_sent for chat %s, which has no session", chat_id)

    # -- Ends

    def flush(self, done: Completion) -> None:
        """Let the stops that are due or delayed go out now; ``done`` says whether all did."""
        self._flush_chats(self._chats.values(), done)

    def retire(self, manager: object, for_good: bool) -> None:
        """Close once the open sessions have ended and their stops are out. Until then ``manager`` is kept: it is
        what hears of their messages."""
        self._retiring, self._for_good = True, for_good
        self._manager = manager
        self._close_if_retired()

    def _close_if_retired(self) -> None:
        if self._retiring and self._closing is None and not self._busy():
            self._close(Completion())

    def _busy(self) -> bool:
        now = self.now()
        return any(chat.sessions or chat.pending(now) for chat in self._chats.values())

    def _postpone(self, call: Callable[..., None], *args: Any) -> bool:
        """While closing: hear of this afterwards. Returns whether it is closing, to open again."""
        if self._closing is None or self._over:
            return False
        self._postponed.append((call, args))
        return True

    def _close(self, done: Completion) -> None:
        if self._postponed and self._postpone(self._close, done):
            return
        if self._closing is not None:
            self._closing.add_callback(done.set)
            return
        self._closing = Completion()
        self._closing.add_callback(done.set)
        now = self.now()
        for chat in self._chats.values():
            for session in chat.sessions:
                self._sessions -= chat.leave(session, now, 0)
        flushed = Completion()
        self.flush(flushed)
        self._create_task(self._finish(flushed, self._closing))

    async def _finish(self, flushed: Completion, closing: Completion) -> None:
        clean = False
        try:
            await wait_for_async(flushed, PATIENCE)
            for task in self._starts:
                task.cancel()  # one that hangs would keep the stop after it from going out
            clean = await wait_for_async(flushed, PATIENCE)
            await self._end_requests()
            await self._close_api()
        finally:
            self._manager = None
            self._open_again()
            closing.set(clean)

    async def _end_requests(self) -> None:
        """Cancel what is left, without waiting for what ignores that, and forget the chats that it was about."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=CLOSE_TIMEOUT)
        now, chats = self.now(), self._chats
        self._shown, self._timers, self._queue = 0, TimerQueue(), RequestQueue(self._max_connections)
        self._breaker, self._suspended_for = CircuitBreaker(), None  # a probe may be among what was cancelled
        for chat in chats.values():
            if chat.maybe_up(now):
                self._emit("gave_up", chat, Action.STOP)
            if chat.in_flight is Action.STOP:
                chat.answered(Outcome.NO_ANSWER, now)
        # What has yet to settle, was refused or may still be stopped is to be known when it opens again.
        self._chats = {chat.id: chat for chat in chats.values() if not chat.pending(now)}
        for chat in list(self._chats.values()):
            chat.due, chat.shown = inf, False
            self._review(chat)
        for waiter in self._waiters:
            waiter.done.set(False)
        self._waiters.clear()

    async def _close_api(self) -> None:
        """Close the connections. A transport of the user's may do anything, even take for ever."""

        async def close() -> None:
            with contextlib.suppress(BaseException):
                await self._api.aclose(for_good=self._over or self._for_good)

        closing = self._create_task(close())
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
        closing.cancel()

    def _open_again(self) -> None:
        """Hear what came while it was closing. Once the process exits, that is over."""
        postponed, self._postponed = self._postponed, []
        if self._over:
            return
        self._closing, self._ended = None, False
        self._set_timer()
        for call, args in postponed:
            call(*args)

    def _flush_chats(self, chats: Iterable[Chat], done: Completion) -> None:
        now = self.now()
        pending = {chat for chat in chats if chat.pending(now)}
        waiter = _Waiter(pending, done)
        if not waiter.tell_if_done():
            self._waiters.append(waiter)
        for chat in list(pending):
            chat.flush()
            self._review(chat)
        self._dispatch()

    # -- The machinery

    def _chat(self, chat_id: str) -> Chat:
        chat = self._chats.get(chat_id)
        if chat is None:
            chat = self._chats[chat_id] = Chat(chat_id, self._settle)
        return chat

    def _go_on(self, chat: Chat) -> None:
        """Act on an input, but only once those that have come with it were heard, too."""
        self._review(chat)
        if not self._dispatch_due:
            self._dispatch_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _review(self, chat: Chat) -> None:
        """Ask the indicator what now, and queue, wait or forget accordingly."""
        now = self.now()
        for _ in chat.expire(now):
            self._emit("expired", chat)
        action, due = chat.next(now)
        self._timers.schedule(chat, due)
        self._count_shown(chat, chat.maybe_up(now))
        if action is None:
            self._queue.discard(chat.id)
            if chat.forgettable(now):
                self._timers.cancel(chat)
                self._chats.pop(chat.id, None)
        else:
            self._queue.enqueue(chat.id, _priority(action, chat))
        if self._waiters:
            self._tell_waiters(chat, now)

    def _count_shown(self, chat: Chat, shown: bool) -> None:
        self._shown += shown - chat.shown
        chat.shown = shown

    def _tell_waiters(self, chat: Chat, now: float) -> None:
        if not chat.pending(now):
            for waiter in self._waiters:
                waiter.chats.discard(chat)
            self._waiters = [waiter for waiter in self._waiters if not waiter.tell_if_done()]

    def _dispatch(self) -> None:
        """Send the requests whose turn it is, as long as there are free slots."""
        self._dispatch_due = False
        while not self._ended:
            now, tried = self.now(), self._breaker.tried
            may_start = self._breaker.may_start(now, untried=self._queue.starts_waiting(besides=tried))
            chat_id = self._queue.acquire(starts=may_start, avoid=tried)
            if chat_id is None:
                break
            chat = self._chats[chat_id]
            # While it waited, what is to be done may have changed.
            action, _ = chat.next(now)
            if action is None or (
                action is Action.START and not self._breaker.may_start(now, untried=chat_id not in tried)
            ):
                self._queue.release()
                self._review(chat)
            else:
                self._send(chat, action, now)
        self._set_timer()

    def _set_timer(self) -> None:
        # If no slot is free, the next release dispatches anyway.
        can_probe = self._queue.has_free_slot and self._queue.starts_waiting()
        when = min(self._timers.next_at, self._breaker.half_open_at if can_probe else inf)
        if self._timer is not None:
            if self._timer.when() == when:
                return
            self._timer.cancel()
        self._timer = None
        if when < inf:
            self._timer = asyncio.get_running_loop().call_at(when, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        now = self.now()
        while (chat := self._timers.pop(now)) is not None:
            self._review(chat)
        self._dispatch()
        self._close_if_retired()

    def _send(self, chat: Chat, action: Action, now: float) -> None:
        chat.sent(action, now)
        probe = action is Action.START and self._breaker.began(chat.id)
        task = self._create_task(self._request(chat, action, probe))
        if action is Action.START:
            self._starts.add(task)
            task.add_done_callback(self._starts.discard)

    def _create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _request(self, chat: Chat, action: Action, probe: bool) -> None:
        began, queue = self.now(), self._queue
        try:
            answer = await self._api.request(action, chat.id)
        except asyncio.CancelledError:
            if self._ended:
                raise
            answer = Answer(Outcome.NO_ANSWER, APITimeoutError("gave up because the manager is closing"))
        if queue is not self._queue:
            return  # it was cancelled, and has ignored that until long after
        elapsed = self.now() - began
        self._queue.release()
        self._requests[answer.outcome.value] += 1
        self._retries += chat.attempt > 1
        if answer.error is None:
            self._accepted(chat, action, elapsed)
        else:
            self._failed(chat, action, answer.outcome, answer.error, elapsed)
        self._tell_of_all(chat, action, answer, probe)
        self._go_on(chat)
        self._close_if_retired()

    def _accepted(self, chat: Chat, action: Action, elapsed: float) -> None:
        attempt, refresh = chat.attempt, chat.confirmed
        chat.refusal = None
        chat.answered(Outcome.ACCEPTED, self.now())
        kind: EventKind = "stopped" if action is Action.STOP else "refreshed" if refresh else "started"
        self._emit(kind, chat, action, attempt=attempt, elapsed=elapsed)

    def _failed(self, chat: Chat, action: Action, outcome: Outcome, error: LinqTypingError, elapsed: float) -> None:
        attempt = chat.attempt
        for session in chat.sessions:
            session.error = error
        retry_in = self._api.retry_in(attempt, error)
        if is_bad_key(error) and action is Action.START:
            outcome, retry_in = Outcome.NOT_APPLIED, 0.0  # no fault of this chat: the breaker says when
        if action is Action.STOP and retry_in is None:
            self._spoil_waiters(chat)
        chat.answered(outcome, self.now(), retry_in=retry_in, retry_after=_retry_after(error))
        if not is_bad_key(error):
            self._failing.add(chat.id)
        if outcome is Outcome.REFUSED and action is Action.START:
            chat.refusal = error
        kind: EventKind = "refused" if outcome is Outcome.REFUSED else "failed"
        self._emit(kind, chat, action, error=error, attempt=attempt, elapsed=elapsed)
        if retry_in is None and self._matters(chat, action, outcome):
            self._emit("gave_up", chat, action, error=error, attempt=attempt)

    def _matters(self, chat: Chat, action: Action, outcome: Outcome) -> bool:
        """Whether it makes a difference that this request is not tried again. A refused start has its own event."""
        wanted = chat.wanted(self.now())
        return not wanted if action is Action.STOP else wanted and outcome is not Outcome.REFUSED

    def _spoil_waiters(self, chat: Chat) -> None:
        """A stop of the chat was given up."""
        for waiter in self._waiters:
            if chat in waiter.chats:
                waiter.clean = False

    def _tell_of_all(self, chat: Chat, action: Action, answer: Answer, probe: bool) -> None:
        """What the answer means beyond this request: for the chat's failures, and for the circuit breaker."""
        change = self._tell_breaker(chat, answer, probe) if action is Action.START else None
        recovered = answer.error is None and self._failing.discard(chat.id)
        if change is Change.SUSPENDED:
            self._suspended_for = answer.error
            self._emit("suspended", chat, action, error=answer.error)
        elif recovered or change is Change.RECOVERED:
            self._emit("recovered", chat, action)

    def _tell_breaker(self, chat: Chat, answer: Answer, probe: bool) -> Change | None:
        verdict, now = _verdict(answer), self.now()
        others_work = verdict is not Verdict.UP and any(
            other.wanted(now) for other in self._chats.values() if other is not chat
        )
        change = self._breaker.ended(chat.id, verdict, now, probe=probe, others_work=others_work)
        if not self._breaker.is_open:
            self._suspended_for = None
        return change

    def _emit(
        self,
        kind: EventKind,
        chat: Chat,
        action: Action | None = None,
        *,
        error: LinqTypingError | None = None,
        attempt: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        event = TypingEvent(kind, chat.id, action and action.value, error, attempt, elapsed)
        for hook in self._hooks:
            try:
                hook(event)
            except BaseException:  # a SystemExit would end the loop of the whole process
                log_exception("linq-typing: on_event raised on %s", event)


def _priority(action: Action, indicator: Indicator) -> Priority:
    if action is Action.STOP:
        return Priority.STOP
    return Priority.REFRESH if indicator.confirmed else Priority.FIRST_START


def _verdict(answer: Answer) -> Verdict:
    """What a start's answer says of the API as a whole."""
    if is_bad_key(answer.error):
        return Verdict.BAD_KEY
    error = answer.error
    if error is None or answer.outcome is Outcome.REFUSED:
        return Verdict.UP
    # 409: the API works, this chat is not ready.
    return Verdict.UP if isinstance(error, APIStatusError) and error.status_code == 409 else Verdict.DOWN


def _retry_after(error: LinqTypingError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, APIStatusError) else 0.0
