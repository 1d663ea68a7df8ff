"""When requests go out, and how many."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import pytest
from behaviour_kit import Asked, Events, MakeManager, eventually

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox


def test_refreshes_follow_the_last_answer_by_the_interval(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat = linq.chat()
    with make_manager().typing_while(chat, refresh_interval=0.3):
        assert asked.at_least(chat, 4)
    starts = linq.timeline(chat).starts
    gaps = [later.received_at - (earlier.answered_at or 0) for earlier, later in itertools.pairwise(starts)]
    assert all(gap > 0.28 for gap in gaps)


def test_refreshes_go_on_while_the_callers_event_loop_is_blocked(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    chat = linq.chat()

    async def bot() -> None:
        async with manager.typing_while(chat, refresh_interval=0.1):
            assert asked.at_least(chat, 3)  # polls without ever giving the loop a turn

    asyncio.run(bot())


def test_overlapping_sessions_share_one_start_one_timer_and_one_stop(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager()
    together = threading.Barrier(8)

    def handler() -> None:
        with manager.typing_while(chat):
            together.wait()

    threads = [threading.Thread(target=handler) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked.soon(chat, "start", "stop")
    time.sleep(0.3)
    assert asked(chat) == ["start", "stop"]


def test_the_smallest_interval_of_the_overlapping_sessions_counts(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        with manager.typing_while(chat, refresh_interval=0.2):
            assert asked.at_least(chat, 3)


def test_a_session_that_begins_while_the_indicator_is_up_sends_nothing(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    chat = linq.chat()
    for _ in range(5):
        with manager.typing_while(chat, stop_delay=1.0):
            assert asked.soon(chat, "start")
    assert manager.flush()
    assert asked(chat) == ["start", "stop"]


def test_work_done_within_the_start_delay_costs_no_request(linq: Sandbox, manager: TypingManager) -> None:
    with manager.typing_while(linq.chat(), start_delay=5.0):
        pass
    manager.close()
    assert linq.requests == ()


def test_the_start_comes_after_its_delay(linq: Sandbox, manager: TypingManager, asked: Asked) -> None:
    chat, begun = linq.chat(), linq.now
    with manager.typing_while(chat, start_delay=0.3):
        assert asked.soon(chat, "start")
    assert linq.timeline(chat).starts[0].received_at - begun > 0.29


def test_the_stop_waits_for_its_delay_after_a_normal_exit_only(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    normal, broken = linq.chat(), linq.chat()
    with manager.typing_while(normal, stop_delay=0.5):
        assert asked.soon(normal, "start")
    left = linq.now
    assert asked.soon(normal, "start", "stop")
    assert linq.timeline(normal).stops[0].received_at - left > 0.49
    with pytest.raises(ValueError, match="oops"), manager.typing_while(broken, stop_delay=30):
        assert asked.soon(broken, "start")
        raise ValueError("oops")
    assert asked.soon(broken, "start", "stop")


def test_a_session_says_once_that_it_has_lasted_too_long_and_stops(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    with manager.typing_while(chat, max_duration=0.3, refresh_interval=0.1):
        assert asked.at_least(chat, 1, "stop")
        count = len(asked(chat))
        time.sleep(0.3)
        assert len(asked(chat)) == count
    assert events.kinds().count("expired") == 1
    assert [record.levelname for record in caplog.records if "expired" in record.message] == ["WARNING"]


def test_pause_takes_it_down_and_resume_brings_it_back(linq: Sandbox, manager: TypingManager, asked: Asked) -> None:
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        assert asked.soon(chat, "start")
        with session.paused():
            assert asked.soon(chat, "start", "stop")
        assert asked.soon(chat, "start", "stop", "start")
        session.pause()
        assert asked.soon(chat, "start", "stop", "start", "stop")
        session.resume()
        assert asked.soon(chat, "start", "stop", "start", "stop", "start")


def test_leaving_with_wait_on_exit_waits_for_the_stops_answer(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    linq.slow("stop", before=0.3)
    chat, other = linq.chat(), linq.chat()
    with manager.typing_while(chat, wait_on_exit=True, stop_delay=60):
        assert asked.soon(chat, "start")
    assert not linq.visible(chat)

    async def frozen() -> None:
        async with manager.typing_while(other, wait_on_exit=True, stop_delay=60):
            assert asked.soon(other, "start")
        assert not linq.visible(other)

    asyncio.run(frozen())


def test_every_event_is_told(linq: Sandbox, make_manager: MakeManager, events: Events) -> None:
    chat = linq.chat()
    manager = make_manager(on_event=events)
    with manager.typing_while(chat, refresh_interval=0.1):
        assert eventually(lambda: events.kinds().count("refreshed") >= 2)
    assert manager.flush()
    assert events.kinds()[:2] == ["started", "refreshed"]
    assert events.kinds()[-1] == "stopped"
    assert {event.attempt for event in events} == {1}
    assert all(event.elapsed > 0 for event in events)
    assert {event.chat_id for event in events} == {chat}


def test_what_a_hook_raises_is_logged_and_harms_nobody(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    chat = linq.chat()

    def hook(event: object) -> None:
        raise RuntimeError("my hook is broken")

    with make_manager(on_event=hook).typing_while(chat):
        assert asked.soon(chat, "start")
    assert asked.soon(chat, "start", "stop")
    assert "my hook is broken" in caplog.text


def test_flush_and_close_from_a_hook_say_that_they_would_wait_for_themselves(
    linq: Sandbox, make_manager: MakeManager
) -> None:
    errors: list[Exception] = []

    def hook(event: object) -> None:
        for call in (manager.flush, manager.close):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)

    manager = make_manager(on_event=hook)
    with manager.typing_while(linq.chat()):
        assert eventually(lambda: len(errors) == 2)


def test_flush_says_whether_all_stops_went_out(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    with manager.typing_while(chat, stop_delay=60):
        assert asked.soon(chat, "start")
    linq.fail("stop", 500, times=1)
    assert manager.flush() is False
    assert manager.flush() is True  # the stop was given up: nothing is pending
    linq.reopen(chat)  # takes down what the failed stop has left


def test_flush_leaves_open_sessions_alone(linq: Sandbox, manager: TypingManager, asked: Asked) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        assert manager.flush()
        assert linq.visible(chat)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_not_even_a_hook_that_wants_to_exit_stops_the_thread(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, error: type[BaseException]
) -> None:
    def hook(event: object) -> None:
        raise error

    chat = linq.chat()
    with make_manager(on_event=hook).typing_while(chat, refresh_interval=0.1):
        assert asked.at_least(chat, 3)


def test_wait_on_exit_does_not_wait_for_another_sessions_stop_delay(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    chat = linq.chat()
    with manager.typing_while(chat, stop_delay=60):
        assert asked.soon(chat, "start")
    with manager.typing_while(chat, wait_on_exit=True):
        pass
    assert asked(chat) == ["start", "stop"]


@pytest.mark.slow
def test_closing_while_a_start_hangs_still_sends_the_stop(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager()
    linq.lose("start", hang=True)
    with manager.typing_while(chat):
        assert linq.wait_until(lambda: linq.visible(chat))
        manager.close()
    assert asked(chat) == ["start", "stop"]


def test_stats_count_what_is_and_was(linq: Sandbox, manager: TypingManager, asked: Asked) -> None:
    first, second = linq.chat(), linq.chat()
    with manager.typing_while(first), manager.typing_while(first), manager.typing_while(second, start_delay=60):
        assert asked.soon(first, "start")
        stats = manager.stats()
        assert (stats.sessions, stats.chats, stats.shown, stats.in_flight, stats.waiting) == (3, 2, 1, 0, 0)
        assert (stats.requests, stats.retries, stats.suspended) == ({"accepted": 1}, 0, False)
    assert manager.flush()
    assert eventually(lambda: manager.stats().chats == 0)
    stats = manager.stats()
    assert (stats.sessions, stats.shown, stats.requests) == (0, 0, {"accepted": 2})
