"""What there is once in a process."""

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from linq_typing._engine import process as _process
from linq_typing._engine.loop import LoopThread
from linq_typing._engine.process import loop_thread
from linq_typing.errors import LinqTypingError

PATIENCE = 60.0


@pytest.fixture
def no_thread_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module as in a process that has not needed a thread."""
    monkeypatch.setattr(_process, "_current", None)
    yield
    if _process._current is not None:
        _process._current.shut_down(PATIENCE)


@pytest.mark.usefixtures("no_thread_yet")
def test_the_thread_starts_once_under_concurrent_first_use() -> None:
    """Twenty threads at a barrier get the same one."""
    barrier, got = threading.Barrier(20), []

    def first_use() -> None:
        barrier.wait(PATIENCE)
        got.append(loop_thread())

    users = [threading.Thread(target=first_use) for _ in range(20)]
    for user in users:
        user.start()
    for user in users:
        user.join(PATIENCE)
    assert len(got) == 20
    assert len(set(map(id, got))) == 1


@pytest.mark.usefixtures("no_thread_yet")
def test_a_dead_thread_is_replaced_at_the_next_use() -> None:
    """After a shut-down that was not the process's, there is a new one; else the same."""
    first = loop_thread()
    assert loop_thread() is first
    first.shut_down(PATIENCE)
    assert loop_thread() is not first


@pytest.mark.usefixtures("no_thread_yet")
def test_a_thread_that_does_not_start_is_an_error_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of threads: the caller is told, the loop is closed, a later try works."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(LinqTypingError, match="can't start new thread"):
            loop_thread()
    thread = loop_thread()
    assert thread is not None
    assert not thread.dead


def _as_in_a_forked_child() -> None:
    _process._before_fork()
    _process._after_fork_in_child()


@pytest.mark.usefixtures("no_thread_yet")
def test_a_forked_child_starts_afresh() -> None:
    """The inherited thread is marked dead, kept, and never closed: its epoll is the parent's."""
    inherited = loop_thread()
    lock = _process.process_lock()
    kept = list(_process._inherited)
    try:
        _as_in_a_forked_child()
        assert inherited.dead
        assert not inherited._loop.is_closed()
        assert _process._inherited[-1] is inherited
        assert _process.process_lock() is not lock
        assert loop_thread() is not inherited
    finally:
        _process._inherited[:] = kept
        inherited.dead = False  # this process is no child: the thread is there
        inherited.shut_down(PATIENCE)


@pytest.mark.usefixtures("no_thread_yet")
def test_a_fork_before_the_first_use_needs_nothing() -> None:
    """The usual case under a pre-forking server."""
    _as_in_a_forked_child()
    assert _process._current is None


@pytest.mark.usefixtures("no_thread_yet")
def test_what_strikes_while_the_loop_is_made_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler's exception in asyncio's own constructors: nothing of a half-made loop stumbles over it."""

    class Struck(Exception):  # noqa: N818 - it is no error
        pass

    def strike(*args: object) -> None:
        raise Struck

    for name in ("__init__", "set_debug"):
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.BaseEventLoop, name, strike)
            with pytest.raises(Struck):
                loop_thread()
            gc.collect()  # a __del__ that stumbled would be a warning, so an error
    assert loop_thread() is not None


@pytest.mark.usefixtures("no_thread_yet")
def test_a_thread_that_starts_while_the_process_ends_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs at the end may have run before the thread was there; its first start would leave a ghost."""
    made = []

    class Late(LoopThread):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            monkeypatch.setattr(_process, "_exiting", True)

    monkeypatch.setattr(_process, "LoopThread", Late)
    assert loop_thread() is None
    assert made[0].dead
