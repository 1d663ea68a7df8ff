"""What fails, and what is done about it."""

from __future__ import annotations

import itertools
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from behaviour_kit import SETTLE, Asked, Events, MakeManager, eventually

from linq_typing import APIConnectionError, APIStatusError, APITimeoutError, TypingManager, _circuit_breaker, _indicator
from linq_typing.sandbox import Sandbox


def test_a_500_is_tried_again_with_growing_pauses_until_it_works(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "linq_typing")
    chat = linq.chat()
    linq.fail("start", 500, times=3)
    with make_manager(on_event=events).typing_while(chat) as session:
        assert eventually(lambda: "recovered" in events.kinds(), timeout=10)
        assert isinstance(session.error, APIStatusError)
        assert session.error.status_code == 500
        assert session.error.trace_id
    assert [(event.kind, event.attempt) for event in events[:4]] == [
        ("failed", 1),
        ("failed", 2),
        ("failed", 3),
        ("started", 4),
    ]
    times = [request.received_at for request in linq.timeline(chat).starts]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] > 0.45
    assert pauses[1] > 0.95
    assert pauses[2] > 1.9
    levels = [record.levelname for record in caplog.records if "failed" in record.message]
    assert levels == ["WARNING", "DEBUG", "DEBUG"]
    assert [record.levelname for record in caplog.records if "recovered" in record.message] == ["INFO"]


def test_it_gives_up_after_max_retries_and_a_5xx_that_may_have_worked_is_stopped(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat = linq.chat()
    linq.fail("start", 503, effect=True)
    with make_manager(max_retries=2, backoff_max=0.05).typing_while(chat):
        assert asked.soon(chat, "start", "start", "start")
        time.sleep(0.3)
    assert asked.soon(chat, "start", "start", "start", "stop")
    assert not linq.visible(chat)


@pytest.mark.parametrize(("status", "code"), [(400, None), (403, 2005), (404, None), (422, None), (409, 2001)], ids=str)
def test_a_permanent_refusal_is_neither_retried_nor_stopped_and_is_remembered(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events, status: int, code: int | None
) -> None:
    chat, manager = linq.chat(), make_manager(backoff_max=0.05, on_event=events)
    linq.fail("start", status, code=code, chat=chat, times=1)
    with manager.typing_while(chat, refresh_interval=0.1) as session:
        assert eventually(lambda: events.kinds() == ["refused"])
        time.sleep(0.3)
        session.pause()
        session.resume()
        assert isinstance(session.error, APIStatusError)
        assert session.error.status_code == status
    with manager.typing_while(chat) as next_session:
        time.sleep(0.2)
        assert next_session.error is session.error
    manager.close()
    assert asked(chat) == ["start"]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(linq: Sandbox, make_manager: MakeManager, asked: Asked, status: int) -> None:
    chat = linq.chat()
    linq.fail("start", status, code=2009 if status == 409 else None, times=1)
    with make_manager(backoff_max=0.05).typing_while(chat):
        assert asked.soon(chat, "start", "start")


@pytest.mark.parametrize("form", ["header", "body"])
def test_retry_after_is_obeyed(linq: Sandbox, make_manager: MakeManager, asked: Asked, form: str) -> None:
    chat = linq.chat()
    body = b'{"error": {"status": 429, "message": "slow down", "retry_after": 0.8}, "success": false}'
    linq.fail(
        "start", 429, times=1, retry_after=0.8 if form == "header" else None, body=None if form == "header" else body
    )
    with make_manager(backoff_max=0.05).typing_while(chat):
        assert asked.soon(chat, "start", "start")
    first, second = linq.timeline(chat).starts
    assert second.received_at - first.received_at > 0.75


@pytest.mark.parametrize("retry_after", [0, -5])
def test_a_retry_after_of_zero_or_less_does_not_switch_off_the_back_off(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, retry_after: int
) -> None:
    chat = linq.chat()
    linq.fail("typing", 429, times=2, retry_after=retry_after)
    with make_manager().typing_while(chat):
        assert asked.soon(chat, "start", "start", "start")
    first, second, third = (request.received_at for request in linq.timeline(chat).starts)
    assert second - first > 0.45
    assert third - second > 0.95


def test_retry_after_holds_for_the_sessions_that_follow(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    chat, manager = linq.chat(), make_manager(backoff_max=0.05)
    linq.fail("start", 429, times=1, retry_after=0.8)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        time.sleep(0.1)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start", "start")
    first, second = linq.timeline(chat).starts
    assert second.received_at - first.received_at > 0.75


def test_a_start_is_not_tried_again_once_nobody_wants_it(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat = linq.chat()
    linq.fail("start", 500)
    with make_manager().typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
    assert asked.soon(chat, "start", "stop")
    time.sleep(0.8)
    assert asked(chat) == ["start", "stop"]


def test_a_failed_refresh_is_tried_again_after_a_quarter_of_the_interval(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat = linq.chat()
    with make_manager(max_retries=0).typing_while(chat, refresh_interval=0.8):
        assert asked.soon(chat, "start")
        linq.fail("start", 500, times=1)
        assert asked.at_least(chat, 4)
    first, failed, again, later = (request.received_at for request in linq.timeline(chat).starts[:4])
    assert failed - first > 0.78
    assert 0.18 < again - failed < 0.6
    assert later - again > 0.78


def test_a_refused_connection_needs_no_stop(linq: Sandbox, make_manager: MakeManager, events: Events) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events, backoff_max=0.1)
    linq.stop()
    with manager.typing_while(chat) as session:
        assert eventually(lambda: len(events) >= 2)
        assert isinstance(session.error, APIConnectionError)
    linq.start()
    manager.close()
    assert linq.requests == ()


def test_an_answer_that_does_not_come_in_time_is_a_timeout(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events
) -> None:
    chat, manager = linq.chat(), make_manager(timeout=0.3, backoff_max=0.05, on_event=events)
    linq.lose("start", hang=True, effect=False, times=1)
    with manager.typing_while(chat) as session:
        assert asked.soon(chat, "start", "start")
        assert isinstance(session.error, APITimeoutError)
    assert events[0].kind == "failed"
    assert 0.25 < events[0].elapsed < 3


@pytest.mark.slow
@pytest.mark.parametrize("effect_after", [0.0, 3.0, 4.5])
def test_a_start_whose_answer_was_lost_is_stopped_at_once_and_once_more_when_it_can_no_longer_work(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, effect_after: float
) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.lose("start", times=1, effect_after=effect_after)
    with manager.typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
        time.sleep(0.2)
    assert asked.soon(chat, "start", "stop")
    assert asked.soon(chat, "start", "stop", "stop", timeout=10)
    start, first, second = linq.timeline(chat).requests
    assert first.received_at - start.received_at < 3
    assert second.received_at - start.received_at > 4.9
    assert not linq.visible(chat)


@pytest.mark.slow
def test_flush_waits_until_a_lost_start_can_no_longer_work(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.lose("start", times=1, effect_after=4.0)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        time.sleep(0.2)
    assert manager.flush(timeout=10)
    assert asked(chat) == ["start", "stop", "stop"]


@pytest.mark.slow
def test_a_start_is_repeated_when_a_lost_stop_has_cleared_it(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(max_retries=0)
    linq.lose("stop", times=1, effect_after=4.0)
    with manager.typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
    assert asked.soon(chat, "start", "stop")
    with manager.typing_while(chat):
        assert asked.soon(chat, "start", "stop", "start", "start", timeout=10)
        assert linq.visible(chat)
    _, stop, _, again = linq.timeline(chat).requests
    assert again.received_at - stop.received_at > 4.9


def test_a_send_that_hangs_does_not_keep_the_refreshes_waiting_for_ever(
    linq: Sandbox, manager: TypingManager, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_indicator, "MAX_SEND_TIME", 0.3)
    chat = linq.chat()
    with manager.typing_while(chat, refresh_interval=0.2) as session, session.sending() as sending:
        assert asked.at_least(chat, 3)
        sending.failed()


def test_a_message_whose_answer_takes_very_long_still_has_to_settle(
    linq: Sandbox, manager: TypingManager, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chat was forgotten meanwhile."""
    monkeypatch.setattr(_indicator, "MAX_SEND_TIME", 0.1)
    chat, headers = linq.chat(), {"Authorization": f"Bearer {linq.api_key}"}
    linq.slow("send", after=1.0, times=1)
    with ThreadPoolExecutor() as pool, httpx.Client(base_url=linq.base_url, headers=headers) as client:
        body = {"message": {"parts": [{"type": "text", "value": "Hello!"}]}}
        sent = pool.submit(manager.watch(client).post, f"/v3/chats/{chat}/messages", json=body)
        assert asked.arrives(chat, "send")
        assert eventually(lambda: manager.stats().chats == 0)
        assert sent.result().is_success
    with manager.typing_while(chat):
        assert asked.soon(chat, "send", "start")
    message, start = linq.timeline(chat).requests
    assert start.received_at - message.answered_at > SETTLE - 0.05


def test_a_failed_stop_is_tried_again(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    chat, manager = linq.chat(), make_manager(backoff_max=0.05)
    linq.fail("stop", 500, times=2)
    with manager.typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
    assert asked.soon(chat, "start", "stop", "stop", "stop")
    assert not linq.visible(chat)


def test_a_slow_start_is_followed_by_its_stop_in_order(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    chat, manager = linq.chat(), make_manager()
    linq.slow("start", before=0.3, after=0.3, times=1)
    with manager.typing_while(chat, stop_delay=0):
        assert asked.arrives(chat, "start")
    assert asked.soon(chat, "start", "stop")
    assert linq.timeline(chat).max_typing_in_flight == 1
    assert not linq.visible(chat)


def test_a_bad_key_is_one_error_and_suspends_all_starts(
    linq: Sandbox, make_manager: MakeManager, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    manager = make_manager(api_key="wrong-key-123", on_event=events)
    chats = [linq.chat() for _ in range(20)]
    with manager.typing_while(chats[0]):
        assert eventually(lambda: "suspended" in events.kinds())
        blocks = [manager.typing_while(chat) for chat in chats[1:]]
        for block in blocks:
            block.__enter__()
        time.sleep(1.5)
        assert manager.stats().suspended
        for block in blocks:
            block.__exit__(None, None, None)
    assert len(linq.requests) <= 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "wrong-key" not in caplog.text + repr(events) + repr(manager)


def test_a_session_that_begins_while_starts_are_suspended_knows_why(linq: Sandbox, make_manager: MakeManager) -> None:
    manager = make_manager(api_key="wrong-key-123")
    with manager.typing_while(linq.chat()) as first:
        assert eventually(lambda: first.error is not None)
        with manager.typing_while(linq.chat()) as second:
            assert eventually(lambda: second.error is not None)
            assert str(second.error) == str(first.error)


def test_an_api_that_is_down_is_probed_by_one_chat_at_a_time_and_all_recover(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events
) -> None:
    manager, chats = make_manager(on_event=events, max_connections=4), [linq.chat() for _ in range(30)]
    linq.fail("start", 500)
    blocks = [manager.typing_while(chat) for chat in chats]
    for block in blocks:
        block.__enter__()
    assert eventually(lambda: "suspended" in events.kinds())
    time.sleep(0.5)
    assert len(linq.requests) <= 5 + 4
    linq.clear_faults()
    assert linq.wait_until(lambda: all(linq.visible(chat) for chat in chats), timeout=20)
    assert events.kinds().count("suspended") == 1
    assert "recovered" in events.kinds()
    for block in blocks:
        block.__exit__(None, None, None)


def test_a_chat_that_always_fails_does_not_silence_the_others(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events
) -> None:
    manager = make_manager(backoff_max=0.05, on_event=events)
    bad, good, late = linq.chat(), linq.chat(), linq.chat()
    linq.fail("start", 500, chat=bad)
    with manager.typing_while(good):
        assert asked.soon(good, "start")
        with manager.typing_while(bad, refresh_interval=0.2):
            assert asked.at_least(bad, 12)
            with manager.typing_while(late):
                assert asked.at_least(late, 1)
                assert linq.visible(late)
    assert "suspended" not in events.kinds()


def test_a_chat_that_joins_the_only_one_which_fails_does_not_wait_for_the_end_of_the_pause(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_circuit_breaker, "FIRST_PAUSE", 60.0)
    manager, bad, good = make_manager(backoff_max=0.05, on_event=events), linq.chat(), linq.chat()
    linq.fail("start", 500, chat=bad)
    with manager.typing_while(bad):
        assert eventually(lambda: "suspended" in events.kinds())
        with manager.typing_while(good):
            assert asked.at_least(good, 1)
            assert eventually(lambda: "recovered" in events.kinds(good))


def test_every_chat_has_its_turn_to_probe(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first start goes before the refresh that would find the API up again; but not each time."""
    monkeypatch.setattr(_circuit_breaker, "FIRST_PAUSE", 0.3)
    manager = make_manager(backoff_max=0.05, max_retries=1000, on_event=events)
    bad, good = linq.chat(), linq.chat()
    with manager.typing_while(good, refresh_interval=0.5):
        assert asked.soon(good, "start")
        linq.fail("start", 500)
        with manager.typing_while(bad):
            assert eventually(lambda: "suspended" in events.kinds())
            linq.clear_faults()
            linq.fail("start", 500, chat=bad)
            assert eventually(lambda: "recovered" in events.kinds(), timeout=10)


def test_stops_go_out_while_starts_are_suspended(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    manager, shown, others = make_manager(max_retries=0), linq.chat(), [linq.chat() for _ in range(5)]
    with manager.typing_while(shown, stop_delay=0):
        assert asked.soon(shown, "start")
        linq.fail("start", 500)
        with ExitStack() as blocks:
            for chat in others:
                blocks.enter_context(manager.typing_while(chat))
            assert eventually(lambda: manager.stats().suspended)
    assert asked.soon(shown, "start", "stop")


def test_the_key_is_in_no_error_even_if_the_api_repeats_it(linq: Sandbox, make_manager: MakeManager) -> None:
    manager = make_manager()
    linq.fail("start", 403, message=f"bad {linq.api_key}!", times=1)
    with manager.typing_while(linq.chat()) as session:
        assert eventually(lambda: session.error is not None)
        assert linq.api_key not in f"{session.error} {session.error!r}"
        assert "***" in str(session.error)


def test_a_stop_that_is_given_up_says_so(linq: Sandbox, make_manager: MakeManager, events: Events) -> None:
    """Of a stop, gave_up means that a ghost is likely."""
    chat, manager = linq.chat(), make_manager(on_event=[events], max_retries=1, backoff_max=0.05)
    linq.fail("stop", 500, times=2)
    with manager.typing_while(chat, stop_delay=0):
        assert linq.wait_until(lambda: linq.visible(chat))
    assert eventually(lambda: "gave_up" in events.kinds())
    assert [(event.kind, event.action, event.attempt) for event in events] == [
        ("started", "start", 1),
        ("failed", "stop", 1),
        ("failed", "stop", 2),
        ("gave_up", "stop", 2),
    ]
    linq.reopen(chat)


def test_a_stop_that_closing_gives_up_says_so(linq: Sandbox, make_manager: MakeManager, events: Events) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    linq.lose("stop", hang=True)
    with manager.typing_while(chat, stop_delay=60):
        assert linq.wait_until(lambda: linq.visible(chat))
    assert not manager.close()
    assert [(event.kind, event.action) for event in events][-1] == ("gave_up", "stop")
    linq.reopen(chat)


def test_a_start_that_is_given_up_for_now_says_so(linq: Sandbox, make_manager: MakeManager, events: Events) -> None:
    """It has another chance a quarter of the interval later; a refused one has an event of its own."""
    chat, refused = linq.chat(), linq.chat()
    manager = make_manager(on_event=events, max_retries=0)
    linq.fail("start", 503, chat=chat, times=1)
    linq.fail("start", 403, chat=refused, times=1)
    with manager.typing_while(chat), manager.typing_while(refused):
        assert eventually(lambda: "gave_up" in events.kinds(chat) and "refused" in events.kinds(refused))
    assert events.kinds(refused) == ["refused"]
