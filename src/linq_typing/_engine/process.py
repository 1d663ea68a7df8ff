"""What exists once per process: a lock, and the loop thread, started at its first use.

Fork. The child has the parent's thread object but not the thread, and shares its epoll: it neither closes nor wakes the
inherited loop, only marks it dead and keeps it from the garbage collector. The child's next use starts a new thread. A
fork waits for the lock, so that the child finds nothing half-made.

Exit. ``atexit`` runs the shutdown. Child processes of ``multiprocessing`` don't run ``atexit``, but they run the
finalizers of ``multiprocessing.util``.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - it registers hooks, which is too late once a fork or the exit has begun
import errno
import os
import sys
import threading
from typing import Any, Final

from ..errors import LinqTypingError
from .loop import LoopThread

EXIT_TIMEOUT: Final = 5.0  #: seconds; the longest that an exiting process is held up

_OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN)

_process_lock = threading.RLock()
_current: LoopThread | None = None
_exiting = False
_inherited: list[LoopThread] = []


def process_lock() -> threading.RLock:
    """The lock for everything that is made once per process. A fork replaces it: never store it."""
    return _process_lock


def loop_thread() -> LoopThread | None:
    """This process's loop thread, started if necessary; None once the interpreter is exiting.

    Raises LinqTypingError if the system is out of threads or files.
    """
    global _current
    if _exiting:
        return None
    thread = _current
    if thread is None or thread.dead:
        with process_lock():
            thread = _current
            if thread is None or thread.dead:
                if _is_ending():
                    return None
                thread = _current = _started()
                _finish_with_multiprocessing()
                if _is_ending():  # the shutdown may have run before the thread existed
                    thread.shut_down(EXIT_TIMEOUT)
                    return None
    return thread


def _started() -> LoopThread:
    try:
        return LoopThread()
    except (OSError, RuntimeError) as error:
        if not _is_out_of_resources(error):
            raise
        raise LinqTypingError(f"the library's thread could not be started: {error}") from None


def _is_out_of_resources(error: Exception) -> bool:
    """Whether the system is out of threads or files. An OSError or RuntimeError of a signal handler does not count."""
    if isinstance(error, OSError):
        return error.errno in _OUT_OF_RESOURCES
    return str(error).startswith("can't ")  # threading: "can't start new thread", "... at interpreter shutdown"


def _finish_with_multiprocessing() -> None:
    """In a child of ``multiprocessing``, which does not run ``atexit``: shut down with its finalizers."""
    if (util := _multiprocessing_child()) is not None:
        util.Finalize(None, _at_exit, exitpriority=100)


def _multiprocessing_child() -> Any:
    """``multiprocessing.util`` in a child of multiprocessing; else None."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    return util if process is not None and util is not None and process.parent_process() is not None else None


def _is_ending() -> bool:
    """Whether it is too late to start a thread: nothing would shut it down. A user's thread may run on that long."""
    util = _multiprocessing_child()
    return _exiting or (util is not None and util.is_exiting())


def _at_exit() -> None:
    global _exiting
    _exiting = True
    if _current is not None and not _current.dead:
        _current.shut_down(EXIT_TIMEOUT)


def _before_fork() -> None:
    _process_lock.acquire()


def _after_fork_in_parent() -> None:
    _process_lock.release()


def _after_fork_in_child() -> None:
    global _current, _process_lock
    _process_lock = threading.RLock()
    if _current is not None:
        _current.dead = True
        _inherited.append(_current)
        _current = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
