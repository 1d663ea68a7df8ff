"""The library's thread and its event loop."""

import asyncio
import contextvars
import gc
import logging
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from linq_typing._engine.loop import LoopThread, _Inbox
from linq_typing._engine.waiting import Completion
from patience import PATIENCE


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    loop_thread = LoopThread()
    yield loop_thread
    loop_thread.shut_down(PATIENCE)


def _call(thread: LoopThread, call: Callable[[], object]) -> object:
    """The result of a call made on the thread."""
    done: Future[object] = Future()
    thread.post(lambda: done.set_result(call()))
    return done.result(PATIENCE)


def _wait_until_it_sleeps(thread: LoopThread) -> None:
    """Until its loop has found the inbox empty: only then does what is posted next have to wake it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        frame = sys._current_frames().get(thread._thread.ident or 0)
        has_looked = frame is not None and frame.f_back is not None and frame.f_back.f_code is _Inbox.select.__code__
        if has_looked and thread._inbox.ended != thread._inbox.sleeps:
            return
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_thread_is_a_daemon_of_a_telling_name(thread: LoopThread) -> None:
    """py-spy and a debugger show whose it is, and it holds up no exit."""
    current = _call(thread, threading.current_thread)
    assert isinstance(current, threading.Thread)
    assert (current.name, current.daemon) == ("linq-typing", True)


_variable: contextvars.ContextVar[object] = contextvars.ContextVar("_variable")


@pytest.mark.usefixtures("threads_inherit_contexts")
def test_calls_and_tasks_are_in_no_callers_context() -> None:
    """Else every request of the process would be traced as a child of the span that was open at the first one."""

    def in_context() -> LoopThread:
        _variable.set("the first caller's")
        return LoopThread()

    seen: Future[list[object]] = Future()

    async def task() -> None:
        seen.set_result([_variable.get(None)])

    thread = contextvars.Context().run(in_context)
    try:
        assert _call(thread, lambda: _variable.get(None)) is None
        kept: list[asyncio.Task[None]] = []
        thread.post(lambda: kept.append(asyncio.get_running_loop().create_task(task())))
        assert seen.result(PATIENCE) == [None]
    finally:
        thread.shut_down(PATIENCE)


def test_the_context_of_the_first_caller_is_not_kept() -> None:
    """It may hold a request, a database session, a span."""

    class Request:
        pass

    def in_context() -> tuple[LoopThread, weakref.ref[Request]]:
        request = Request()
        _variable.set(request)
        return LoopThread(), weakref.ref(request)

    thread, request = contextvars.Context().run(in_context)
    try:
        _call(thread, lambda: None)
        gc.collect()
        assert request() is None
    finally:
        thread.shut_down(PATIENCE)


def test_a_loop_runs_once_it_is_made(thread: LoopThread) -> None:
    """The handshake: whoever has it may post."""
    assert _call(thread, lambda: asyncio.get_running_loop().is_running()) is True


def test_calls_are_made_in_the_order_of_posting(thread: LoopThread) -> None:
    """A leave never overtakes its join."""
    made: list[int] = []
    for number in range(1000):
        thread.post(made.append, number)
    _call(thread, lambda: None)
    assert made == list(range(1000))


def test_an_idle_loop_is_woken(thread: LoopThread) -> None:
    """Posting needs no timer and no polling."""
    for _ in range(50):
        time.sleep(0.002)
        _call(thread, lambda: None)


def test_posting_does_not_wait(thread: LoopThread) -> None:
    """Not even while the loop is busy."""
    release, busy = threading.Event(), threading.Event()
    waits: list[bool] = []
    thread.post(lambda: (busy.set(), waits.append(release.wait(PATIENCE))))
    assert busy.wait(PATIENCE)
    for _ in range(1000):
        thread.post(lambda: None)
    assert waits == []  # it is still busy
    release.set()


def test_an_exception_in_a_call_is_logged_and_kills_nothing(
    thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the thread nor the calls behind it."""
    thread.post(lambda: 1 / 0)
    assert _call(thread, lambda: "alive") == "alive"
    [record] = caplog.records
    assert (record.name, record.levelno) == ("linq_typing", logging.ERROR)
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_calls_posted_by_calls_are_made(thread: LoopThread) -> None:
    """From the loop's own thread, too."""
    done: Future[str] = Future()
    thread.post(lambda: thread.post(done.set_result, "made"))
    assert done.result(PATIENCE) == "made"


def test_timers_and_tasks_run_beside_the_inbox(thread: LoopThread) -> None:
    """A call may create tasks; the loop is an ordinary one."""
    done: Future[str] = Future()

    async def work() -> None:
        await asyncio.sleep(0.005)
        done.set_result("worked")

    tasks: list[object] = []
    thread.post(lambda: tasks.append(asyncio.get_running_loop().create_task(work())))
    assert done.result(PATIENCE) == "worked"


def test_a_flood_of_calls_does_not_starve_timers() -> None:
    """Requests and their time-outs go on while callers post without pause."""
    thread = LoopThread()
    fired, over = threading.Event(), threading.Event()

    def again() -> None:
        if not fired.is_set() and not over.is_set():
            thread.post(again)

    thread.post(lambda: asyncio.get_running_loop().call_later(0.01, fired.set))
    thread.post(again)
    try:
        assert fired.wait(PATIENCE)
    finally:
        over.set()
        _call(thread, lambda: None)
        thread.shut_down(PATIENCE)


def test_a_stress_of_wake_ups_loses_nothing(thread: LoopThread) -> None:
    """Eight threads post in bursts between which the loop falls asleep; each call is made, the last one too."""
    made: list[tuple[int, int]] = []
    late: list[int] = []

    def caller(who: int) -> None:
        for burst in range(60):
            for number in range(10):
                thread.post(made.append, (who, burst * 10 + number))
            done = threading.Event()
            thread.post(done.set)
            if not done.wait(PATIENCE):
                late.append(who)
                return
            if burst % 3 == 0:
                time.sleep(0.0005)

    callers = [threading.Thread(target=caller, args=(who,)) for who in range(8)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert late == []
    for who in range(8):
        assert [number for w, number in made if w == who] == list(range(600))


class CountingWaker:
    """Wakes nobody, but counts."""

    def __init__(self, real: socket.socket) -> None:
        self.sent = 0
        self.real = real

    def send(self, data: bytes) -> None:
        self.sent += 1

    def close(self) -> None:
        self.real.close()


def test_a_loop_is_woken_once_for_each_sleep_and_never_while_it_works(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waking is a system call at which the caller gives up the interpreter lock."""
    waker = CountingWaker(thread._waker)
    monkeypatch.setattr(thread, "_waker", waker)
    _wait_until_it_sleeps(thread)
    working, go_on = threading.Event(), threading.Event()
    thread.post(lambda: (working.set(), go_on.wait(PATIENCE)))
    thread.post(lambda: None)
    assert waker.sent == 1
    waker.real.send(b"\0")
    assert working.wait(PATIENCE)
    for _ in range(100):
        thread.post(lambda: None)
    assert waker.sent == 1
    monkeypatch.setattr(thread, "_waker", waker.real)  # which is to wake it up to end
    go_on.set()


def test_a_look_that_does_not_wait_is_no_sleep() -> None:
    """A busy loop looks between its calls, and gives the callers a chance to post just then."""
    inbox = _Inbox()
    inbox.select(0)
    assert inbox.sleeps == inbox.ended == 0
    inbox.select(0.001)
    assert inbox.sleeps == inbox.ended == 1
    inbox.close()


def test_a_single_post_to_a_loop_that_falls_asleep_is_never_lost(thread: LoopThread) -> None:
    """The very race of the inbox: the loop looks, sees nothing, and a call comes before it sleeps."""
    for _ in range(3000):
        done = threading.Event()
        thread.post(done.set)
        assert done.wait(PATIENCE), "the loop sleeps on a call"


def test_is_current_only_on_the_thread_itself(thread: LoopThread) -> None:
    """What must not wait for the thread asks this."""
    assert thread.is_current is False
    assert _call(thread, lambda: thread.is_current) is True


class Guest:
    """A resident that takes its time, or for ever."""

    def __init__(self, finish: bool = True) -> None:
        self.asked = 0
        self.finish = finish

    def begin_exit(self) -> Completion:
        self.asked += 1
        return Completion(True if self.finish else None)


def test_residents_finish_before_the_thread_ends() -> None:
    """Each is asked once; then the loop is closed."""
    thread, guests = LoopThread(), [Guest(), Guest()]
    for guest in guests:
        thread.add_resident(guest)
    thread.shut_down(PATIENCE)
    assert [guest.asked for guest in guests] == [1, 1]
    assert thread.dead
    assert thread._loop.is_closed()
    assert not thread._thread.is_alive()


def _end(thread: LoopThread) -> None:
    """Of a thread that was shut down, without waiting for it."""
    thread._thread.join(PATIENCE)
    thread._close()


def test_a_resident_that_never_finishes_is_not_waited_for_for_ever() -> None:
    """A finishing process is held up so long at most."""
    thread, guest = LoopThread(), Guest(finish=False)
    thread.add_resident(guest)
    thread.shut_down(0.05)
    assert guest.asked == 1
    assert thread.dead
    _end(thread)


def test_a_resident_that_nobody_holds_is_forgotten() -> None:
    """Managers that are gone cost nothing at exit."""
    thread = LoopThread()
    thread.add_resident(guest := Guest(finish=False))
    assert len(thread._residents) == 1
    del guest
    assert len(thread._residents) == 0
    thread.shut_down(PATIENCE)


def test_shutting_down_a_blocked_thread_does_not_block() -> None:
    """A hook that hangs must not hang the exit; the loop is left as it is."""
    thread, release, busy = LoopThread(), threading.Event(), threading.Event()
    waits: list[bool] = []
    thread.post(lambda: (busy.set(), waits.append(release.wait(PATIENCE))))
    assert busy.wait(PATIENCE)
    thread.shut_down(0.05)
    assert waits == []  # it is still blocked
    assert thread.dead
    assert thread._thread.is_alive()
    release.set()
    _end(thread)


def test_posting_after_the_end_is_nothing() -> None:
    """A session that outlives the machinery ends quietly."""
    thread = LoopThread()
    thread.shut_down(PATIENCE)
    made: list[int] = []
    thread.post(made.append, 1)
    assert made == []


def test_a_thread_whose_loop_has_ended_is_dead(thread: LoopThread) -> None:
    """Whatever has ended it: the next use starts another one."""
    thread.post(asyncio.BaseEventLoop.stop, thread._loop)
    thread._thread.join(PATIENCE)
    assert thread.dead


def test_a_thread_that_is_marked_dead_is_not_woken(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child shares what its parent's loop sleeps on."""
    _wait_until_it_sleeps(thread)
    with monkeypatch.context() as patch:
        patch.setattr(thread, "dead", True)
        patch.setattr(thread, "_waker", waker := CountingWaker(thread._waker))
        thread.post(lambda: None)
    waker.real.send(b"\0")
    assert waker.sent == 0


def test_posting_to_a_loop_that_was_closed_under_us_marks_it_dead(thread: LoopThread) -> None:
    """As when the interpreter exits between the two: no exception, and the next use starts afresh."""
    closed = LoopThread()
    closed.shut_down(PATIENCE)
    closed.dead = False
    closed._inbox.sleeps += 1
    closed.post(lambda: None)
    assert closed.dead


def _resolve(thread: LoopThread, host: str, **options: Any) -> Future[list[object]]:
    done: Future[list[object]] = Future()

    async def resolve() -> None:
        try:
            done.set_result(await asyncio.get_running_loop().getaddrinfo(host, 80, **options))
        except OSError as error:
            done.set_exception(error)

    thread.post(lambda: tasks.append(asyncio.get_running_loop().create_task(resolve())))
    return done


tasks: list[object] = []


def test_names_are_resolved(thread: LoopThread) -> None:
    """And what can't be resolved is the resolver's own error."""
    assert _resolve(thread, "localhost").result(PATIENCE)
    with pytest.raises(socket.gaierror):
        _resolve(thread, "localhost", flags=socket.AI_NUMERICHOST).result(PATIENCE)  # no number: fails without asking


def test_names_are_resolved_when_no_thread_can_be_started(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """At interpreter shutdown, from Python 3.12 on."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert _resolve(thread, "localhost").result(PATIENCE)


def test_a_resolver_that_hangs_blocks_neither_loop_nor_shutdown(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread is a daemon, which no executor joins at exit; its answer after the end harms nobody."""
    release, resolvers = threading.Event(), []

    def hang(*args: object, **options: object) -> list[object]:
        resolvers.append(threading.current_thread())
        release.wait(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    done = _resolve(thread, "localhost")
    while not resolvers:
        time.sleep(0.005)
    assert _call(thread, lambda: "alive") == "alive"
    assert resolvers[0].daemon
    assert not done.done()
    thread.shut_down(PATIENCE)
    release.set()
    resolvers[0].join(PATIENCE)


# -- What strikes the caller


class FailingWaker:
    """Fails as `send` does when a signal handler raises inside it, once."""

    def __init__(self, real: socket.socket, error: BaseException) -> None:
        self._real = real
        self._errors = [error]

    def send(self, data: bytes) -> None:
        if self._errors:
            raise self._errors.pop()
        self._real.send(data)

    def close(self) -> None:
        self._real.close()


@pytest.mark.parametrize(
    "error", [RuntimeError("mine"), RecursionError(), TimeoutError(), OSError(), KeyboardInterrupt()]
)
def test_what_strikes_in_post_reaches_the_caller_and_leaves_the_thread_alive(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """It is not taken for a closed loop; the call that was struck is made with the next one."""
    made: list[int] = []
    _wait_until_it_sleeps(thread)
    monkeypatch.setattr(thread, "_waker", FailingWaker(thread._waker, error))
    with pytest.raises(type(error)) as caught:
        thread.post(made.append, 1)
    assert caught.value is error
    assert not thread.dead
    thread.post(made.append, 2)
    _call(thread, lambda: None)
    assert made == [1, 2]


def test_a_log_handler_that_raises_does_not_stop_the_thread(thread: LoopThread) -> None:
    """Not even with an exception that would end an event loop."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit

    handler = Handler()
    logging.getLogger("linq_typing").addHandler(handler)
    try:
        thread.post(lambda: 1 / 0)
        assert _call(thread, lambda: "alive") == "alive"
    finally:
        logging.getLogger("linq_typing").removeHandler(handler)
