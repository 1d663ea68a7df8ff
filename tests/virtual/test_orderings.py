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
