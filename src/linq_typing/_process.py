"""What there is once in a process: a lock, and the loop thread, made at its first use.

Fork. It waits for what is being made under the lock, imports above all: the child would inherit their locks
without the threads that release them. The child has the parent's thread object but not the thread, and shares its
epoll: the inherited loop is neither closed nor woken there, only marked dead and kept from the garbage collector.
The next use starts afresh.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - it registers hooks, which is too late once a fork or the exit has begun
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._loop import LoopThread

EXIT_TIMEOUT: Final = 5.0  #: seconds that a finishing process is held up at most

_process_lock = threading.RLock()
_current: LoopThread | None = None
_exiting = False
_fit = True
_inherited: list[LoopThread] = []


def process_lock() -> threading.RLock:
    """The one lock for what is made once in a process. Made anew after a fork: never keep it."""
    return _process_lock


def is_fit() -> bool:
    """False in a child that was forked in the midst of a long import: it would wait for ever for what that imported."""
    return _fit


def loop_thread() -> LoopThread:
    """This process's loop thread, started if need be. RuntimeError once the interpreter exits."""
    global _current
    if _exiting:
        raise RuntimeError("the interpreter exits")
    thread = _current
    if thread is None or thread.dead:
        with process_lock():
            from ._loop import LoopThread  # brings asyncio along, which importing the library is not to wait for

            thread = _current
            if thread is None or thread.dead:
                thread = _current = LoopThread()
    return thread


def _at_exit() -> None:
    global _exiting
    _exiting = True
    if _current is not None and not _current.dead:
        _current.shut_down(EXIT_TIMEOUT)


def _before_fork() -> None:
    _process_lock.acquire(timeout=1.0)  # not for ever: whoever imports may be waiting for this fork


def _release() -> bool:
    """Returns whether this thread had got the lock."""
    try:
        _process_lock.release()
    except RuntimeError:
        return False
    return True


def _after_fork_in_parent() -> None:
    _release()


def _after_fork_in_child() -> None:
    global _current, _fit, _process_lock
    _fit = _release() and _fit
    _process_lock = threading.RLock()
    if _current is not None:
        _current.dead = True
        _inherited.append(_current)
        _current = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
