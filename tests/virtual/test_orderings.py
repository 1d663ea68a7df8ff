"""Regressions: orderings that once went wrong, each named after what went wrong."""

from __future__ import annotations

from contextlib import ExitStack

from linq_typing import TypingManager

from .kit import LONG, Events, MakeManager, VirtualLinq


def test_waiting_starts_do_not_spin_while_stops_hang_and_starts_are_suspended(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """The virtual loop fails if it spins."""
    manager = make_manager(max_connections=2, max_retries=0, on_event=events)
    with ExitStack() as waiting:
        with ExitStack() as shown:
            for _ in range(2):
                shown.enter_context(manager.typing_while(linq.chat(), stop_delay=0.0))
            linq.sleep(1.0)
            linq.fail("start", 500)
            for _ in range(6):
                waiting.enter_context(manager.typing_while(linq.chat(), refresh_interval=1.0))
            linq.sleep(1.0)
            assert "suspended" in events.kinds()
            linq.lose("stop", hang=True, times=2)
        linq.sleep(1.0)
        stats = manager.stats()
        assert (stats.in_flight, stats.suspended) == (2, True)  # both connections are taken
        linq.sleep(3.0)  # the pause before the next probe is over
        assert manager.stats().waiting == 6
        linq.sleep(100.0)


def test_a_start_that_waited_longer_than_it_was_wanted_gives_its_connection_back(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    """The library's thread may be late, as after a hook that takes ten seconds: then no timer has told before."""
    manager = make_manager(max_connections=1, on_event=lambda event: event.kind == "started" and linq.loop.block(10.0))
    linq.slow("start", before=1.0)
    busy, late, other = linq.chat(), linq.chat(), linq.chat()
    with (
        manager.typing_while(busy),
        manager.typing_while(late, max_duration=5.0),
        manager.typing_while(other),
    ):
        linq.sleep(30.0)
    assert (linq.asked(late), linq.moments(other)) == ([], [11.0])


def test_a_chat_that_was_forgotten_is_not_looked_at_again(linq: VirtualLinq, manager: TypingManager) -> None:
    """Not even at the time that its session was waiting for: another session may have begun in the chat."""
    chat = linq.chat()
    with manager.typing_while(chat, start_delay=10.0, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(1.0)
    assert manager.stats().chats == 0
    with manager.typing_while(chat):
        linq.sleep(20.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(2.0, "start"), (22.5, "stop")]


def test_an_ended_session_that_pauses_or_resumes_changes_nothing(linq: VirtualLinq, make_manager: MakeManager) -> None:
    """Neither for the session that goes on in its chat, nor once the chat is forgotten."""
    chat, manager = linq.chat(), make_manager()
    with manager.typing_while(chat, refresh_interval=200.0):
        with manager.typing_while(chat) as ended:
            linq.sleep(1.0)
        linq.sleep(99.0)
        ended.pause()
        ended.resume()
        linq.sleep(1.0)
        assert linq.moments(chat) == [0.0]
    linq.sleep(LONG)
    assert manager.stats().chats == 0
    ended.pause()
    ended.resume()
    linq.sleep(1.0)


def test_requests_that_have_ended_are_not_kept(linq: VirtualLinq, manager: TypingManager) -> None:
    with manager.typing_while(linq.chat()):
        linq.sleep(100.0)
    assert manager.flush()
    linq.sleep()
    assert manager._engines.engine is not None
    runner = manager._engines.engine._runner
    assert (runner._tasks, runner._starts) == (set(), set())


def test_a_session_that_is_over_before_the_loop_hears_of_it_costs_nothing(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        pass
    linq.sleep(LONG)
    assert linq.asked(chat) == []


def test_a_slow_start_is_followed_by_its_stop_in_order(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.slow("start", before=1.5, after=1.5)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (3.0, "stop")]


def test_a_session_that_begins_while_a_stop_is_in_flight_starts_after_its_answer(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    linq.slow("stop", before=1.0, after=1.0)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(10.0)
    linq.sleep(0.5)
    with manager.typing_while(chat):
        linq.sleep(10.0)
        assert linq.visible(chat)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "stop"), (12.0, "start")]


def test_a_session_that_comes_back_within_the_stop_delay_costs_nothing(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    """Its own end counts then."""
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
    linq.sleep(0.4)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (2.9, "stop")]
