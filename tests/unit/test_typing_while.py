"""The context manager and the re-entering rules, over a source that sends nothing."""

import asyncio
import contextvars
import copy
import gc
import math
import threading
import time
from typing import Any
from uuid import UUID

import pytest
import trio

from linq_typing import _typing_while
from linq_typing._session import TypingSession, current_session
from linq_typing._settings import SessionOptions
from linq_typing._typing_while import TypingWhile, make_typing_while
from linq_typing.errors import ConfigurationError

from .kit import CHAT, OTHER_CHAT, FakeEngine, FakeSource, carried


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


def _make(source: FakeSource, chat_id: Any = CHAT, **options: Any) -> TypingWhile:
    return make_typing_while(source, chat_id, **options)


def _passes(typing_while: TypingWhile, way: str, body: Any = None) -> Any:
    """Go through the block in one of three ways; ``body`` gets the session."""
    body = body or (lambda session: session)
    if way == "sync":
        with typing_while as session:
            return body(session)

    async def main() -> Any:
        async with typing_while as session:
            return body(session)

    return asyncio.run(main()) if way == "asyncio" else trio.run(main)


ways = pytest.mark.parametrize("way", ["sync", "asyncio", "trio"])


@ways
def test_a_block_gives_an_open_session_of_the_chat_and_ends_it(source: FakeSource, way: str) -> None:
    """The session is on the context's stack meanwhile."""

    def body(session: TypingSession) -> TypingSession:
        assert isinstance(session, TypingSession)
        assert session.chat_id == CHAT
        assert session.is_open
        assert current_session() is session
        return session

    session = _passes(_make(source), way, body)
    assert not session.is_open
    assert current_session() is None
    assert source.lingers == [0.5]


@ways
@pytest.mark.parametrize("exc", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_bodys_exception_passes_and_ends_the_session_at_once(
    source: FakeSource, way: str, exc: type[BaseException]
) -> None:
    """The very exception, not a copy and not another."""
    raised = exc("mine")

    def body(session: TypingSession) -> None:
        raise raised

    with pytest.raises(exc) as caught:
        _passes(_make(source), way, body)
    assert caught.value is raised
    assert (source.open_now, source.lingers) == ([], [0.0])


def test_cancellation_in_asyncio_passes(source: FakeSource) -> None:
    """And counts as an end that is not normal."""

    async def main() -> None:
        async def body() -> None:
            async with _make(source):
                await asyncio.sleep(60)

        task = asyncio.create_task(body())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (source.open_now, source.lingers) == ([], [0.0])


def test_cancellation_in_trio_passes(source: FakeSource) -> None:
    """And counts as an end that is not normal."""

    async def main() -> None:
        with trio.move_on_after(0.01) as scope:
            async with _make(source, wait_on_exit=True):
                await trio.sleep(60)
        assert scope.cancelled_caught

    trio.run(main)
    assert (source.open_now, source.lingers) == ([], [0.0])


def test_wait_on_exit_waits_in_a_cancelled_trio_scope(source: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen process sends no stop, however the block was left."""
    monkeypatch.setattr(_typing_while, "EXIT_WAIT", 0.1)
    source.engine.answer = None

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with _make(source, wait_on_exit=True):
                scope.cancel()
                await trio.lowlevel.checkpoint()

    began = time.monotonic()
    trio.run(main)
    assert time.monotonic() - began > 0.09
    assert source.open_now == []


@ways
def test_it_is_usable_again_and_gives_a_fresh_session(source: FakeSource, way: str) -> None:
    """After a normal end and after an exception."""
    typing_while = _make(source)
    first = _passes(typing_while, way)
    with pytest.raises(ZeroDivisionError):
        _passes(typing_while, way, lambda session: 1 / 0)
    assert _passes(typing_while, way) is not first
    assert len(source.sessions) == 3
    assert source.open_now == []


@ways
def test_entering_while_entered_says_to_create_another(source: FakeSource, way: str) -> None:
    """The session that is open is not harmed."""
    typing_while = _make(source)

    def body(session: TypingSession) -> None:
        with pytest.raises(RuntimeError, match="create a new one"):
            typing_while.__enter__()
        assert session.is_open
        assert current_session() is session

    _passes(typing_while, way, body)
    assert len(source.sessions) == 1


def test_entering_from_another_task_while_entered_is_told_too(source: FakeSource) -> None:
    """One object shared by two handlers is a mistake."""

    async def main() -> None:
        typing_while = _make(source)
        async with typing_while:

            async def other() -> None:
                async with typing_while:
                    pass

            with pytest.raises(RuntimeError, match="already active"):
                await asyncio.create_task(other())

    asyncio.run(main())


def test_leaving_without_having_entered_is_told(source: FakeSource) -> None:
    """Exit stacks get it right; hands may not."""
    with pytest.raises(RuntimeError, match="without being entered"):
        _make(source).__exit__(None, None, None)


def test_a_failed_entering_leaves_it_usable(source: FakeSource) -> None:
    """No key: told at entry, and nothing is on the stack; the next try is a first one."""
    typing_while = _make(source)
    source.fails_with = ConfigurationError("no key")
    with pytest.raises(ConfigurationError), typing_while:
        pytest.fail("the body ran")
    assert carried() == []
    source.fails_with = None
    with typing_while:
        pass


def test_it_may_be_left_in_another_thread(source: FakeSource) -> None:
    """As a generator dependency of a web framework is; the first thread's context has no current session then."""

    def here() -> None:
        typing_while = _make(source)
        session = typing_while.__enter__()
        thread = threading.Thread(target=typing_while.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        assert not session.is_open
        assert current_session() is None

    contextvars.copy_context().run(here)


def test_it_may_be_left_in_another_context(source: FakeSource) -> None:
    """No ValueError of a token that was made elsewhere; the sessions of that context stay."""
    typing_while = _make(source)
    inside = contextvars.copy_context()
    inside.run(typing_while.__enter__)
    with _make(source, OTHER_CHAT) as here:
        typing_while.__exit__(None, None, None)
        assert current_session() is here
    assert inside.run(current_session) is None


def test_blocks_may_end_out_of_order(source: FakeSource) -> None:
    """Only its own session leaves the stack."""
    first, second = _make(source), _make(source, OTHER_CHAT)
    first.__enter__()
    inner = second.__enter__()
    first.__exit__(None, None, None)
    assert current_session() is inner
    second.__exit__(None, None, None)
    assert carried() == []


def test_sessions_that_were_left_elsewhere_do_not_pile_up(source: FakeSource) -> None:
    """A worker that enters here and leaves in a pool keeps no trace of the ended ones."""

    def worker() -> int:
        for _ in range(50):
            typing_while = _make(source)
            typing_while.__enter__()
            thread = threading.Thread(target=typing_while.__exit__, args=(None, None, None))
            thread.start()
            thread.join()
        return len(carried())

    assert contextvars.copy_context().run(worker) <= 2


# -- Options


def test_options_that_were_not_given_are_the_managers(source: FakeSource) -> None:
    """Read when the block is entered; given ones win, None included."""
    source._options = SessionOptions(start_delay=3.0, max_duration=9.0)
    with _make(source, max_duration=None) as session:
        options = session._state.options
    assert (options.start_delay, options.max_duration, options.stop_delay) == (3.0, None, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("start_delay", -1, ValueError),
        ("stop_delay", math.nan, ValueError),
        ("refresh_interval", 0, ValueError),
        ("max_duration", -5, ValueError),
        ("resume_after", "soon", TypeError),
    ],
)
def test_bad_options_are_told_at_once(source: FakeSource, name: str, value: Any, error: type[Exception]) -> None:
    """Not when the block is entered."""
    with pytest.raises(error, match=name):
        _make(source, **{name: value})


def test_an_unknown_option_is_a_type_error(source: FakeSource) -> None:
    """A slip of the pen is told by name."""
    with pytest.raises(TypeError, match="refresh_intervall"):
        _make(source, refresh_intervall=5)


@pytest.mark.parametrize(
    ("chat_id", "error"), [("nope", ValueError), ("", ValueError), (5, TypeError), (b"x", TypeError)]
)
def test_a_bad_chat_id_is_told_at_once(source: FakeSource, chat_id: Any, error: type[Exception]) -> None:
    """The caller's bug: before anything is entered."""
    with pytest.raises(error, match="chat_id"):
        _make(source, chat_id)


def test_a_uuid_object_is_a_chat_id(source: FakeSource) -> None:
    """And the session has its canonical text."""
    with _make(source, UUID(CHAT)) as session:
        assert session.chat_id == CHAT


def test_a_with_block_needs_a_chat_id(source: FakeSource) -> None:
    """A decorator's form in a with statement is told what it lacks."""
    with pytest.raises(TypeError, match="needs a chat_id"), _make(source, None):
        pytest.fail("the body ran")


def test_the_repr_says_chat_and_state(source: FakeSource) -> None:
    """No address, no machinery."""
    typing_while = _make(source)
    assert repr(typing_while) == f"<typing_while chat_id='{CHAT}'>"
    with typing_while:
        assert repr(typing_while) == f"<typing_while chat_id='{CHAT}' active>"


# -- wait_on_exit


@ways
def test_wait_on_exit_waits_for_the_answer(source: FakeSource, way: str) -> None:
    """No delay before the stop then."""
    _passes(_make(source, wait_on_exit=True), way)
    [(_, _, _, linger, done)] = source.engine.calls("leave")
    assert linger == 0.0
    assert done.result


@ways
def test_wait_on_exit_gives_up_after_a_while(source: FakeSource, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exception, and the result of the body stays."""
    monkeypatch.setattr(_typing_while, "EXIT_WAIT", 0.05)
    source.engine.answer = None
    began = time.monotonic()
    assert _passes(_make(source, wait_on_exit=True), way, lambda session: "result") == "result"
    assert time.monotonic() - began > 0.04


@ways
def test_a_wait_on_exit_that_gives_up_does_not_replace_the_bodys_exception(
    source: FakeSource, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body's own exception is what the caller sees."""
    monkeypatch.setattr(_typing_while, "EXIT_WAIT", 0.02)
    source.engine.answer = None
    with pytest.raises(ZeroDivisionError):
        _passes(_make(source, wait_on_exit=True), way, lambda session: 1 / 0)


def test_the_wait_is_five_seconds_at_most() -> None:
    """As documented."""
    assert _typing_while.EXIT_WAIT == 5.0


# -- What becomes of it


def test_a_session_that_was_inherited_by_a_fork_is_no_obstacle(source: FakeSource) -> None:
    """The child has left the parent's block behind, and may enter its own."""
    typing_while = _make(source)
    typing_while.__enter__()
    source.engine.alive = False
    source.engine = FakeEngine()
    with typing_while as session:
        assert source.open_now == [session]


@pytest.mark.parametrize("engine", [FakeEngine(), None])
def test_an_open_session_is_an_obstacle_even_where_nothing_is_sent(
    source: FakeSource, engine: FakeEngine | None
) -> None:
    source.engine = engine  # type: ignore[assignment]
    typing_while = _make(source)
    with typing_while, pytest.raises(RuntimeError, match="create a new one"):
        typing_while.__enter__()


def test_a_block_that_nobody_leaves_ends_with_its_object(source: FakeSource) -> None:
    """As when an exception strikes before the first line of ``__exit__``."""
    typing_while = _make(source)
    typing_while.__enter__()
    assert len(source.open_now) == 1
    del typing_while
    gc.collect()
    assert source.open_now == []


def test_what_strikes_while_it_is_left_ends_the_session_all_the_same(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it can be used again."""

    def strike(*args: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    typing_while = _make(source)
    typing_while.__enter__()
    monkeypatch.setattr(source.engine, "leave", strike)
    with pytest.raises(KeyboardInterrupt):
        typing_while.__exit__(None, None, None)
    assert len(source.lingers) == 1
    with typing_while as session:
        assert source.open_now == [session]


def test_a_copy_of_an_active_one_is_not_active(source: FakeSource) -> None:
    """It is another block for the same chat, with the same options."""
    typing_while = _make(source, stop_delay=7.0)
    with typing_while as session, copy.copy(typing_while) as other:
        assert other is not session
        assert (other.chat_id, other._state.options) == (session.chat_id, session._state.options)
    assert source.open_now == []


def test_a_chat_id_and_a_way_to_find_one_are_too_much(source: FakeSource) -> None:
    """One of them would be ignored."""
    with pytest.raises(TypeError, match="not both"):
        _make(source, chat_id_from="event.chat")
