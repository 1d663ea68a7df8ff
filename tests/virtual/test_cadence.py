"""When requests go out, to the moment, and what is said of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from linq_typing import TypingManager

from .kit import LONG, Events, MakeManager, VirtualLinq


def test_a_refresh_every_minute_and_one_stop(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(150.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (60.0, "start"), (120.0, "start"), (150.5, "stop")]


def test_refreshes_follow_the_last_answer_by_the_interval(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.slow("start", before=1.0, after=0.5)
    with manager.typing_while(chat):
        linq.sleep(190.0)
    assert linq.moments(chat) == [0.0, 61.5, 123.0, 184.5]


def test_overlapping_sessions_share_one_start_one_timer_and_one_stop(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with ExitStack() as blocks:
        for _ in range(8):
            blocks.enter_context(manager.typing_while(chat))
            linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (60.0, "start"), (80.5, "stop")]


def test_the_smallest_interval_of_the_overlapping_sessions_counts(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(10.0)
        with manager.typing_while(chat, refresh_interval=20.0):
            linq.sleep(35.0)
        linq.sleep(55.0)
    assert linq.moments(chat) == [0.0, 20.0, 40.0, 100.0]


def test_a_session_that_begins_while_the_indicator_is_up_sends_nothing(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    for _ in range(5):
        with manager.typing_while(chat, stop_delay=5.0):
            linq.sleep(4.0)
        linq.sleep(4.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (41.0, "stop")]


def test_a_session_that_begins_when_the_indicator_may_have_faded_starts_it_again(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    """One start is trusted for 85 s."""
    chat = linq.chat()
    with manager.typing_while(chat, refresh_interval=LONG):
        linq.sleep(84.0)
        with manager.typing_while(chat, refresh_interval=LONG):
            linq.sleep(2.0)
        with manager.typing_while(chat, refresh_interval=LONG):
            linq.sleep(2.0)
    assert linq.moments(chat) == [0.0, 86.0]


def test_work_done_within_the_start_delay_costs_no_request(linq: VirtualLinq, manager: TypingManager) -> None:
    with manager.typing_while(linq.chat(), start_delay=5.0):
        linq.sleep(4.9)
    linq.sleep(LONG)
    manager.close()
    assert linq.requests == ()


def test_the_start_comes_after_its_delay(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat, start_delay=5.0):
        linq.sleep(7.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(5.0, "start"), (7.5, "stop")]


def test_the_stop_waits_for_its_delay_after_a_normal_exit_only(linq: VirtualLinq, manager: TypingManager) -> None:
    normal, broken = linq.chat(), linq.chat()
    with manager.typing_while(normal, stop_delay=30.0):
        linq.sleep(1.0)
    with pytest.raises(ValueError, match="oops"), manager.typing_while(broken, stop_delay=30.0):
        linq.sleep(1.0)
        raise ValueError("oops")
    linq.sleep(LONG)
    assert linq.log(normal) == [(0.0, "start"), (31.0, "stop")]
    assert linq.log(broken) == [(1.0, "start"), (2.0, "stop")]


def test_a_session_says_once_that_it_has_lasted_too_long_and_stops(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    with manager.typing_while(chat):
        linq.sleep(LONG)
    linq.sleep(LONG)
    assert linq.log(chat) == [*((60.0 * n, "start") for n in range(10)), (600.0, "stop")]
    assert events.kinds().count("expired") == 1
    assert [record.levelname for record in caplog.records if "expired" in record.message] == ["WARNING"]


def test_paused_time_does_not_count_towards_the_longest_duration(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat, max_duration=30.0) as session:
        linq.sleep(20.0)
        with session.paused():
            linq.sleep(100.0)
        linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (20.0, "stop"), (120.0, "start"), (130.0, "stop")]


def test_without_a_longest_duration_it_goes_on(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat, max_duration=None):
        linq.sleep(3600.0)
    assert linq.moments(chat) == [60.0 * n for n in range(61)]


def test_pause_takes_it_down_and_resume_brings_it_back(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        linq.sleep(10.0)
        with session.paused():
            linq.sleep(100.0)
        linq.sleep(10.0)
        session.pause()
        linq.sleep(100.0)
        session.resume()
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [
        (0.0, "start"),
        (10.0, "stop"),
        (110.0, "start"),
        (120.0, "stop"),
        (220.0, "start"),
        (230.5, "stop"),
    ]


def test_leaving_with_wait_on_exit_waits_for_the_stops_answer(linq: VirtualLinq, manager: TypingManager) -> None:
    linq.slow("stop", before=2.0, after=1.0)
    chat, other = linq.chat(), linq.chat()
    with manager.typing_while(chat, wait_on_exit=True, stop_delay=60.0):
        linq.sleep(10.0)
    assert linq.now == 13.0
    assert not linq.visible(chat)

    async def bot() -> None:
        async with manager.typing_while(other, wait_on_exit=True, stop_delay=60.0):
            await asyncio.sleep(10.0)
        assert linq.now == 26.0
        assert not linq.visible(other)

    linq.run(bot())


def test_leaving_with_wait_on_exit_waits_for_five_seconds_at_most(linq: VirtualLinq, make_manager: MakeManager) -> None:
    linq.slow("stop", before=20.0)
    chat, manager = linq.chat(), make_manager(timeout=60.0)
    with manager.typing_while(chat, wait_on_exit=True):
        linq.sleep(10.0)
    assert linq.now == 15.0
    linq.sleep(20.0)
    assert linq.asked(chat) == ["start", "stop"]


def test_leaving_with_wait_on_exit_after_its_manager_was_closed_does_not_wait(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    with manager.typing_while(linq.chat(), wait_on_exit=True):
        linq.sleep(1.0)
        assert manager.close()
    assert linq.now == 1.0


def test_wait_on_exit_does_not_wait_for_another_sessions_stop_delay(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat, stop_delay=60.0):
        linq.sleep(1.0)
    with manager.typing_while(chat, wait_on_exit=True):
        linq.sleep(1.0)
    assert linq.log(chat) == [(0.0, "start"), (2.0, "stop")]


def test_every_event_is_told(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    linq.slow("typing", before=0.25, after=0.25)
    with manager.typing_while(chat):
        linq.sleep(130.0)
    assert manager.flush()
    assert events.kinds() == ["started", "refreshed", "refreshed", "stopped"]
    assert {event.attempt for event in events} == {1}
    assert {event.elapsed for event in events} == {0.5}
    assert {event.chat_id for event in events} == {chat}
    assert [event.action for event in events] == ["start", "start", "start", "stop"]


def test_several_hooks_are_told_in_their_order(linq: VirtualLinq, make_manager: MakeManager) -> None:
    told: list[str] = []
    manager = make_manager(on_event=[lambda event: told.append("first"), lambda event: told.append("second")])
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    assert told == ["first", "second"]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_what_a_hook_raises_is_logged_and_disturbs_nothing(
    linq: VirtualLinq, make_manager: MakeManager, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def hook(event: object) -> None:
        raise error("my hook is broken")

    chat = linq.chat()
    with make_manager(on_event=hook).typing_while(chat):
        linq.sleep(70.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (60.0, "start"), (70.5, "stop")]
    assert caplog.text.count(f"{error.__name__}: my hook is broken") == 3


def test_stats_count_what_is_and_was(linq: VirtualLinq, make_manager: MakeManager) -> None:
    manager, first, second = make_manager(max_connections=1), linq.chat(), linq.chat()
    linq.slow("start", before=1.0, times=1)
    with manager.typing_while(first), manager.typing_while(first), manager.typing_while(second):
        linq.sleep(0.5)
        stats = manager.stats()
        assert (stats.sessions, stats.chats, stats.shown, stats.in_flight, stats.waiting) == (3, 2, 0, 1, 1)
        linq.sleep(1.0)
        stats = manager.stats()
        assert (stats.sessions, stats.chats, stats.shown, stats.in_flight, stats.waiting) == (3, 2, 2, 0, 0)
        assert (stats.requests, stats.retries, stats.suspended) == ({"accepted": 2}, 0, False)
    linq.sleep(LONG)
    stats = manager.stats()
    assert (stats.sessions, stats.chats, stats.shown, stats.requests) == (0, 0, 0, {"accepted": 4})


def test_stats_count_retries_and_are_a_snapshot(linq: VirtualLinq, manager: TypingManager) -> None:
    linq.fail("start", 500, times=2)
    with manager.typing_while(linq.chat()):
        linq.sleep(0.1)
        stats = manager.stats()
        linq.sleep(10.0)
    assert (stats.requests, stats.retries) == ({"unknown": 1}, 0)
    assert (manager.stats().requests, manager.stats().retries) == ({"unknown": 2, "accepted": 1}, 2)


def test_requests_wait_for_a_connection_stops_first_and_first_starts_before_refreshes(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    """Waiting is no error, and what was given up meanwhile sends nothing."""
    manager = make_manager(max_connections=1, timeout=60.0)
    shown, ending, first, gone = (linq.chat() for _ in range(4))
    with ExitStack() as blocks:
        session = blocks.enter_context(manager.typing_while(shown))
        with manager.typing_while(ending, stop_delay=0.0):
            linq.sleep(59.0)
            linq.slow("start", before=10.0, times=1)
            busy = blocks.enter_context(manager.typing_while(linq.chat()))
            linq.sleep(2.0)  # the refreshes are due, but the only connection is in use
            blocks.enter_context(manager.typing_while(first))
            with manager.typing_while(gone):
                linq.sleep(1.0)
        linq.sleep(20.0)
        assert session.error is busy.error is None
    order = [(request.endpoint, request.chat_id) for request in linq.requests[3:]]
    assert order == [("stop", ending), ("start", first), ("start", shown)]
    assert linq.asked(gone) == []
