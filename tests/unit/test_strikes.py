"""Exceptions that strike inside the library's own code, in the caller's thread, at any point.

A signal handler raises them (SIGALRM, Ctrl-C, Celery's soft time limit), `PyThreadState_SetAsyncExc` does (Dramatiq),
and RecursionError strikes at any call. Here a tracer raises one before the n-th instruction, for every n: that is
stricter than the interpreter, which raises only between calls.

Whatever is struck, the exception reaches the caller, no session stays open, and no message stays in flight.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import linq_typing
from linq_typing import current_session
from linq_typing._typing_while import make_typing_while

from .kit import CHAT, FakeSource

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # struck before it could be

STRUCK = {
    str(Path(linq_typing.__file__).parent / name)
    for name in ("_typing_while.py", "_wrappers.py", "_session.py", "_engine/waiting.py")
}


class Struck(Exception):  # noqa: N818 - it is no error
    """What the signal handler raises."""


class Striker:
    """Raises before the n-th instruction that runs in the files that are struck."""

    def __init__(self, at: int) -> None:
        self.left = at
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # else Python 3.12 gives no opcode events
        sys.settrace(self._trace)

    def __exit__(self, *exc: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in STRUCK or frame.f_code.co_name == "__del__":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise Struck
        return self._trace


def strike_everywhere(work: Callable[[], object], check: Callable[[], None]) -> int:
    """Run `work` again and again, struck one instruction later each time, until it is no longer struck."""
    for at in range(1, 5000):
        striker = Striker(at)
        try:
            with striker:
                work()
        except Struck:
            pass
        else:
            assert striker.left > 0, f"struck at instruction {at}: the caller never heard of it"
            return at - 1
        check()
    raise AssertionError("it never ends")


def run(coroutine: Coroutine[Any, Any, object]) -> None:
    """A coroutine that waits for nothing, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


@pytest.fixture
def source() -> Iterator[FakeSource]:
    gc.collect()
    gc.disable()  # what is left must not need the garbage collector
    yield FakeSource()
    gc.enable()


def nothing_left(source: FakeSource) -> Callable[[], None]:
    """No session is open: the engine has heard of the end of each that it heard of, and none is current."""

    def check() -> None:
        joined = [state for _, state in source.engine.calls("join")]
        left = [args[1] for args in source.engine.calls("leave")]
        assert all(state in left for state in joined), "a session was joined and never left"
        assert current_session() is None

    return check


def test_a_with_block(source: FakeSource) -> None:
    """Entering and leaving."""

    def work() -> None:
        with make_typing_while(source, CHAT):
            pass

    assert strike_everywhere(work, nothing_left(source)) > 100


def test_a_block_that_waits(source: FakeSource) -> None:
    def work() -> None:
        with make_typing_while(source, CHAT, wait_on_exit=True):
            pass

    assert strike_everywhere(work, nothing_left(source)) > 100


def test_an_async_block(source: FakeSource) -> None:
    async def block() -> None:
        async with make_typing_while(source, CHAT):
            pass

    def work() -> None:
        run(block())

    assert strike_everywhere(work, nothing_left(source)) > 100


def test_a_decorated_function(source: FakeSource) -> None:
    @make_typing_while(source, None)
    def reply(chat_id: str) -> None:
        pass

    assert strike_everywhere(lambda: reply(CHAT), nothing_left(source)) > 100


def test_a_decorated_coroutine(source: FakeSource) -> None:
    @make_typing_while(source, None)
    async def reply(chat_id: str) -> None:
        pass

    def work() -> None:
        run(reply(CHAT))

    assert strike_everywhere(work, nothing_left(source)) > 100


def test_a_decorated_generator(source: FakeSource) -> None:
    @make_typing_while(source, None)
    def reply(chat_id: str) -> Iterator[int]:
        yield 1
        yield 2

    assert strike_everywhere(lambda: list(reply(CHAT)), nothing_left(source)) > 200


def test_a_decorated_async_generator(source: FakeSource) -> None:
    @make_typing_while(source, None)
    async def reply(chat_id: str) -> Any:
        yield 1
        yield 2

    async def consume() -> None:
        async for _ in reply(CHAT):
            pass

    def work() -> None:
        run(consume())

    assert strike_everywhere(work, nothing_left(source)) > 200


def test_a_send(source: FakeSource) -> None:
    """`session.sending()`: no message stays in flight, which would keep the chat silent."""
    session = source._new_session(CHAT, {})

    def work() -> None:
        with session.sending():
            pass

    def check() -> None:
        began = [args[1] for args in source.engine.calls("send_began")]
        ended = [args[1] for args in source.engine.calls("send_ended")]
        assert all(message in ended for message in began), "a message stays in flight"

    assert strike_everywhere(work, check) > 50


def test_a_recursion_error_at_any_depth(source: FakeSource) -> None:
    """The block is entered with ever more of the stack left, until it has enough."""

    def descend(levels: int) -> None:
        if levels > 0:
            descend(levels - 1)
        else:
            with make_typing_while(source, CHAT):
                pass

    def depth_left() -> int:
        frame, depth = sys._getframe(), 0
        while frame is not None:
            frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
        return sys.getrecursionlimit() - depth

    struck = 0
    for room in range(2, 80):
        try:
            descend(depth_left() - room)
        except RecursionError:
            struck += 1
        nothing_left(source)()
    assert 0 < struck < 70


@pytest.mark.parametrize("kind", ["with", "send"])
def test_real_alarms(source: FakeSource, kind: str) -> None:
    """A timer that strikes after 1, 2, 3, ... microseconds, from a real signal handler."""

    def strike(signum: int, frame: object) -> None:
        raise Struck

    session = source._new_session(CHAT, {})
    before = signal.signal(signal.SIGALRM, strike)
    struck = 0
    try:
        for n in range(3000):
            try:
                signal.setitimer(signal.ITIMER_REAL, (1 + n % 60) / 1e6)
                if kind == "with":
                    with make_typing_while(source, CHAT):
                        pass
                else:
                    with session.sending():
                        pass
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Struck:
                struck += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    engine = source.engine
    if kind == "with":
        session._leave()
        nothing_left(source)()
    else:
        ended = [args[1] for args in engine.calls("send_ended")]
        assert all(args[1] in ended for args in engine.calls("send_began"))
    assert struck > 0 or sys.platform == "win32"
