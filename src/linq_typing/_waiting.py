"""Waiting for the library's thread: from plain code, under asyncio and under trio."""

from __future__ import annotations

import sys
from concurrent.futures import Future, wait
from contextlib import suppress

LONGEST = 1e6  #: seconds; locks refuse to wait for ever so long


def wait_for(done: Future[bool], timeout: float) -> bool:
    """Block until ``done``, for at most ``timeout`` seconds. Returns its result, False if it took longer."""
    wait([done], min(timeout, LONGEST))
    return done.done() and done.result()


async def wait_for_async(done: Future[bool], timeout: float, *, shield: bool = False) -> bool:
    """The same without blocking the running event loop, asyncio's or trio's.

    ``shield`` waits on in a trio scope that is cancelled already, where every other wait ends at once.
    """
    if done.done():
        return done.result()
    if "trio" in sys.modules and _in_trio():
        return await _wait_in_trio(done, timeout, shield)
    import asyncio  # whoever waits has it already

    try:
        asyncio.get_running_loop()
    except RuntimeError:  # a coroutine that is closed where no loop runs
        return False
    with suppress(asyncio.TimeoutError):
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), timeout)
    return False


def _in_trio() -> bool:
    import trio

    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def _wait_in_trio(done: Future[bool], timeout: float, shield: bool) -> bool:
    import trio

    with trio.CancelScope(shield=shield):
        return await trio.to_thread.run_sync(wait_for, done, timeout, abandon_on_cancel=True)
    return False
