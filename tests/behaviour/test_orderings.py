"""Regressions: orderings that once went wrong, each named after what went wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import httpx
import pytest
from behaviour_kit import Asked, Events, MakeManager, eventually

import linq_typing
from linq_typing import TypingManager, typing_while
from linq_typing._default import default_manager
from linq_typing.sandbox import Sandbox

MESSAGE = {"message": {"parts": [{"type": "text", "value": "Hello!"}]}}


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def test_waiting_starts_do_not_spin_while_stops_hang_and_starts_are_suspended(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events
) -> None:
    manager = make_manager(max_connections=2, max_retries=0, on_event=events, timeout=2.0)
    shown, others = [linq.chat() for _ in range(2)], [linq.chat() for _ in range(6)]
    blocks = [manager.typing_while(chat, stop_delay=0) for chat in shown]
    for block in blocks:
        block.__enter__()
    assert eventually(lambda: events.kinds().count("started") == 2)
    linq.fail("start", 500)
    waiting = [manager.typing_while(chat, refresh_interval=0.4) for chat in others]
    for block in waiting:
        block.__enter__()
    assert eventually(lambda: "suspended" in events.kinds())
    linq.lose("stop", hang=True, effect=True, times=2)
    for block in blocks:
        block.__exit__(None, None, None)
    time.sleep(1.2)  # the pause of the suspension is over, both slots are in use
    before = cpu_seconds()
    time.sleep(0.4)
    assert cpu_seconds() - before < 0.2
    for block in waiting:
        block.__exit__(None, None, None)


def test_a_session_that_is_over_before_the_loop_hears_of_it_costs_nothing(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    held, go = threading.Event(), threading.Event()

    def hook(event: object) -> None:
        held.set()
        go.wait(10)

    manager, first, second = make_manager(on_event=hook), linq.chat(), linq.chat()
    with manager.typing_while(first):
        assert held.wait(10)  # the library's thread is busy
        with manager.typing_while(second):
            pass
        go.set()
    manager.close()
    assert asked(second) == []


def test_a_signal_that_strikes_a_caller_while_it_posts_leaves_the_loop_awake(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    class StruckError(Exception):
        pass

    def strike(*_: object) -> None:
        raise StruckError

    chat, old = linq.chat(), signal.signal(signal.SIGALRM, strike)
    try:
        for number in range(200):
            with contextlib.suppress(StruckError):
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 1e-6)
                while True:  # until the signal strikes
                    manager.mark_sent(chat)
    finally:
        signal.signal(signal.SIGALRM, old)
    with manager.typing_while(chat):
        assert asked.at_least(chat, 1)


def test_a_flush_that_waits_is_told_when_the_manager_closes(linq: Sandbox, make_manager: MakeManager) -> None:
    chat, manager = linq.chat(), make_manager(backoff_max=0.2, max_retries=1000)
    linq.fail("stop", 500)
    with manager.typing_while(chat, stop_delay=0):
        assert linq.wait_until(lambda: linq.visible(chat))
    flushed: list[bool] = []
    thread = threading.Thread(target=lambda: flushed.append(manager.flush(30)))
    thread.start()
    manager.close()
    thread.join(3)
    assert flushed == [False]
    linq.reopen(chat)


def test_a_transport_that_can_not_be_closed_holds_nobody_up(linq: Sandbox) -> None:
    class Sticky(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(204)

        async def aclose(self) -> None:
            raise RuntimeError("will not close")

    manager = TypingManager(api_key="key", base_url="http://linq.test", transport=Sticky())
    with manager.typing_while(linq.chat()):
        pass
    began = time.monotonic()
    manager.close()
    assert time.monotonic() - began < 4


def test_a_watched_client_stays_watched_after_close(linq: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in linq.env().items():
        monkeypatch.setenv(name, value)
    linq_typing.configure()
    chat = linq.chat()
    with httpx.Client(base_url=linq.base_url, headers={"Authorization": f"Bearer {linq.api_key}"}) as client:
        linq_typing.watch(client)
        linq_typing.close()
        with typing_while(chat):
            assert linq.wait_until(lambda: default_manager().stats().requests == {"accepted": 1})
            client.post(f"/v3/chats/{chat}/messages", json=MESSAGE)
        linq_typing.close()
    assert [request.endpoint for request in linq.timeline(chat).requests] == ["start", "send"]


def test_closing_inside_the_block_does_not_let_it_be_entered_again(linq: Sandbox, manager: TypingManager) -> None:
    typing = manager.typing_while(linq.chat())
    with typing:
        manager.close()
        with pytest.raises(RuntimeError, match="create a new one"):
            typing.__enter__()


def test_what_comes_while_a_manager_closes_waits_until_it_has_closed(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    """Else the old session's stop could wipe the new session's start."""
    manager, chat = make_manager(), linq.chat()
    linq.slow("stop", before=0.3)
    with manager.typing_while(chat) as old:
        assert asked.soon(chat, "start")
        closing = manager._begin_close()
        with manager.typing_while(chat) as new:
            assert closing.result is None
            assert asked.soon(chat, "start", "stop", "start")
            assert closing.wait(5)
            assert (old.is_open, new.is_open) == (False, True)
            assert linq.visible(chat)
    assert manager.close()
    assert asked(chat) == ["start", "stop", "start", "stop"]


def test_closing_does_not_forget_that_a_message_settles(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    """Else the next session's start would go out at once, and be wiped by the message."""
    manager, chat = make_manager(settle=1.0), linq.chat()
    with manager.typing_while(chat) as session:
        assert asked.soon(chat, "start")
        session.mark_sent()
    marked_at = time.monotonic()
    assert manager.close()
    with manager.typing_while(chat):
        assert linq.wait_until(lambda: asked(chat).count("start") == 2)
        assert time.monotonic() - marked_at > 0.9
    linq.reopen(chat)


def test_closing_does_not_forget_a_refusal(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    manager, chat = make_manager(), linq.chat()
    linq.fail("start", 403, times=1)
    with manager.typing_while(chat) as session:
        assert linq.wait_until(lambda: session.error is not None)
    assert manager.close()
    with manager.typing_while(chat) as session:
        assert linq.wait_until(lambda: session.error is not None)
    assert manager.close()
    assert asked(chat) == ["start"]


def test_a_session_and_its_message_while_a_manager_closes_leave_nothing_open(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    """Join, message and leave are all heard afterwards, in their order; the next session is as usual."""
    manager, chat = make_manager(settle=0.1), linq.chat()
    linq.slow("stop", before=0.3)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        closing = manager._begin_close()
        with manager.typing_while(chat, stop_delay=0) as session, session.sending():
            pass
        session.mark_sent()
        assert closing.result is None
        assert closing.wait(5)
    assert linq.wait_until(lambda: manager.stats().sessions == 0)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start", "stop", "start")
    assert manager.close()


def test_a_session_that_comes_and_goes_while_a_manager_closes_sends_nothing(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    manager, chat = make_manager(), linq.chat()
    linq.slow("stop", before=0.3)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        first = manager._begin_close()
        with manager.typing_while(chat, stop_delay=0):
            pass
        assert first.result is None
        assert manager.close()  # ends what came after the first close, too
        assert first.result is not None
    assert asked(chat) == ["start", "stop"]
    assert manager.stats().sessions == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 3.12 and later: fork with threads
def test_a_transport_of_the_users_is_not_shared_with_a_forked_child(linq: Sandbox, make_manager: MakeManager) -> None:
    asked_in: list[int] = []

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked_in.append(os.getpid())
            return httpx.Response(204)

    chat, manager = linq.chat(), make_manager(transport=Transport())
    with manager.typing_while(chat):
        assert eventually(lambda: asked_in)
    pid = os.fork()
    if pid == 0:
        with manager.typing_while(chat):
            time.sleep(0.2)
        os._exit(len([where for where in asked_in if where == os.getpid()]))
    assert os.waitpid(pid, 0)[1] == 0
