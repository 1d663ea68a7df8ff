"""What there is once in a process."""

import asyncio
import errno
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from linq_typing._engine import process as _process
from linq_typing._engine.loop import LoopThread
from linq_typing._engine.process import loop_thread
from linq_typing.errors import LinqTypingError
from patience import PATIENCE


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
        assert _process._current is None
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


# -- What the system and its libraries say


@pytest.mark.parametrize(
    ("error", "is_ours"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.EPERM, "a signal handler's"), False),
        (RuntimeError("a signal handler's"), False),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_thread_yet")
def test_a_system_without_threads_or_files_is_told_from_what_a_signal_handler_raises(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_ours: bool
) -> None:
    """That is the caller's."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(_process, "LoopThread", fail)
    with pytest.raises(LinqTypingError if is_ours else type(error)) as caught:
        loop_thread()
    assert (caught.value is error) is not is_ours


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the test begin the end of the process."""
    monkeypatch.setattr(_process, "_exiting", False)


@pytest.mark.usefixtures("no_thread_yet", "ending")
def test_at_exit_the_thread_ends_and_no_other_one_starts() -> None:
    """Nothing would shut it down. Ending twice, or without a thread, is fine."""
    thread = loop_thread()
    assert thread is not None
    _process._at_exit()
    assert thread.dead
    assert loop_thread() is None
    _process._at_exit()
    _process._current = None
    _process._at_exit()
    assert loop_thread() is None


@pytest.mark.usefixtures("no_thread_yet", "ending")
def test_a_thread_that_is_shutting_down_is_given_to_nobody() -> None:
    """What began on it now would not be finished."""
    assert loop_thread() is not None
    _process._exiting = True
    assert loop_thread() is None


@pytest.mark.usefixtures("no_thread_yet", "ending")
def test_an_exit_that_begins_while_a_thread_is_asked_for_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit has found no thread to shut down."""

    class Lock:
        def __enter__(self) -> None:
            _process._exiting = True

        def __exit__(self, *args: object) -> None:
            pass

    monkeypatch.setattr(_process, "_process_lock", Lock())
    assert loop_thread() is None


class Multiprocessing:
    """Stands for ``multiprocessing.process`` and ``multiprocessing.util``."""

    def __init__(self, is_child: bool) -> None:
        self.is_child = is_child
        self.is_at_its_end = False
        self.finalizers: list[tuple[object, Callable[[], None], int]] = []

    def parent_process(self) -> object:
        return self if self.is_child else None

    def is_exiting(self) -> bool:
        return self.is_at_its_end

    def Finalize(self, thing: object, call: Callable[[], None], exitpriority: int) -> None:  # noqa: N802
        self.finalizers.append((thing, call, exitpriority))


@pytest.mark.usefixtures("no_thread_yet")
@pytest.mark.parametrize("is_child", [True, False])
def test_a_child_of_multiprocessing_shuts_down_with_its_finalizers(
    monkeypatch: pytest.MonkeyPatch, is_child: bool
) -> None:
    """It knows no ``atexit``. At its end no thread starts any more."""
    fake = Multiprocessing(is_child)
    for name in ("process", "util"):
        monkeypatch.setitem(sys.modules, f"multiprocessing.{name}", fake)
    thread = loop_thread()
    assert thread is not None
    assert fake.finalizers == ([(None, _process._at_exit, 100)] if is_child else [])
    thread.shut_down(PATIENCE)
    fake.is_at_its_end = True
    assert (loop_thread() is None) is is_child


@pytest.mark.usefixtures("no_thread_yet")
@pytest.mark.parametrize("missing", ["process", "util"])
def test_multiprocessing_is_not_imported_for_it(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Who has not imported all of it is no child of it."""
    for name in ("process", "util"):
        monkeypatch.setitem(sys.modules, f"multiprocessing.{name}", Multiprocessing(True))
    monkeypatch.delitem(sys.modules, f"multiprocessing.{missing}")
    assert loop_thread() is not None


def _is_free(lock: threading.RLock) -> bool:
    """For another thread."""
    with ThreadPoolExecutor(1) as pool:
        free = pool.submit(lock.acquire, False).result()
        if free:
            pool.submit(lock.release).result()
        return free


def test_a_fork_waits_for_the_lock_and_gives_it_back() -> None:
    """So that the child finds nothing half made."""
    lock = _process.process_lock()
    _process._before_fork()
    assert not _is_free(lock)
    _process._after_fork_in_parent()
    assert _is_free(lock)


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
