"""The ends of managers: flush, close, what comes while they close, and retirement."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import ExitStack

import httpx
import pytest

from linq_typing import TypingManager
from linq_typing._core.indicator import MessageInFlight
from linq_typing._engine.waiting import Completion

from .kit import KEY, LONG, Events, MakeManager, Transport, VirtualLinq, VirtualThread, cancelled, say


def test_flush_sends_the_delayed_stops_at_once(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat, stop_delay=60.0):
        linq.sleep(1.0)
    assert manager.flush()
    assert linq.now == 1.0
    assert linq.asked(chat) == ["start", "stop"]


def test_flush_with_nothing_to_do_is_done(linq: VirtualLinq, manager: TypingManager) -> None:
    assert manager.flush()
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    linq.sleep(10.0)
    assert manager.flush()
    assert linq.now == 11.0


def test_flush_says_whether_all_stops_went_out(linq: VirtualLinq, make_manager: MakeManager) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    with manager.typing_while(chat, stop_delay=60.0):
        linq.sleep(1.0)
    linq.fail("stop", 500, times=1)
    assert manager.flush() is False
    assert manager.flush() is True  # the stop was given up: nothing is pending
    linq.send_as_colleague(chat)  # takes down what the failed stop has left


def test_a_start_that_is_given_up_meanwhile_makes_no_flush_fail(linq: VirtualLinq, make_manager: MakeManager) -> None:
    """Only stops count."""
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.slow("start", before=2.0)
    linq.fail("start", 503)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.flush()
    assert linq.log(chat) == [(0.0, "start"), (2.0, "stop")]


def test_flush_waits_no_longer_than_it_is_told(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.slow("stop", before=4.0)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert not manager.flush(3.0)
    assert linq.now == 4.0
    assert manager.flush(3.0)
    assert linq.now == 5.0


def test_flush_does_not_wait_for_a_message_to_settle(linq: VirtualLinq, manager: TypingManager) -> None:
    """A start that overlapped the message: its stop would go out once it has settled."""
    chat = linq.chat()
    linq.slow("start", after=2.0, times=1)
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        session.mark_sent()
        linq.sleep(1.5)
    assert manager.flush()
    assert linq.log(chat) == [(0.0, "start"), (2.5, "stop")]


def test_flush_leaves_open_sessions_alone(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
        assert manager.flush()
        linq.sleep(69.0)
        assert linq.log(chat) == [(0.0, "start"), (60.0, "start")]


def test_a_session_that_begins_after_a_flush_has_its_stop_delay(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    for _ in range(2):
        with manager.typing_while(chat, stop_delay=30.0):
            linq.sleep(1.0)
        assert manager.flush()
    with manager.typing_while(chat, stop_delay=30.0):
        linq.sleep(1.0)
    linq.sleep(LONG)
    assert linq.moments(chat, "stop") == [1.0, 2.0, 33.0]


def test_a_flush_that_waits_is_told_when_the_manager_closes(linq: VirtualLinq, make_manager: MakeManager) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=1000)
    linq.fail("stop", 500)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    flushing = linq.begin(manager.aflush(30.0))
    linq.sleep(1.0)
    assert not manager.close()
    assert linq.now == 2.0 + 2 * 2.25  # closing waits twice
    linq.sleep()
    assert flushing.result() is False
    linq.send_as_colleague(chat)


def test_close_ends_all_sessions_and_sends_their_stops(linq: VirtualLinq, manager: TypingManager) -> None:
    first, second = linq.chat(), linq.chat()
    with manager.typing_while(first) as session, manager.typing_while(second, stop_delay=60.0):
        linq.sleep(1.0)
        assert manager.close()
        assert not session.is_open
        linq.sleep(LONG)
    linq.sleep(LONG)
    assert linq.log(first) == linq.log(second) == [(0.0, "start"), (1.0, "stop")]


def test_close_again_has_nothing_left_to_do(linq: VirtualLinq, manager: TypingManager) -> None:
    assert manager.close()
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    assert manager.close()
    assert manager.close()
    assert linq.now == 1.0


def test_close_says_so_if_a_stop_was_not_accepted(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    """It may wait for five seconds, so the last attempt is cut short."""
    chat, manager = linq.chat(), make_manager(on_event=events)
    linq.lose("stop", hang=True, effect=False)
    with manager.typing_while(chat, stop_delay=60.0):
        linq.sleep(1.0)
    assert not manager.close()
    assert linq.now == 1.0 + 2 * 2.25
    assert [(event.kind, event.action) for event in events] == [("started", "start"), ("gave_up", "stop")]
    linq.send_as_colleague(chat)


def test_closing_while_a_start_hangs_still_sends_the_stop(linq: VirtualLinq, make_manager: MakeManager) -> None:
    chat, manager = linq.chat(), make_manager(timeout=60.0)
    linq.lose("start", hang=True)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        assert linq.visible(chat)
        manager.close()
    assert linq.log(chat) == [(0.0, "start"), (3.25, "stop")]


def test_a_retired_manager_closes_once_its_sessions_have_ended(linq: VirtualLinq, make_manager: MakeManager) -> None:
    transport, chat = Transport(linq), linq.chat()
    manager = make_manager(transport=transport)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        manager._retire()
        linq.sleep(69.0)
        assert transport.closed_at == []
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (60.0, "start"), (70.5, "stop")]
    assert transport.closed_at == [70.5]


def test_a_retired_manager_that_has_nothing_to_stop_closes_at_once(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    transport, chat = Transport(linq), linq.chat()
    manager = make_manager(transport=transport)
    with manager.typing_while(chat, start_delay=10.0, stop_delay=0.0):
        linq.sleep(1.0)
        manager._retire()
    linq.sleep(LONG)
    assert linq.asked(chat) == []
    assert transport.closed_at == [1.0]


def test_a_retired_manager_whose_session_has_sent_its_message_closes_after_the_stop_delay(
    linq: VirtualLinq, make_manager: MakeManager, client: httpx.Client
) -> None:
    transport, chat = Transport(linq), linq.chat()
    manager = make_manager(transport=transport, client=client)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        manager._retire()
        say(client, chat)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "send"]
    assert transport.closed_at == [1.5]


def test_a_retired_manager_closes_only_after_the_retries_of_its_stop(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    """However long they take: closing would cut them short."""
    chat, manager = linq.chat(), make_manager(max_retries=4)
    linq.fail("stop", 500, times=4)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        manager._retire()
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start"] + 5 * ["stop"]


def test_a_retired_manager_hears_of_messages_until_it_has_closed_and_is_freed_then(
    linq: VirtualLinq, client: httpx.Client
) -> None:
    manager, chat = TypingManager(api_key=KEY, base_url=linq.base_url, client=client), linq.chat()
    ref = weakref.ref(manager)
    with manager.typing_while(chat, stop_delay=5.0):
        linq.sleep(1.0)
        manager._retire()
        del manager
    gc.collect()
    linq.sleep(1.0)
    say(client, chat)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "send"]
    gc.collect()
    assert ref() is None


def test_a_manager_that_is_retired_while_it_closes_closes_the_transport_too(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    transport = Transport(linq)
    manager = make_manager(transport=transport)
    linq.slow("stop", before=2.0)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    closing = linq.begin(manager.aclose())
    linq.sleep(1.0)
    manager._retire()
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(0.5)
        assert linq.asked(chat) == []
        linq.sleep(9.5)
    linq.sleep(10.0)
    assert closing.result()
    assert transport.closed_at == [3.0]
    assert linq.log(chat) == [(3.0, "start"), (12.5, "stop")]


def test_closing_inside_the_block_does_not_let_it_be_entered_again(linq: VirtualLinq, manager: TypingManager) -> None:
    typing = manager.typing_while(linq.chat())
    with typing:
        manager.close()
        with pytest.raises(RuntimeError, match="create a new one"):
            typing.__enter__()


def test_what_comes_while_a_manager_closes_waits_until_it_has_closed(linq: VirtualLinq, manager: TypingManager) -> None:
    """Else the old session's stop could wipe the new session's start."""
    chat = linq.chat()
    linq.slow("stop", before=2.0)
    with manager.typing_while(chat) as old:
        linq.sleep(1.0)
        closing = linq.begin(manager.aclose())
        linq.sleep(1.0)
        with manager.typing_while(chat) as new:
            linq.sleep(0.9)
            assert not closing.done()
            linq.sleep(10.0)
            assert closing.result()
            assert (old.is_open, new.is_open) == (False, True)
            assert linq.visible(chat)
    assert manager.close()
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop"), (3.0, "start"), (12.9, "stop")]


def test_a_session_and_its_message_while_a_manager_closes_leave_nothing_open(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    """Join, message and leave are all heard afterwards, in their order; the next session is as usual."""
    chat = linq.chat()
    linq.slow("stop", before=2.0)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        closing = linq.begin(manager.aclose())
        linq.sleep(1.0)
        with manager.typing_while(chat, stop_delay=0.0) as session, session.sending():
            session.pause()
            session.resume()
        session.mark_sent()
        manager.mark_sent(chat)
        linq.sleep(0.5)
        assert not closing.done()
        linq.sleep(0.5)
        assert closing.result()
    assert manager.stats().sessions == 0
    with manager.typing_while(chat):
        linq.sleep(10.0)
    assert manager.close()
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop"), (5.0, "start"), (13.0, "stop")]  # 2.0 and 3 s to settle


def test_a_session_that_comes_and_goes_while_a_manager_closes_sends_nothing(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    linq.slow("stop", before=2.0)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        first = linq.begin(manager.aclose())
        linq.sleep(1.0)
        with manager.typing_while(chat, stop_delay=0.0):
            pass
        assert manager.close()  # ends what came after the first close, too
        assert first.result()
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop")]
    assert manager.stats().sessions == 0


def test_two_that_close_at_once_are_both_told(linq: VirtualLinq, manager: TypingManager) -> None:
    linq.slow("stop", before=2.0)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    first, second = linq.begin(manager.aclose()), linq.begin(manager.aclose())
    linq.sleep(1.9)
    assert (first.done(), second.done()) == (False, False)
    linq.sleep(0.1)
    assert (first.result(), second.result()) == (True, True)


def test_a_close_after_a_cancelled_aclose_ends_with_the_stop(
    linq: VirtualLinq, manager: TypingManager, caplog: pytest.LogCaptureFixture
) -> None:
    """The cancelled waiter's completion is nobody else's."""
    linq.slow("stop", before=2.0)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    closing = linq.begin(manager.aclose())
    linq.sleep(1.0)
    linq.run(cancelled(closing))
    assert manager.close()
    assert manager.close()
    assert linq.now == 3.0
    assert manager.stats().requests == {"accepted": 2}
    assert caplog.records == []


def test_closing_does_not_forget_that_a_message_settles(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """Else the next session's start would go out at once, and be wiped by the message."""
    chat, manager = linq.chat(), make_manager(on_event=events)
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        session.mark_sent()
    assert manager.close()
    linq.sleep(1.0)
    with manager.typing_while(chat):
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (4.0, "start"), (12.5, "stop")]
    assert events.kinds() == ["started", "message_sent", "started", "stopped"]


def test_what_closing_does_not_forget_is_forgotten_later(linq: VirtualLinq, manager: TypingManager) -> None:
    """And is not counted as shown."""
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        session.mark_sent()
    linq.send_as_colleague(chat)  # the simulation has seen no message that would have cleared it
    assert manager.close()
    assert (manager.stats().chats, manager.stats().shown) == (1, 0)
    linq.sleep(10.0)
    assert (manager.stats().chats, manager.stats().shown) == (0, 0)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
        assert manager.stats().shown == 1


def test_closing_does_not_forget_a_refusal(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.fail("start", 403, times=1)
    for _ in range(2):
        with manager.typing_while(chat) as session:
            linq.sleep(1.0)
            assert session.error is not None
        assert manager.close()
    assert linq.asked(chat) == ["start"]


def test_after_closing_old_retries_are_dropped(linq: VirtualLinq, manager: TypingManager) -> None:
    """A chat whose start fails when its manager closes is left alone afterwards."""
    chat = linq.chat()
    linq.fail("start", 429)
    with manager.typing_while(chat):
        linq.sleep(0.1)
        assert manager.close()
        linq.sleep(LONG)
    assert linq.asked(chat) == ["start"]
    assert manager.stats().chats == 0


def test_a_closed_manager_can_be_used_at_once(linq: VirtualLinq, manager: TypingManager) -> None:
    for number in range(3):
        chat = linq.chat()
        with manager.typing_while(chat):
            linq.sleep(1.0)
        assert manager.close()
        assert linq.log(chat) == [(number, "start"), (number + 1.0, "stop")]


@pytest.mark.parametrize("late", ["mark_sent", "sending"])
def test_a_late_message_does_not_keep_the_next_session_from_using_a_new_key(
    linq: VirtualLinq, make_manager: MakeManager, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """It opens the closed manager, but only sessions look at the environment."""
    monkeypatch.setenv("LINQ_API_V3_API_KEY", "an-old-key")
    chat, manager = linq.chat(), make_manager(api_key=None)
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        assert session.error is not None
        manager.close()
        monkeypatch.setenv("LINQ_API_V3_API_KEY", KEY)
        if late == "mark_sent":
            manager.mark_sent(chat)
        else:
            with session.sending():
                pass
        linq.sleep(10.0)
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        assert session.error is None
        assert linq.visible(chat)


def test_a_with_block_of_the_manager_closes_it_both_ways(linq: VirtualLinq) -> None:
    first, second = linq.chat(), linq.chat()
    with TypingManager(api_key=KEY, base_url=linq.base_url) as manager, manager.typing_while(first, stop_delay=60.0):
        linq.sleep(1.0)

    async def bot() -> None:
        manager = TypingManager(api_key=KEY, base_url=linq.base_url)
        async with manager, manager.typing_while(second, stop_delay=60.0):
            await asyncio.sleep(1.0)

    linq.run(bot())
    assert linq.log(first) == [(0.0, "start"), (1.0, "stop")]
    assert linq.log(second) == [(1.0, "start"), (2.0, "stop")]


def test_at_the_end_of_the_process_the_stops_go_out_and_nothing_begins_anew(
    linq: VirtualLinq, thread: VirtualThread, make_manager: MakeManager
) -> None:
    """Sessions of threads that are still at work, and of atexit functions, send nothing. Nobody keeps track of them."""
    transport, chat, late = Transport(linq), linq.chat(), linq.chat()
    manager = make_manager(transport=transport)
    with manager.typing_while(chat, stop_delay=60.0):
        linq.sleep(1.0)
        assert thread.end_process()
        with manager.typing_while(late):
            linq.sleep(10.0)
            assert manager.stats().chats == 0
        manager.mark_sent(late)
        assert manager._engines.engine is not None
        manager._engines.engine.send_ended(late, MessageInFlight(11.0), 11.0, True)
    linq.sleep(1.0)
    assert manager.stats().chats == 0
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop")]
    assert linq.asked(late) == []
    assert transport.closed_at == [1.0]


def test_who_waits_for_the_stops_as_the_process_ends_is_told(
    linq: VirtualLinq, thread: VirtualThread, manager: TypingManager
) -> None:
    """Even behind inputs that came while the manager was closing, and are dropped."""
    chat = linq.chat()
    linq.slow("stop", before=2.0)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    engine = manager._engines.engine
    assert engine is not None
    engine.begin_close()
    with manager.typing_while(linq.chat()) as dropped:
        flushed, closed, left = engine.flush(), engine.begin_close(), Completion()
        engine.leave(dropped.chat_id, dropped._state, 1.0, 0.0, left)
        linq.sleep(0.5)
        assert thread.end_process()
    assert [flushed.result, closed.result, left.result] == [True, True, True]


def test_an_api_that_hangs_holds_up_the_end_of_the_process_for_five_seconds_at_most(
    linq: VirtualLinq, thread: VirtualThread, manager: TypingManager
) -> None:
    chat = linq.chat()
    linq.lose("stop", hang=True)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert not thread.end_process()
    assert linq.now <= 6.0


def test_a_stop_that_closing_cut_off_may_still_clear_the_next_start(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    """So that start is repeated, 5 s after the stop was given up."""
    chat, manager = linq.chat(), make_manager(timeout=60.0)
    linq.lose("stop", hang=True, times=1, effect=False)
    with manager.typing_while(chat, stop_delay=0):
        linq.sleep(1.0)
    linq.sleep(1.0)
    assert not manager.close()
    closed_at = linq.now
    with manager.typing_while(chat):
        linq.sleep(30.0)
    first, _, repeated = linq.moments(chat)
    assert first == 0.0
    assert closed_at + 3.0 < repeated <= closed_at + 5.0


def test_closing_ends_a_suspension(linq: VirtualLinq, manager: TypingManager) -> None:
    """Its probe may be among what was cancelled; and whoever opens the manager again wants to try."""
    linq.fail("start", 500)
    with ExitStack() as blocks:
        for chat in [linq.chat() for _ in range(8)]:
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(60.0)
        assert manager.stats().suspended
    assert manager.close()
    linq.clear_faults()
    chat, opened_at = linq.chat(), linq.now
    with manager.typing_while(chat):
        linq.sleep(0.5)
        assert linq.moments(chat) == [round(opened_at, 6)]
        assert not manager.stats().suspended
