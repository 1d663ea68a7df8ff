"""The session that a block gives, and the stack of sessions that a context carries."""

import asyncio
import contextvars
import gc
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

from linq_typing._core.indicator import SessionState
from linq_typing._session import TypingSession, current_session, push, sender_in_context, session_in_context
from linq_typing._settings import SessionOptions
from linq_typing._typing_while import TypingWhile, make_typing_while
from linq_typing.errors import APITimeoutError
from patience import PATIENCE

from .kit import CHAT, OTHER_CHAT, FakeEngine, FakeSource, carried


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


def _typing_while(source: FakeSource, chat_id: str | None = CHAT, **options: Any) -> TypingWhile:
    return make_typing_while(source, chat_id, **options)


def _session(engine: FakeEngine | None, **options: Any) -> TypingSession:
    return TypingSession(CHAT, engine, SessionState(SessionOptions(**options), 0.0))


# -- current_session


def test_outside_of_every_block_there_is_none() -> None:
    """None, no exception."""
    assert current_session() is None


def test_it_is_the_innermost_and_the_outer_one_again(source: FakeSource) -> None:
    """Whatever chats they are for."""
    with _typing_while(source) as outer:
        assert current_session() is outer
        with _typing_while(source, OTHER_CHAT) as inner:
            assert current_session() is inner
        assert current_session() is outer
    assert current_session() is None


def test_a_task_sees_the_block_in_which_it_was_made(source: FakeSource) -> None:
    """Also after other tasks have opened blocks of their own."""

    async def worker() -> TypingSession | None:
        await asyncio.sleep(0)
        return current_session()

    async def handler(chat_id: str) -> bool:
        async with _typing_while(source, chat_id) as session:
            await asyncio.sleep(0)
            return await asyncio.create_task(worker()) is session is current_session()

    async def main() -> None:
        assert await asyncio.gather(handler(CHAT), handler(OTHER_CHAT), handler(CHAT)) == [True] * 3
        assert current_session() is None

    asyncio.run(main())


def test_a_trio_child_task_sees_the_block(source: FakeSource) -> None:
    """trio copies the context at start_soon, too."""

    async def main() -> None:
        seen = []

        async def child() -> None:
            seen.append(current_session())

        async with _typing_while(source) as session, trio.open_nursery() as nursery:
            nursery.start_soon(child)
        assert seen == [session]

    trio.run(main)


def test_asyncio_to_thread_carries_it_along(source: FakeSource) -> None:
    """As does trio's."""

    async def main() -> None:
        async with _typing_while(source) as session:
            assert await asyncio.to_thread(current_session) is session

    asyncio.run(main())

    async def in_trio() -> None:
        async with _typing_while(source) as session:
            assert await trio.to_thread.run_sync(current_session) is session

    trio.run(in_trio)


def test_a_plain_thread_has_none(source: FakeSource) -> None:
    """It has a context of its own; so has an executor's."""
    with _typing_while(source), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_session).result(PATIENCE) is None


def test_a_task_that_outlives_the_block_has_none(source: FakeSource) -> None:
    """A session that has ended is no current session, in whatever context it is still carried."""

    async def main() -> None:
        go = asyncio.Event()

        async def straggler() -> TypingSession | None:
            await go.wait()
            return current_session()

        async with _typing_while(source, OTHER_CHAT) as outer:
            async with _typing_while(source):
                inner_task = asyncio.create_task(straggler())
            go.set()
            assert await inner_task is outer

    asyncio.run(main())


def test_after_a_fork_inherited_sessions_are_inert(source: FakeSource) -> None:
    """The child is inside of no session, though its context says so."""
    with _typing_while(source) as session:
        source.engine.alive = False
        assert not session.is_open
        assert current_session() is None


def test_blocks_that_are_left_in_another_order_leave_the_others_as_they_are(source: FakeSource) -> None:
    """As those of generators."""
    blocks = [_typing_while(source) for _ in range(4)]
    sessions = [block.__enter__() for block in blocks]
    blocks[1].__exit__(None, None, None)
    assert carried() == [sessions[3], sessions[2], sessions[0]]
    blocks[3].__exit__(None, None, None)
    assert carried() == [sessions[2], sessions[0]]
    for block in (blocks[0], blocks[2]):
        block.__exit__(None, None, None)
    assert carried() == []


def test_a_context_does_not_gather_sessions_that_were_left_elsewhere(source: FakeSource) -> None:
    """They are dropped with the next one that is entered."""
    with _typing_while(source):
        context = contextvars.copy_context()
    assert len(context.run(carried)) == 1
    block = _typing_while(source)
    session = context.run(block.__enter__)
    assert context.run(carried) == [session]
    context.run(block.__exit__, None, None, None)


# -- sender_in_context


def test_the_sender_is_the_innermost_session_of_that_chat(source: FakeSource) -> None:
    """A nested session of another chat does not hide it."""
    engine: Any = source.engine
    with _typing_while(source), _typing_while(source) as inner, _typing_while(source, OTHER_CHAT) as other:
        assert sender_in_context(CHAT, engine) is inner._state
        assert sender_in_context(OTHER_CHAT, engine) is other._state


def test_without_a_session_of_that_chat_the_sender_is_unknown(source: FakeSource) -> None:
    """Neither another chat's session nor another manager's."""
    with _typing_while(source):
        assert sender_in_context(OTHER_CHAT, source.engine) == "unknown"  # type: ignore[arg-type]
        assert sender_in_context(CHAT, FakeEngine()) == "unknown"  # type: ignore[arg-type]


# -- The methods


def test_the_methods_post_what_happened_and_when() -> None:
    """Each with the session's state and the time of the call, taken in the caller's thread."""
    engine = FakeEngine()
    session = _session(engine)
    session.mark_sent()
    session.pause()
    session.resume()
    assert [name for name, _ in engine.told] == ["mark_sent", "pause", "resume"]
    [(chat, message)] = engine.calls("mark_sent")
    [(_, paused_by, paused_at)] = engine.calls("pause")
    [(_, resumed_by, resumed_at)] = engine.calls("resume")
    assert (chat, message.sender, paused_by, resumed_by) == (CHAT, *[session._state] * 3)
    assert message.began_at <= paused_at <= resumed_at


def test_paused_is_pause_and_resume_around_a_block() -> None:
    """Sync and async, also when the block raises."""
    engine = FakeEngine()
    session = _session(engine)
    with session.paused() as nothing:
        assert nothing is None
        assert [name for name, _ in engine.told] == ["pause"]
    with pytest.raises(KeyError), session.paused():
        raise KeyError

    async def main() -> None:
        async with session.paused():
            assert engine.told[-1][0] == "pause"

    asyncio.run(main())
    assert [name for name, _ in engine.told] == ["pause", "resume"] * 3


def test_a_sending_block_that_ends_well_means_sent() -> None:
    """The same message begins and ends, and is the session's own."""
    engine = FakeEngine()
    session = _session(engine)
    with session.sending():
        assert [name for name, _ in engine.told] == ["send_began"]
    [(chat, message)] = engine.calls("send_began")
    [(_, ended, at, accepted)] = engine.calls("send_ended")
    assert (chat, message.sender, ended, accepted) == (CHAT, session._state, message, True)
    assert message.began_at <= at


def test_a_sending_block_that_raises_means_not_sent() -> None:
    """Cancellation included; the exception passes."""
    engine = FakeEngine()
    session = _session(engine)
    for exc in (ValueError, KeyboardInterrupt, asyncio.CancelledError):
        with pytest.raises(exc), session.sending():
            raise exc
    assert [args[3] for args in engine.calls("send_ended")] == [False] * 3


def test_failed_means_not_sent() -> None:
    """For gateways that answer False; forgotten at the next use of the object."""
    engine = FakeEngine()
    sending = _session(engine).sending()

    async def main() -> None:
        async with sending as send:
            send.failed()

    asyncio.run(main())
    with sending:
        pass
    assert [args[3] for args in engine.calls("send_ended")] == [False, True]


def test_a_session_of_a_disabled_manager_does_nothing_and_raises_nothing() -> None:
    """No engine: everything works, nothing is sent."""
    session = _session(None)
    session.mark_sent()
    session.pause()
    session.resume()
    with session.sending(), session.paused():
        pass
    assert session.is_open
    assert session._end(failed=False) is None
    assert not session.is_open
    assert session.error is None


def test_the_error_is_the_wishs() -> None:
    """The engine notes it there."""
    session = _session(FakeEngine())
    assert session.error is None
    session._state.error = error = APITimeoutError("x")
    assert session.error is error


def test_the_repr_says_chat_and_state() -> None:
    """And nothing of the machinery."""
    session = _session(FakeEngine())
    assert repr(session) == f"<TypingSession chat_id='{CHAT}' open>"
    session._end(failed=False)
    assert repr(session) == f"<TypingSession chat_id='{CHAT}' ended>"


# -- The end


def _ended(failed: bool = False, **options: Any) -> tuple[Any, FakeEngine]:
    engine = FakeEngine()
    return _session(engine, **options)._end(failed), engine


def test_a_normal_end_puts_the_stop_off() -> None:
    """By stop_delay; nobody waits."""
    done, engine = _ended(stop_delay=0.7)
    [(chat, _, _, linger, told)] = engine.calls("leave")
    assert (chat, linger, told, done) == (CHAT, 0.7, None, None)


def test_an_end_by_an_exception_does_not() -> None:
    """No reply is to be expected."""
    _, engine = _ended(failed=True, stop_delay=0.7)
    assert engine.calls("leave")[0][3] == 0.0


def test_wait_on_exit_gives_something_to_wait_for_and_no_delay() -> None:
    """For runtimes that freeze the process."""
    done, engine = _ended(wait_on_exit=True, stop_delay=0.7)
    assert engine.calls("leave")[0][3:] == (0.0, done)
    assert done is not None
    assert done.result is True


@pytest.mark.parametrize("place", ["on the library's thread", "in a forked child"])
def test_where_waiting_would_dead_lock_nobody_waits(place: str) -> None:
    """In on_event, and where there is no thread to answer."""
    engine = FakeEngine()
    engine.is_own_thread = place == "on the library's thread"
    engine.alive = place != "in a forked child"
    assert _session(engine, wait_on_exit=True)._end(failed=False) is None


def test_what_a_context_carries_is_not_shared() -> None:
    """A copy made inside keeps what it had; a block entered in it does not show here."""
    source = FakeSource()
    with _typing_while(source) as session:
        context = contextvars.copy_context()
    assert context.run(carried) == [session]
    context.run(_typing_while(source, OTHER_CHAT).__enter__)
    assert context.run(carried)[0].chat_id == OTHER_CHAT
    assert carried() == []


def test_methods_may_be_called_from_many_threads_at_once() -> None:
    """Nothing is lost."""
    engine = FakeEngine()
    session = _session(engine)
    threads = [threading.Thread(target=lambda: [session.mark_sent() for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engine.calls("mark_sent")) == 1600


@pytest.mark.parametrize("engine", [FakeEngine(), None], ids=["as usual", "disabled"])
def test_one_sending_can_not_be_entered_twice_at_once(engine: FakeEngine | None) -> None:
    """Also where nothing is sent: a mistake shows in development, too."""
    sending = TypingSession(CHAT, engine, SessionState(SessionOptions(), 0.0)).sending()
    with sending, pytest.raises(RuntimeError, match="already active"):
        sending.__enter__()
    with sending:
        pass


def test_a_sending_that_is_dropped_before_its_end_means_not_sent() -> None:
    """As in a generator that nobody finishes."""
    engine = FakeEngine()
    sending = _session(engine).sending()
    sending.__enter__()
    del sending
    gc.collect()
    [(_, _, _, accepted)] = engine.calls("send_ended")
    assert accepted is False


def test_a_sending_that_has_failed_can_be_used_for_another_try() -> None:
    """Each block says for itself whether it was sent."""
    engine = FakeEngine()
    sending = _session(engine).sending()
    with sending:
        sending.failed()
    with sending:
        pass
    assert [accepted for _, _, _, accepted in engine.calls("send_ended")] == [False, True]


def test_a_session_whose_stop_is_put_off_for_ever_has_ended() -> None:
    """And its messages are its own still."""
    engine: Any = FakeEngine()
    session = _session(engine, stop_delay=math.inf)
    push(session)
    session._end(failed=False)
    assert not session.is_open
    assert sender_in_context(CHAT, engine) is session._state


def test_an_ended_session_is_not_that_of_its_chat(source: FakeSource) -> None:
    """Its context may carry it on."""
    with _typing_while(source) as outer:
        with _typing_while(source) as inner:
            assert session_in_context(CHAT) is inner
            context = contextvars.copy_context()
        assert context.run(session_in_context, CHAT) is outer
        assert context.run(session_in_context, OTHER_CHAT) is None
