"""What fails, and what is done about it."""

from __future__ import annotations

import itertools
import logging
from contextlib import ExitStack

import httpx
import pytest

from linq_typing import APIConnectionError, APIStatusError, APITimeoutError, TypingManager

from .kit import LONG, Events, MakeManager, VirtualLinq, say


def pauses(linq: VirtualLinq, chat: str, endpoint: str = "start") -> list[float]:
    """The seconds between its requests."""
    moments = linq.moments(chat, endpoint)
    return [round(later - earlier, 6) for earlier, later in itertools.pairwise(moments)]


def assert_backing_off(pauses: list[float], *least: float) -> None:
    """Each pause is as long as that, or longer by the jitter of up to a quarter of a second."""
    assert len(pauses) == len(least)
    for pause, expected in zip(pauses, least, strict=True):
        assert expected <= pause <= expected + 0.25


# -- The back-off


def test_a_500_is_tried_again_with_growing_pauses_until_it_works(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "linq_typing")
    chat = linq.chat()
    linq.fail("start", 500, times=3)
    with make_manager(on_event=events).typing_while(chat) as session:
        linq.sleep(10.0)
        assert isinstance(session.error, APIStatusError)
        assert session.error.status_code == 500
        assert session.error.trace_id
    assert [(event.kind, event.attempt) for event in events] == [
        ("failed", 1),
        ("failed", 2),
        ("failed", 3),
        ("started", 4),
        ("recovered", 0),
    ]
    assert_backing_off(pauses(linq, chat), 0.5, 1.0, 2.0)
    levels = [record.levelname for record in caplog.records if "failed" in record.message]
    assert levels == ["WARNING", "DEBUG", "DEBUG"]
    assert [record.levelname for record in caplog.records if "recovered" in record.message] == ["INFO"]


def test_no_pause_is_longer_than_backoff_max(linq: VirtualLinq, make_manager: MakeManager) -> None:
    chat = linq.chat()
    linq.fail("stop", 500)
    with make_manager(max_retries=7, backoff_max=5.0).typing_while(chat):
        linq.sleep(1.0)
    linq.sleep(LONG)
    assert_backing_off(pauses(linq, chat, "stop"), 0.5, 1.0, 2.0, 4.0, 4.75, 4.75, 4.75)
    linq.send_as_colleague(chat)


def test_it_gives_up_after_max_retries_and_a_5xx_that_may_have_worked_is_stopped(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    """Given up for now: it has another chance a quarter of the interval later."""
    chat = linq.chat()
    linq.fail("start", 503, effect=True)
    with make_manager(max_retries=2).typing_while(chat):
        linq.sleep(14.9)
        assert_backing_off(pauses(linq, chat), 0.5, 1.0)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "start", "start", "stop"]
    assert linq.moments(chat, "stop") == [15.4]


@pytest.mark.parametrize(("status", "code"), [(400, None), (403, 2005), (404, None), (422, None), (409, 2001)], ids=str)
def test_a_permanent_refusal_is_neither_retried_nor_stopped_and_is_remembered(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, status: int, code: int | None
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    linq.fail("start", status, code=code, chat=chat, times=1)
    with manager.typing_while(chat) as session:
        linq.sleep(100.0)
        session.pause()
        session.resume()
        linq.sleep(100.0)
        assert isinstance(session.error, APIStatusError)
        assert session.error.status_code == status
    with manager.typing_while(chat) as next_session:
        linq.sleep(100.0)
        assert next_session.error is session.error
    linq.sleep(100.0)
    assert linq.log(chat) == [(0.0, "start")]
    assert events.kinds() == ["refused"]


def test_a_refusal_is_remembered_for_ten_minutes_and_as_long_as_its_session_lasts(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    linq.fail("start", 403, times=1)
    with manager.typing_while(chat, max_duration=None):
        linq.sleep(590.0)
        with manager.typing_while(chat):
            linq.sleep(20.0)
        linq.sleep(100.0)
    with manager.typing_while(chat):
        linq.sleep(10.0)
        with manager.typing_while(chat) as session:
            linq.sleep()
            assert session.error is None
    assert linq.moments(chat) == [0.0, 710.0]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(linq: VirtualLinq, manager: TypingManager, status: int) -> None:
    chat = linq.chat()
    linq.fail("start", status, code=2009 if status == 409 else None, times=1)
    with manager.typing_while(chat):
        linq.sleep(10.0)
    assert_backing_off(pauses(linq, chat), 0.5)


def test_a_start_is_not_tried_again_once_nobody_wants_it(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.fail("start", 500)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(0.4)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (0.4, "stop")]


def test_a_session_that_begins_does_not_wait_for_the_retries_of_the_one_before(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    linq.fail("start", 429, times=4)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(4.5)
    with manager.typing_while(chat):
        linq.sleep(0.1)
    assert linq.moments(chat)[4:] == [4.5]


def test_a_failed_refresh_is_tried_again_after_a_quarter_of_the_interval_at_the_latest(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    chat = linq.chat()
    with make_manager(max_retries=0).typing_while(chat):
        linq.sleep(30.0)
        linq.fail("start", 500, times=1)
        linq.sleep(150.0)
    assert linq.moments(chat) == [0.0, 60.0, 75.0, 135.0]


def test_a_failed_stop_is_tried_again(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.fail("stop", 500, times=2)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert_backing_off(pauses(linq, chat, "stop"), 0.5, 1.0)
    assert not linq.visible(chat)


# -- Retry-After


@pytest.mark.parametrize("form", ["header", "body"])
def test_retry_after_is_obeyed(linq: VirtualLinq, manager: TypingManager, form: str) -> None:
    chat = linq.chat()
    body = b'{"error": {"status": 429, "message": "slow down", "retry_after": 20}, "success": false}'
    linq.fail(
        "start", 429, times=1, retry_after=20 if form == "header" else None, body=None if form == "header" else body
    )
    with manager.typing_while(chat):
        linq.sleep(30.0)
    assert linq.moments(chat) == [0.0, 20.0]


@pytest.mark.parametrize("retry_after", [0, -5])
def test_a_retry_after_of_zero_or_less_does_not_switch_off_the_back_off(
    linq: VirtualLinq, manager: TypingManager, retry_after: int
) -> None:
    chat = linq.chat()
    linq.fail("typing", 429, times=2, retry_after=retry_after)
    with manager.typing_while(chat):
        linq.sleep(10.0)
    assert_backing_off(pauses(linq, chat), 0.5, 1.0)


def test_retry_after_holds_for_the_sessions_that_follow(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.fail("start", 429, times=1, retry_after=20)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    linq.sleep(1.0)
    with manager.typing_while(chat):
        linq.sleep(30.0)
    assert linq.moments(chat) == [0.0, 20.0]


def test_retry_after_holds_for_a_stop_too(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.fail("stop", 429, times=1, retry_after=20)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.moments(chat, "stop") == [10.0, 30.0]


# -- Lost answers


def test_a_refused_connection_needs_no_stop(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    linq.reachable = False
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        assert isinstance(session.error, APIConnectionError)
    linq.reachable = True
    linq.sleep(LONG)
    assert events.kinds() == ["failed", "failed"]
    assert linq.requests == ()


def test_an_answer_that_does_not_come_in_time_is_a_timeout(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    linq.lose("start", hang=True, effect=False, times=1)
    with manager.typing_while(chat) as session:
        linq.sleep(10.0)
        assert isinstance(session.error, APITimeoutError)
    assert_backing_off(pauses(linq, chat), 5.5)
    assert (events[0].kind, events[0].elapsed) == ("failed", 5.0)


@pytest.mark.parametrize("effect_after", [0.0, 3.0, 4.5])
def test_a_start_whose_answer_was_lost_is_stopped_at_once_and_once_more_when_it_can_no_longer_work(
    linq: VirtualLinq, make_manager: MakeManager, effect_after: float
) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.lose("start", times=1, effect_after=effect_after)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop"), (5.0, "stop")]
    assert linq.timeline(chat).ghost is None


def test_flush_waits_until_a_lost_start_can_no_longer_work(linq: VirtualLinq, make_manager: MakeManager) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.lose("start", times=1, effect_after=4.0)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.flush()
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop"), (5.0, "stop")]


def test_a_start_is_repeated_when_a_lost_stop_can_no_longer_clear_it(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.lose("stop", times=1, effect_after=4.0)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(10.0)
    linq.sleep(1.0)
    with manager.typing_while(chat):
        linq.sleep(10.0)
        assert linq.visible(chat)
        assert linq.log(chat) == [(0.0, "start"), (10.0, "stop"), (11.0, "start"), (15.0, "start")]


# -- A bad key, and an API that is down


def test_a_bad_key_is_one_error_and_suspends_all_starts(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    manager = make_manager(api_key="wrong-key-123", on_event=events)
    with ExitStack() as blocks:
        blocks.enter_context(manager.typing_while(linq.chat()))
        linq.sleep()
        for _ in range(19):
            blocks.enter_context(manager.typing_while(linq.chat()))
        linq.sleep(100.0)
        assert manager.stats().suspended
    # One chat at a time, after pauses of 1 s, 2 s, 4 s, ... 60 s.
    assert [request.received_at for request in linq.requests] == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "wrong-key" not in caplog.text + repr(events) + repr(manager)
    assert events.kinds().count("suspended") == 1


def test_a_key_that_is_accepted_again_brings_all_indicators_back(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """With the next probe, as it is no chat's fault; and that is told once."""
    first, second, manager = linq.chat(), linq.chat(), make_manager(on_event=events)
    linq.fail("start", 401, times=2)
    with manager.typing_while(first), manager.typing_while(second):
        linq.sleep(2.0)
        assert (linq.moments(first), linq.moments(second)) == ([0.0, 1.0], [0.0, 1.0])
        with manager.typing_while(first) as session:
            linq.sleep(1.0)
            assert session.error is None
    assert events.kinds().count("recovered") == 1


@pytest.mark.parametrize(
    ("endpoint", "status", "code"), [("start", 409, 2009), ("start", 403, 2005), ("stop", 500, None)]
)
def test_refusals_chats_that_are_being_created_and_failing_stops_say_nothing_of_the_api_as_a_whole(
    linq: VirtualLinq, manager: TypingManager, endpoint: str, status: int, code: int | None
) -> None:
    linq.fail(endpoint, status, code=code, times=6)
    with ExitStack() as blocks:
        for _ in range(6):
            blocks.enter_context(manager.typing_while(linq.chat(), stop_delay=0.0))
        linq.sleep(0.1)
        assert not manager.stats().suspended
    linq.sleep(0.1)
    assert not manager.stats().suspended
    assert len([request for request in linq.requests if request.status == status]) == 6


def test_a_stop_that_goes_out_while_starts_are_suspended_is_no_probe(linq: VirtualLinq, manager: TypingManager) -> None:
    """Its answer is not waited for before the next probe."""
    with manager.typing_while(linq.chat(), stop_delay=0.0):
        linq.sleep(1.0)
        linq.fail("start", 500)
        blocks = ExitStack()
        for _ in range(6):
            blocks.enter_context(manager.typing_while(linq.chat()))
        linq.sleep(1.5)
        assert manager.stats().suspended
        linq.clear_faults()
    with blocks:
        linq.sleep(60.0)
        assert not manager.stats().suspended


def test_a_stop_that_is_answered_with_a_bad_key_is_not_repeated(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    linq.fail("stop", 401, times=1)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(50.0)
    assert linq.asked(chat) == ["start", "stop"]
    linq.send_as_colleague(chat)


def test_only_a_refused_start_is_the_error_of_sessions_that_begin_later(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    chat = linq.chat()
    linq.fail("start", 500, times=1)
    linq.fail("stop", 403, times=1)
    with manager.typing_while(chat, start_delay=50.0):
        with manager.typing_while(chat, stop_delay=0.0):
            linq.sleep(0.1)
            with manager.typing_while(chat) as during:
                linq.sleep(0.1)
                assert during.error is None
            linq.sleep(5.0)
        linq.sleep(1.0)
        with manager.typing_while(chat, start_delay=50.0) as after:
            linq.sleep(0.1)
            assert after.error is None
    assert linq.asked(chat) == ["start", "start", "stop"]
    linq.send_as_colleague(chat)


def test_a_session_that_begins_while_starts_are_suspended_knows_why(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    manager = make_manager(api_key="wrong-key-123")
    with manager.typing_while(linq.chat()) as first:
        linq.sleep()
        with manager.typing_while(linq.chat()) as second:
            linq.sleep()
            assert second.error is not None
            assert second.error is first.error
        linq.sleep(10.0)
        with manager.typing_while(linq.chat()) as third:
            linq.sleep()
            assert third.error is not None


def test_an_api_that_is_down_is_probed_by_one_chat_at_a_time_and_all_recover(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    manager, chats = make_manager(on_event=events, max_connections=4), [linq.chat() for _ in range(30)]
    linq.fail("start", 500)
    linq.slow("start", before=0.1)
    with ExitStack() as blocks:
        for chat in chats:
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(100.0)
        assert manager.stats().suspended
        # Five failures, with four requests in flight; then pauses of 1 s, 2 s, ... 60 s after each answer.
        moments = [round(request.received_at, 6) for request in linq.requests]
        assert moments == [*[0.0] * 4, *[0.1] * 4, 1.2, 3.3, 7.4, 15.5, 31.6, 63.7]
        assert len({request.chat_id for request in linq.requests}) == len(moments)  # a different one each time
        linq.clear_faults()
        linq.sleep(60.0)
        assert all(linq.visible(chat) for chat in chats)
    assert events.kinds().count("suspended") == 1
    assert "recovered" in events.kinds()


def test_a_chat_that_always_fails_does_not_silence_the_others(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    manager = make_manager(on_event=events)
    bad, good, late = linq.chat(), linq.chat(), linq.chat()
    linq.fail("start", 500, chat=bad)
    with manager.typing_while(good), manager.typing_while(bad):
        linq.sleep(100.0)
        assert len(linq.asked(bad)) > 10
        with manager.typing_while(late):
            linq.sleep(10.0)
    assert linq.moments(good) == [0.0, 60.0]
    assert linq.moments(late) == [100.0]
    assert "suspended" not in events.kinds()


def test_a_chat_that_joins_the_only_one_which_fails_does_not_wait_for_the_end_of_the_pause(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    manager, bad, good = make_manager(on_event=events), linq.chat(), linq.chat()
    linq.fail("start", 500, chat=bad)
    with manager.typing_while(bad):
        linq.sleep(40.0)
        assert manager.stats().suspended
        with manager.typing_while(good):
            linq.sleep(1.0)
            assert linq.moments(good) == [40.0]
            assert events.kinds(good) == ["started", "recovered"]


def test_every_chat_has_its_turn_to_probe(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    """A first start goes before the refresh that would find the API up again; but not each time."""
    manager = make_manager(max_retries=1000, backoff_max=0.1, on_event=events)
    bad, good = linq.chat(), linq.chat()
    with manager.typing_while(good, refresh_interval=10.0):
        linq.sleep(9.0)
        linq.fail("start", 500)
        with manager.typing_while(bad):
            assert linq.wait_until(lambda: "suspended" in events.kinds())
            linq.clear_faults()
            linq.fail("start", 500, chat=bad)
            assert linq.wait_until(lambda: "recovered" in events.kinds(good), 3.0)  # the first or the second probe
            linq.clear_faults()


def test_stops_go_out_while_starts_are_suspended(linq: VirtualLinq, make_manager: MakeManager) -> None:
    manager, shown = make_manager(max_retries=0), linq.chat()
    with ExitStack() as blocks:
        with manager.typing_while(shown, stop_delay=0.0):
            linq.sleep(1.0)
            linq.fail("start", 500)
            for _ in range(5):
                blocks.enter_context(manager.typing_while(linq.chat()))
            linq.sleep(0.5)
            assert manager.stats().suspended
        linq.sleep()
        assert linq.log(shown) == [(0.0, "start"), (1.5, "stop")]


# -- What is said of it


def test_the_key_is_in_no_error_even_if_the_api_repeats_it(linq: VirtualLinq, manager: TypingManager) -> None:
    linq.fail("start", 403, message=f"bad {linq.api_key}!", times=1)
    with manager.typing_while(linq.chat()) as session:
        linq.sleep()
        assert session.error is not None
        assert linq.api_key not in f"{session.error} {session.error!r}"
        assert "***" in str(session.error)


def test_a_stop_that_is_given_up_says_so(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a stop, gave_up means that a ghost is likely."""
    chat, manager = linq.chat(), make_manager(on_event=[events], max_retries=1)
    linq.fail("stop", 500, times=2)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(50.0)
    assert [(event.kind, event.action, event.attempt) for event in events] == [
        ("started", "start", 1),
        ("failed", "stop", 1),
        ("failed", "stop", 2),
        ("gave_up", "stop", 2),
    ]
    assert events[-1].error is events[-2].error is not None
    assert [record.levelname for record in caplog.records if "gave up" in record.message] == ["WARNING"]
    assert linq.visible(chat)
    linq.send_as_colleague(chat)


def test_a_start_that_is_given_up_for_now_says_so(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    """It has another chance a quarter of the interval later; a refused one has an event of its own."""
    chat, refused = linq.chat(), linq.chat()
    manager = make_manager(on_event=events, max_retries=0)
    linq.fail("start", 503, chat=chat, times=1)
    linq.fail("start", 403, chat=refused, times=1)
    with manager.typing_while(chat), manager.typing_while(refused):
        linq.sleep(20.0)
    assert events.kinds(chat) == ["failed", "gave_up", "started", "recovered"]
    assert events.kinds(refused) == ["refused"]
    assert linq.moments(chat) == [0.0, 15.0]


def test_a_start_that_nobody_wants_any_more_is_not_given_up(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    chat = linq.chat()
    linq.slow("start", before=2.0)
    linq.fail("start", 503)
    with make_manager(on_event=events, max_retries=0).typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(LONG)
    assert events.kinds() == ["failed", "stopped", "recovered"]


# -- Messages that take very long


def test_a_send_that_hangs_does_not_keep_the_refreshes_waiting_for_ever(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    """For two minutes at most."""
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        linq.sleep(10.0)
        with session.sending() as sending:
            linq.sleep(200.0)
            sending.failed()
    assert linq.moments(chat) == [0.0, 130.0, 190.0]


def test_a_message_whose_answer_takes_very_long_still_has_to_settle(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    """Its chat was forgotten meanwhile."""
    chat = linq.chat()
    linq.slow("send", after=200.0, times=1)
    async_client.timeout = None
    sending = linq.begin(say(manager.watch(async_client), chat))
    linq.sleep(190.0)
    assert manager.stats().chats == 0
    linq.sleep(11.0)
    assert sending.result().is_success
    with manager.typing_while(chat):
        linq.sleep(10.0)
    assert linq.log(chat) == [(0.0, "send"), (203.0, "start")]
