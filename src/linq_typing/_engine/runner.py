"""Runs the indicators of one manager on the loop thread: does what they decide and reports back.

``indicator`` decides what to do, ``request_queue`` which request goes first, ``circuit_breaker`` whether starts are
suspended, ``timer_queue`` which chat to look at again, and ``outcomes`` what an answer means. Everything here runs on
the loop's thread, except :meth:`Runner.stats`. Callers post inputs, each with the time at which it happened for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from math import ceil, inf
from typing import Any, Final

from .._core.indicator import Action, MessageInFlight, Outcome, SessionState
from .._core.observations import News
from .._core.request_queue import RequestQueue
from .._core.timer_queue import TimerQueue
from ..errors import APITimeoutError, LinqTypingError
from ..events import EventHook, Stats, TypingEvent
from .answers import Answer
from .chat import Chat
from .flushing import Flushes
from .http import TypingAPI
from .outcomes import Outcomes
from .transports import CLOSE_TIMEOUT
from .waiting import Completion

logger = logging.getLogger("linq_typing")

HEADROOM: Final = 1.25  #: connections per connection in use on average, for moments with more to do


class Runner:
    """The indicators of one manager, on one loop, over one API."""

    def __init__(
        self,
        now: Callable[[], float],
        api: TypingAPI,
        *,
        settle: float,
        max_connections: int,
        hooks: Sequence[EventHook],
    ) -> None:
        self.now = now
        self.on_change: Callable[[], object] = lambda: None  #: called when the last chat may have become idle
        self._api = api
        self._settle = settle
        self._max_connections = max_connections
        self._chats: dict[str, Chat] = {}
        self._timers: TimerQueue[Chat] = TimerQueue()
        self._queue: RequestQueue[str] = RequestQueue(max_connections)
        self._outcomes = Outcomes(hooks, api.retry_in)
        self._flushes = Flushes()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starts: set[asyncio.Task[None]] = set()
        self._dispatch_due = False
        self._congested = False  # whether it was reported that refreshes wait for a connection
        self._sessions = 0
        self._shown = 0

    def stats(self) -> Stats:
        """A snapshot; may be called from any thread. The numbers are counted as they change, so they may be a moment
        apart."""
        return Stats(
            sessions=self._sessions,
            chats=len(self._chats),
            shown=self._shown,
            in_flight=self._queue.in_use,
            waiting=self._queue.waiting,
            requests=dict(self._outcomes.requests),
            retries=self._outcomes.retries,
            suspended=self._outcomes.breaker.is_open,
        )

    # -- Inputs from sessions

    def join(self, chat_id: str, session: SessionState) -> None:
        chat = self._chat(chat_id)
        chat.join(session, session.joined_at)
        self._sessions += 1
        session.error = chat.refusal or self._outcomes.suspended_for
        self._go_on(chat)

    def leave(self, chat_id: str, session: SessionState, at: float, linger: float, done: Completion | None) -> None:
        chat = self._chats.get(chat_id)
        if chat is not None:
            self._sessions -= chat.leave(session, at, linger)
            self._go_on(chat)
            if done is not None:
                self._flush({chat}, done)
        elif done is not None:
            done.set(True)
        self.on_change()

    def pause(self, chat_id: str, session: SessionState, at: float) -> None:
        if session.is_open:
            self.tell(chat_id, lambda chat: chat.pause(session, at))

    def resume(self, chat_id: str, session: SessionState, at: float) -> None:
        if session.is_open:
            self.tell(chat_id, lambda chat: chat.resume(session, at))

    def tell(self, chat_id: str, what: Callable[[Chat], object]) -> None:
        """Pass an input to a chat, unless there is nothing to do or to remember about it."""
        chat = self.find(chat_id)
        if chat is not None:
            what(chat)
            self._go_on(chat)

    # -- Inputs from messages

    def send_began(self, chat_id: str, message: MessageInFlight) -> None:
        message.began = True
        chat = self._chat(chat_id)
        chat.send_began(message)
        self._go_on(chat)

    def send_ended(self, chat_id: str, message: MessageInFlight, at: float, accepted: bool) -> None:
        if message.ended:
            return
        message.ended = True
        if accepted and not message.began:  # only its answer named the chat: begin it in retrospect
            self.send_began(chat_id, message)
        elif not accepted and chat_id not in self._chats:
            return
        chat = self._chat(chat_id)  # which may have been forgotten, if the message took long
        chat.send_ended(message, at, accepted)
        if accepted and chat.sessions:
            self._outcomes.emit("message_sent", chat)
        elif accepted:
            logger.debug("message sent in chat %s, which has no session", chat_id)
        self._go_on(chat)

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        if chat_id in self._chats:
            self.send_ended(chat_id, message, message.began_at, True)
        else:
            logger.debug("mark_sent for chat %s, which has no session", chat_id)

    def foreign_message(self, news: News) -> None:
        """A webhook reports a message that this process has not sent."""
        if news.kind != "failed":
            self.tell(news.chat_id, lambda chat: self._foreign_message(chat, news.at))

    def _foreign_message(self, chat: Chat, at: float) -> None:
        if chat.sessions:
            self._outcomes.emit("message_sent", chat)
        chat.message_observed(at, self.now())

    # -- Flushing and ending

    @property
    def is_busy(self) -> bool:
        """Whether a session is open or a stop is owed."""
        now = self.now()
        return any(chat.sessions or chat.pending(now) for chat in self._chats.values())

    def flush(self, done: Completion) -> None:
        """Send due and delayed stops now; ``done`` says whether all were accepted."""
        self._flush(self._chats.values(), done)

    def _flush(self, chats: Iterable[Chat], done: Completion) -> None:
        now = self.now()
        pending = {chat for chat in chats if chat.pending(now)}
        self._flushes.add(set(pending), done)
        for chat in pending:
            chat.flush()
            self._review(chat)
        self._dispatch()

    def end_sessions(self) -> None:
        now = self.now()
        for chat in self._chats.values():
            for session in chat.sessions:
                self._sessions -= chat.leave(session, now, 0)

    def cancel_starts(self) -> None:
        """Cancel the starts in flight: a start that hangs holds back the stop after it."""
        for task in self._starts:
            task.cancel()

    async def end_requests(self) -> None:
        """Cancel the remaining requests, without waiting for those that ignore it, and make no further ones.

        Forgets the chats that they were about. Those with a message to settle, a refusal, or a stop that may still
        apply are remembered for :meth:`restart`.
        """
        self._queue = RequestQueue(0)
        self._timers = TimerQueue()
        self._set_timer()
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=CLOSE_TIMEOUT)
        now = self.now()
        for chat in self._chats.values():
            if chat.maybe_up(now):
                self._outcomes.emit("gave_up", chat, Action.STOP)
            if chat.in_flight is Action.STOP:
                chat.answered(Outcome.NO_ANSWER, now)
        self._chats = {chat.id: chat for chat in self._chats.values() if not chat.pending(now)}
        self._outcomes.reset()
        self._flushes.abandon()

    def restart(self) -> None:
        """Make requests again, after :meth:`end_requests`."""
        self._queue, self._timers, self._shown = RequestQueue(self._max_connections), TimerQueue(), 0
        for chat in list(self._chats.values()):
            chat.due, chat.shown = inf, False
            self._review(chat)
        self._dispatch()

    # -- Deciding

    def find(self, chat_id: str) -> Chat | None:
        return self._chats.get(chat_id)

    def _chat(self, chat_id: str) -> Chat:
        chat = self._chats.get(chat_id)
        if chat is None:
            chat = self._chats[chat_id] = Chat(chat_id, self._settle)
        return chat

    def _go_on(self, chat: Chat) -> None:
        """Act on an input. Requests go out once the inputs that came with it are processed too."""
        self._review(chat)
        if not self._dispatch_due:
            self._dispatch_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _review(self, chat: Chat) -> None:
        """Ask the indicator what to do now, and enqueue, wait or forget accordingly."""
        now = self.now()
        for _ in chat.expire(now):
            self._outcomes.emit("expired", chat)
        action, due = chat.next(now)
        self._timers.schedule(chat, due)
        shown = chat.maybe_up(now)
        self._shown += shown - chat.shown
        chat.shown = shown
        if action is None:
            self._queue.discard(chat.id)
            if chat.forgettable(now):
                self._timers.cancel(chat)
                self._chats.pop(chat.id, None)
        else:
            self._queue.enqueue(chat.id, chat.priority(action), now)
        if self._flushes and not chat.pending(now):
            self._flushes.settled(chat)

    def _dispatch(self) -> None:
        """Send the requests whose turn it is, as long as there are free slots."""
        self._dispatch_due = False
        breaker = self._outcomes.breaker
        while True:
            now, tried = self.now(), breaker.tried
            may_start = breaker.may_start(now, untried=self._queue.starts_waiting(besides=tried))
            chat_id = self._queue.acquire(now, starts=may_start, avoid=tried)
            if chat_id is None:
                break
            chat = self._chats[chat_id]
            # What to do may have changed while it waited.
            action, _ = chat.next(now)
            if action is None or (action is Action.START and not breaker.may_start(now, untried=chat_id not in tried)):
                self._queue.release()
                self._review(chat)
            else:
                self._send(chat, action, now)
        self._set_timer()
        if not self._congested and (waiting := self._queue.oldest_refresh) is not None:
            self._check_wait(self._chats[waiting[0]], waiting[1])

    def _check_wait(self, chat: Chat, since: float) -> None:
        """Report, once, that a refresh has waited too long for a connection."""
        now, queue = self.now(), self._queue
        if not chat.wanted(now) or now - since <= chat.interval(now) / 4:
            return
        self._congested = True
        intervals = [other.interval(now) for other in self._chats.values() if other.wanted(now)]
        in_use = queue.slots_for(sum(1 / interval for interval in intervals))
        text = (
            f"a refresh has waited {now - since:.1f} s for a connection; raise max_connections from {queue.capacity} "
            f"to {max(2 * queue.capacity, ceil(HEADROOM * in_use))} for {len(intervals)} chats"
        )
        self._outcomes.tell(TypingEvent("congested", "", error=LinqTypingError(text)))

    def _set_timer(self) -> None:
        # If no slot is free, the next release dispatches anyway.
        can_probe = self._queue.has_free_slot and self._queue.starts_waiting()
        when = min(self._timers.next_at, self._outcomes.breaker.half_open_at if can_probe else inf)
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
        self.on_change()

    # -- Requests

    def _send(self, chat: Chat, action: Action, now: float) -> None:
        chat.sent(action, now)
        probe = action is Action.START and self._outcomes.breaker.began(chat.id)
        task = self.create_task(self._request(chat, action, probe))
        if action is Action.START:
            self._starts.add(task)
            task.add_done_callback(self._starts.discard)

    def create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Create a task that is kept until it is done, or cancelled by :meth:`end_requests`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _request(self, chat: Chat, action: Action, probe: bool) -> None:
        began, queue = self.now(), self._queue
        try:
            answer = await self._api.request(action, chat.id)
        except asyncio.CancelledError:
            if queue is not self._queue:
                raise
            answer = Answer(Outcome.NO_ANSWER, APITimeoutError("gave up because the manager is closing"))
        if queue is not self._queue:
            return  # it was cancelled, but ignored that
        now = self.now()
        queue.release(now - began)
        given_up = self._outcomes.apply(
            chat,
            action,
            answer,
            now=now,
            elapsed=now - began,
            probe=probe,
            others_work=lambda: any(other.wanted(now) for other in self._chats.values() if other is not chat),
        )
        if given_up and action is Action.STOP:
            self._flushes.gave_up(chat)
        self._go_on(chat)
        self.on_change()
