"""A daemon thread with an event loop. Knows nothing of typing; ``_process`` keeps the one of the process.

Why a thread of our own: a bot's loop may be blocked, and a bot may have no loop at all.

The inbox. ``call_soon_threadsafe`` writes to a pipe for each call: a system call, at which the caller gives up
the interpreter lock and may get it back milliseconds later. So calls go into a deque, and the pipe is written
to only when the loop is asleep, once for each sleep. The selector numbers a sleep just before it begins, then looks
into the inbox once more. A caller that appends after that look finds a sleep that nobody has ended and ends it; what
is appended before is seen.
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
from concurrent.futures import Future, wait
from time import monotonic
from typing import Any, Protocol

logger = logging.getLogger("linq_typing")


def log_exception(text: str, *args: object) -> None:
    """Log the exception that is being handled; not even a log handler that raises may stop the thread."""
    with contextlib.suppress(BaseException):
        logger.exception(text, *args)


class Resident(Protocol):
    """What lives on the loop and wants to finish when the process does."""

    def begin_close(self) -> Future[bool]:
        """Start to finish; the future says when that is done. Called from any thread."""
        ...


class _Inbox(selectors.DefaultSelector):
    """A selector that looks into the inbox before it sleeps and after it wakes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.sleeps = 0
        self.ended = 0  # the last sleep that is over, or somebody has seen to its end
        self.on_calls: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout != 0:  # a busy loop only looks: it will see to the inbox without being woken
            self.sleeps += 1  # before the look: see the module's docstring
            if self.calls:
                timeout = 0
        ready = super().select(timeout)
        self.ended = self.sleeps
        if self.calls:
            self.on_calls()
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that can resolve names while the interpreter exits: executors are gone before ``atexit`` runs."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        try:
            return await super().getaddrinfo(host, port, **options)
        except RuntimeError:  # executors are gone; blocking this thread harms nobody any more
            return socket.getaddrinfo(host, port, **options)


class LoopThread:
    """A running event loop in a daemon thread named ``linq-typing``."""

    def __init__(self) -> None:
        self._inbox = _Inbox()
        self._loop = _Loop(self._inbox)
        self._loop.set_debug(False)  # python -X dev would report every slow moment of a busy machine
        self._inbox.on_calls = lambda: self._loop.call_soon(self._work_off)
        self._residents: weakref.WeakSet[Resident] = weakref.WeakSet()
        self._thread = threading.Thread(target=self._run, name="linq-typing", daemon=True)
        self.dead = False
        try:
            self._thread.start()  # what is posted before the loop runs is in the inbox when it first looks
        except BaseException:
            with contextlib.suppress(RuntimeError):  # it runs already: a signal struck while we waited for it
                self._loop.close()
            raise

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call ``call(*args)`` soon, after all that was posted before. Never blocks or raises."""
        if self.dead:
            return
        inbox = self._inbox
        inbox.calls.append((call, args))
        sleep = inbox.sleeps
        if inbox.ended != sleep:
            self._wake()
            inbox.ended = sleep  # not before, as a signal may strike; the loop's next sleep has another number

    def add_resident(self, resident: Resident) -> None:
        """Have it finish before the process ends."""
        self._residents.add(resident)

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    def shut_down(self, timeout: float) -> None:
        """Let the residents finish, then end the thread. Not from the loop's own thread."""
        deadline = monotonic() + timeout
        wait([resident.begin_close() for resident in list(self._residents)], timeout)
        self.post(self._loop.stop)
        self._thread.join(max(0.2, deadline - monotonic()))
        self.dead = True
        if not self._thread.is_alive():
            self._loop.close()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self.dead = True  # whatever ended it, the next use starts another

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(lambda: None)
        except RuntimeError:  # the loop is closed: the process ends
            self.dead = True

    def _work_off(self) -> None:
        calls = self._inbox.calls
        for _ in range(len(calls)):  # not until it is empty: timers and requests want their turn
            call, args = calls.popleft()
            try:
                call(*args)
            except BaseException:  # whatever it is, this thread must go on
                log_exception("linq-typing: internal error")
