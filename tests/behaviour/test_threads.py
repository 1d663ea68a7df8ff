"""What needs real threads: blocked event loops, hooks on the library's thread, signals that strike a caller."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading

import httpx
import pytest

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import Asked, MakeManager, eventually


def test_refreshes_go_on_while_the_callers_event_loop_is_blocked(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    chat = linq.chat()

    async def bot() -> None:
        async with manager.typing_while(chat, refresh_interval=0.1):
            assert asked.at_least(chat, 3)  # polls without ever giving the loop a turn

    asyncio.run(bot())


def test_the_overlapping_sessions_of_many_threads_share_one_start_and_one_stop(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(stop_delay=60.0)
    together = threading.Barrier(8)

    def handler() -> None:
        with manager.typing_while(chat):
            together.wait()

    threads = [threading.Thread(target=handler) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked.arrives(chat, "start")
    assert manager.close()
    assert asked(chat) == ["start", "stop"]


def test_a_session_that_is_over_before_the_busy_loop_hears_of_it_costs_nothing(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    held, go = threading.Event(), threading.Event()

    def hook(event: object) -> None:
        held.set()
        go.wait(PATIENCE)

    manager, first, second = make_manager(on_event=hook), linq.chat(), linq.chat()
    with manager.typing_while(first):
        assert held.wait(PATIENCE)  # the library's thread is busy
        with manager.typing_while(second):
            pass
        go.set()
    manager.close()
    assert asked(second) == []


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


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_not_even_a_hook_that_wants_to_exit_stops_the_thread(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, error: type[BaseException]
) -> None:
    def hook(event: object) -> None:
        raise error

    chat = linq.chat()
    with make_manager(on_event=hook).typing_while(chat, refresh_interval=0.1):
        assert asked.at_least(chat, 3)


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
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


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_a_chat_is_not_mute_after_signal_handlers_have_raised_in_its_sends(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    class StruckError(Exception):
        pass

    def strike(*_: object) -> None:
        raise StruckError

    chat = linq.chat()
    client = manager.watch(httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(202))))
    client.post(f"https://linq.test/v3/chats/{chat}/messages")  # which makes what the manager needs
    old = signal.signal(signal.SIGALRM, strike)
    try:
        for number in range(200):
            with contextlib.suppress(StruckError):
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 2e-6)
                for _ in range(50):
                    client.post(f"https://linq.test/v3/chats/{chat}/messages")
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, old)
    with manager.typing_while(chat):
        assert asked.at_least(chat, 1)
