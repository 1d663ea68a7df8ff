"""A daemon thread with an event loop. Knows nothing about typing; ``process`` holds the one of this process.

Why a separate thread: a bot's event loop may be blocked, and a bot may have none.

The inbox. ``call_soon_threadsafe`` writes to a pipe for each call: a system call, in which the caller releases the
interpreter lock and may get it back only milliseconds later. So calls go into a deque, and the loop is woken only when
it is asleep, once for each sleep. The selector numbers a sleep just before it begins, then checks the inbox once more.
A caller that appends after that check finds a sleep that has not been ended, and ends it; a call that was appended
before it is seen.

The context. The loop is made and run in empty ones: a handle keeps the context in which it was made, and some tools
let a thread inherit its starter's. The first caller's span would become the parent of every request of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, Protocol

from .waiting import Completion

logger = logging.getLogger("linq_typing")


def log_exception(text: str, *args: object) -> None:
    """Log the exception that is being handled. Even a log handler that raises must not stop the thread."""
    with contextlib.suppress(BaseException):
        logger.exception(text, *args)


class Resident(Protocol):
    """Lives on the loop, and has work to finish before the process ends."""

    def begin_exit(self) -> Completion:
        """Begin to finish, for good; the completion is set once that is done. May be called from any thread."""
        ...


class _Inbox(selectors.DefaultSelector):
    """A selector that checks the inbox before it sleeps and after it wakes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.sleeps = 0
        self.ended = 0  # number of the last sleep that has ended or been woken
        self.on_calls: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout != 0:  # with 0 the loop only polls, and reads the inbox without being woken
            self.sleeps += 1  # before the check: see the module's docstring
            if self.calls:
                timeout = 0
        ready = super().select(timeout)
        self.ended = self.sleeps
        if self.calls:
            self.on_calls()
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that resolves names in daemon threads of its own.

    The interpreter joins the threads of asyncio's executor when it exits, before ``atexit`` runs: a resolver that hangs
    would hold up the exit, and no name could be resolved afterwards.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        try:
            super().__init__(selector)
        except BaseException:  # no file left for its pipe, or a signal handler raised: it may be half-made
            with contextlib.suppress(AttributeError):
                asyncio.BaseEventLoop.close(self)
            raise

    def __del__(self) -> None:
        """Do nothing: its creator closes it, and asyncio's ``__del__`` would fail on a half-made loop."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        done: asyncio.Future[Any] = self.create_future()

        def tell(call: Callable[[Any], None], outcome: Any) -> None:
            if not done.done():
                call(outcome)

        def resolve() -> None:
            call: Callable[[Any], None] = done.set_result
            try:
                outcome: Any = socket.getaddrinfo(host, port, **options)
            except Exception as error:  # noqa: BLE001 - raised in the caller
                call, outcome = done.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                self.call_soon_threadsafe(tell, call, outcome)

        try:
            threading.Thread(target=resolve, name="linq-typing-resolver", daemon=True).start()
        except RuntimeError:  # can't start a thread, as at interpreter shutdown: block this one
            resolve()
        return await done


class LoopThread:
    """A running event loop in a daemon thread named ``linq-typing``."""

    now = staticmethod(monotonic)  #: the loop's clock

    def __init__(self) -> None:
        self.dead = False
        self._residents: weakref.WeakSet[Resident] = weakref.WeakSet()
        self._waker, self._wakings = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="linq-typing", daemon=True)
        try:
            self._inbox = _Inbox()
            Context().run(self._make_loop)
            self._thread.start()  # what is posted before the loop runs is in the inbox when it first looks
        except BaseException:
            self.dead = True
            if self._thread.ident:  # it is running: a signal handler raised while we waited for its start
                self._loop.call_soon_threadsafe(self._loop.stop)
            else:
                self._close()
            raise

    def _make_loop(self) -> None:
        self._loop = _Loop(self._inbox)
        self._waker.setblocking(False)
        self._wakings.setblocking(False)
        self._loop.set_debug(False)  # python -X dev would log every slow step on a busy machine
        self._loop.add_reader(self._wakings, self._drain)
        self._inbox.on_calls = lambda: self._loop.call_soon(self._work_off)

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call ``call(*args)`` soon, after everything that was posted before. Never blocks.

        Raises only what may be raised anywhere: a signal handler's exception, a RecursionError. At most two calls
        deep: a caller with enough stack left to post one call has enough for the next.
        """
        if self.dead:
            return
        inbox = self._inbox
        inbox.calls.append((call, args))
        sleep = inbox.sleeps
        if inbox.ended != sleep:
            try:
                self._waker.send(b"\0")
            except BlockingIOError:  # the pipe is full, so the loop will wake
                pass
            except OSError:
                if not self._loop.is_closed():
                    raise
                self.dead = True
            inbox.ended = sleep  # only now, as a signal handler may raise; the loop's next sleep has another number

    def add_resident(self, resident: Resident) -> None:
        """Have it finish before the process ends."""
        self._residents.add(resident)

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    def shut_down(self, timeout: float) -> None:
        """Let the residents finish, for at most ``timeout`` seconds, then end the thread. Not callable from it."""
        deadline = monotonic() + timeout
        for done in [resident.begin_exit() for resident in list(self._residents)]:
            done.wait(max(0.0, deadline - monotonic()))
        self.post(self._loop.stop)
        self._thread.join(max(0.2, deadline - monotonic()))
        self.dead = True
        if not self._thread.is_alive():
            self._close()

    def _close(self) -> None:
        for resource in ("_loop", "_inbox", "_waker", "_wakings"):  # some are missing if the thread could not start
            with contextlib.suppress(AttributeError):
                getattr(self, resource).close()

    def _run(self) -> None:
        try:
            Context().run(self._loop.run_forever)
        finally:
            self.dead = True  # whatever ended it, the next use starts another

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakings.recv(4096)

    def _work_off(self) -> None:
        calls = self._inbox.calls
        for _ in range(len(calls)):  # not until it is empty, so that timers and requests get their turn
            call, args = calls.popleft()
            try:
                call(*args)
            except BaseException:  # noqa: BLE001 - whatever it is, this thread must go on
                log_exception("linq-typing: internal error")
