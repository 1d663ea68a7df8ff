"""The session that a ``with`` block yields, and the context's stack of sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from math import inf
from types import TracebackType
from typing import Generic, TypeVar, Union

from ._core.indicator import MessageInFlight, SessionState, UnknownSender
from ._engine.interface import Engine
from ._engine.waiting import LONGEST, Completion
from .errors import LinqTypingError

__all__ = ["TypingSession", "current_session"]

T = TypeVar("T")

#: A linked list, the innermost session first: pushing takes constant time.
Stack = Union[tuple["TypingSession", "Stack"], None]  # noqa: UP007 - a name that is not defined yet

#: The sessions that the context has entered. Inherited by tasks and ``asyncio.to_thread``.
stack: ContextVar[Stack] = ContextVar("linq_typing_sessions", default=None)


def push(session: TypingSession) -> None:
    """Enter the session in this context."""
    around = stack.get()
    while around is not None and not around[0].is_open:  # it ended in another context
        around = around[1]
    stack.set((session, around))


def remove(session: TypingSession) -> None:
    """Leave the session. Uses no token: a generator's block may be entered in one context and left in another."""
    stack.set(_without(stack.get(), session))


def _without(whole: Stack, session: TypingSession) -> Stack:
    node, inner = whole, []
    while node is not None and node[0] is not session:
        inner.append(node[0])
        node = node[1]
    if node is None:
        return whole
    rest = node[1]
    for other in reversed(inner):
        rest = (other, rest)
    return rest


def _innermost_first() -> Iterator[TypingSession]:
    node = stack.get()
    while node is not None:
        session, node = node
        yield session


def current_session() -> TypingSession | None:
    """The innermost open session of the calling context, or None.

    Gives code inside a decorated function access to its session. Tasks and ``asyncio.to_thread`` inherit the
    context; a plain ``threading.Thread`` does not. May be called from any thread.
    """
    return next((session for session in _innermost_first() if session.is_open), None)


def sender_in_context(chat_id: str, engine: Engine) -> SessionState | UnknownSender:
    """The sender of a message that the calling context sends: its innermost session of that chat."""
    now = engine.now()
    for session in _innermost_first():
        listens = session.is_open or now < session._lingers_until < inf
        if listens and session.chat_id == chat_id and session._engine is engine:
            return session._state
    return "unknown"


def session_in_context(chat_id: str) -> TypingSession | None:
    """The innermost open session of that chat in the calling context."""
    return next((session for session in _innermost_first() if session.is_open and session.chat_id == chat_id), None)


class TypingSession:
    """A period of work during which a chat shows the typing indicator.

    Created by entering ``typing_while(...)``, never directly. Every method may be called from any thread or event
    loop, returns at once, and never raises because of the network. Once the block has ended, only
    :meth:`mark_sent` and :meth:`sending` still have an effect: a message clears an indicator that is still up.
    """

    __slots__ = ("_engine", "_lingers_until", "_state", "chat_id")

    def __init__(self, chat_id: str, engine: Engine | None, state: SessionState) -> None:
        self.chat_id = chat_id  #: the canonical text of the chat's UUID
        self._engine = engine  # None: nothing is sent (disabled, no key, or the interpreter is exiting)
        self._state = state
        self._lingers_until = inf  # once it has ended: until the end of its stop_delay

    def __repr__(self) -> str:
        return f"<TypingSession chat_id={self.chat_id!r} {'open' if self.is_open else 'ended'}>"

    @property
    def is_open(self) -> bool:
        """Whether the block is still running, in the process in which it was entered, and its manager is not closed."""
        return (
            self._lingers_until == inf and self._state.left_at is None and (self._engine is None or self._engine.alive)
        )

    @property
    def _is_inherited(self) -> bool:
        """Whether the block was entered before a fork, in the parent process."""
        return self._engine is not None and not self._engine.alive

    @property
    def error(self) -> LinqTypingError | None:
        """The last error of a typing request in this chat while the session was open, or None."""
        return self._state.error

    def mark_sent(self) -> None:
        """Report that a message went out in a way that the library can't detect.

        The time of the call counts as the time of the message, so call it right after the send. The message clears
        the indicator, which stays off until :meth:`resume`, or for ``resume_after`` seconds.
        """
        if self._engine is not None:
            self._engine.mark_sent(self.chat_id, MessageInFlight(self._engine.now(), self._state))

    def sending(self) -> Sending:
        """A context manager, sync or async, around a send that the library can't detect.

        No start or refresh goes out inside it. If the block ends without an exception, the message counts as sent;
        if it was not, call ``failed()`` on the object that the block yields::

            async with session.sending() as send:
                if not await my_gateway.send(text):
                    send.failed()
        """
        return Sending(self)

    def pause(self) -> None:
        """Take the indicator down, for example while waiting for a person. Paused time does not count towards
        ``max_duration``. Idempotent."""
        if self._engine is not None:
            self._engine.pause(self.chat_id, self._state, self._engine.now())

    def resume(self) -> None:
        """Show the indicator again, after :meth:`pause` or after a message."""
        if self._engine is not None:
            self._engine.resume(self.chat_id, self._state, self._engine.now())

    def paused(self) -> Paused:
        """A context manager, sync or async: :meth:`pause` before the block, :meth:`resume` after it.

        Nested blocks don't add up: leaving the inner one resumes.
        """
        return Paused(self)

    def _join(self) -> None:
        """The block begins."""
        if self._engine is not None:
            self._engine.join(self.chat_id, self._state)

    def _leave(self, linger: float = 0.0, done: Completion | None = None) -> None:
        """The block has ended; the stop may wait ``linger`` seconds. Idempotent: the first call counts.

        Needs no more stack depth than ``_join``, which succeeded before: a RecursionError can't leave a session open.
        """
        engine = self._engine
        if engine is None:
            self._lingers_until = linger
            return
        now = engine.now()
        self._lingers_until = now + linger
        engine.leave(self.chat_id, self._state, now, linger, done)

    def _end(self, failed: bool) -> Completion | None:
        """Leave as the options say. Returns the completion to wait for, or None."""
        options, engine = self._state.options, self._engine
        wait = options.wait_on_exit and engine is not None and engine.can_be_waited_for
        done: Completion | None = Completion() if wait else None
        self._leave(0.0 if failed or options.wait_on_exit else min(options.stop_delay, LONGEST), done)
        return done


class _BothWays(Generic[T]):
    """A context manager that never waits, so that its async form just calls its sync form."""

    def __enter__(self) -> T:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, trace)


class Sending(_BothWays["Sending"]):
    """A send in progress; see :meth:`TypingSession.sending`."""

    def __init__(self, session: TypingSession) -> None:
        self._message: MessageInFlight | None = None
        self._session = session
        self._failed = False

    def failed(self) -> None:
        """Report that no message went out, although the block ends without an exception."""
        self._failed = True

    def __enter__(self) -> Sending:
        session, engine = self._session, self._session._engine
        if self._message is not None:
            raise RuntimeError("this sending() is already active: call sending() for each send")
        self._failed = False
        self._message = MessageInFlight(engine.now() if engine else 0.0, session._state)
        if engine is not None:
            self.__class__ = _ActiveSending  # pyright: ignore[reportAttributeAccessIssue]
            engine.send_began(session.chat_id, self._message)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(accepted=kind is None and not self._failed)

    def _end(self, accepted: bool) -> None:
        message, engine = self._message, self._session._engine
        if engine is not None and message is not None:
            engine.send_ended(self._session.chat_id, message, engine.now(), accepted)
        self.__class__ = Sending  # pyright: ignore[reportAttributeAccessIssue]
        self._message = None


class _ActiveSending(Sending):
    """A send in progress. If a signal handler raises before the block begins or as it ends, ``__del__`` ends it."""

    def __del__(self) -> None:
        self._end(accepted=False)


class Paused(_BothWays[None]):
    """A pause in progress; see :meth:`TypingSession.paused`."""

    def __init__(self, session: TypingSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.pause()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.resume()
