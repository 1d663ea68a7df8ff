"""Waiting for the library's thread: from plain code, under asyncio and under trio."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

LONGEST = 1e6  #: seconds; locks refuse to wait for longer


class Completion:
    """Says that something is done, and whether it went well. The library's thread sets it, callers wait for it.

    Not a ``concurrent.futures.Future``: a signal handler that raises inside one can leave its lock held, and the
    library's thread would wait for that lock forever. Here no caller holds what ``set`` needs.
    """

    __slots__ = ("_callbacks", "_pending", "result")

    def __init__(self, result: bool | None = None) -> None:
        self.result = result  #: None until it is done
        self._callbacks: deque[Callable[[bool], object]] = deque()
        self._pending = threading.Lock()
        if result is None:
            self._pending.acquire()

    def set(self, result: bool) -> None:
        """Mark it as done. Only the first call counts."""
        if self.result is None:
            self.result = result
            self._pending.release()
            self._call_back()

    def add_callback(self, callback: Callable[[bool], object]) -> None:
        """Call ``callback`` with the result: at once if it is done, else in ``set``."""
        self._callbacks.append(callback)
        if self.result is not None:
            self._call_back()

    def wait(self, timeout: float) -> bool:
        """Block until it is done, for at most ``timeout`` seconds. Returns the result, False if it took longer."""
        if self.result is None and self._pending.acquire(timeout=min(timeout, LONGEST)):
            self._pending.release()  # for the next waiter
        return bool(self.result)

    def _call_back(self) -> None:
        result = bool(self.result)
        with suppress(IndexError):  # set() and add_callback() may get here together: each callback is taken once
            while True:
                self._callbacks.popleft()(result)


async def wait_for_async(done: Completion, timeout: float, *, shield: bool = False) -> bool:
    """``done.wait`` without blocking the running event loop, asyncio's or trio's.

    ``shield`` keeps waiting in a trio scope that is already cancelled, where any other wait ends at once.
    """
    if done.result is not None:
        return done.result
    if "trio" in sys.modules and _in_trio():
        return await _wait_in_trio(done, timeout, shield)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a coroutine that is closed where no loop runs
        return False
    woken = asyncio.Event()

    def wake(result: bool) -> None:
        with suppress(RuntimeError):  # the loop is closed: its task no longer waits
            loop.call_soon_threadsafe(woken.set)

    done.add_callback(wake)
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(woken.wait(), timeout)
    return bool(done.result)


def _in_trio() -> bool:
    import trio

    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def _wait_in_trio(done: Completion, timeout: float, shield: bool) -> bool:
    import trio

    with trio.CancelScope(shield=shield):
        return await trio.to_thread.run_sync(done.wait, timeout, abandon_on_cancel=True)
    return False
