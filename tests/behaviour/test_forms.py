"""Every way to use ``typing_while``, against a real server."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import trio
from behaviour_kit import Asked

from linq_typing import ConfigurationError, TypingManager, current_session, typing_while
from linq_typing._default import default_manager
from linq_typing._typing_while import TypingWhile
from linq_typing.sandbox import Sandbox


def test_a_with_block_shows_the_indicator_and_takes_it_down(linq: Sandbox, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        assert session.chat_id == chat
        assert linq.wait_until(lambda: linq.visible(chat))
    assert manager.flush()
    assert not linq.visible(chat)


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_an_async_with_block_works_on_any_loop(
    linq: Sandbox, manager: TypingManager, asked: Asked, run: Callable[..., None]
) -> None:
    chat = linq.chat()

    async def bot() -> None:
        async with manager.typing_while(uuid.UUID(chat)):
            assert asked.soon(chat, "start")  # which blocks the loop meanwhile
        assert await manager.aflush()

    run(bot() if run is asyncio.run else bot)
    assert asked(chat) == ["start", "stop"]


def test_decorated_functions_of_every_kind_show_it_while_they_run(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    @manager.typing_while
    def function(chat_id: str) -> str:
        assert linq.wait_until(lambda: linq.visible(chat_id))
        return "reply"

    @manager.typing_while()
    async def coroutine(text: str, *, chat_id: str) -> str:
        assert linq.wait_until(lambda: linq.visible(chat_id))
        return text

    @manager.typing_while
    def generator(chat_id: str) -> Iterator[int]:
        for number in range(3):
            assert linq.wait_until(lambda: linq.visible(chat_id))
            yield number

    @manager.typing_while
    async def async_generator(chat_id: str) -> AsyncIterator[int]:
        for number in range(3):
            assert linq.wait_until(lambda: linq.visible(chat_id))
            yield number

    async def collect(chat_id: str) -> list[int]:
        return [number async for number in async_generator(chat_id)]

    chats = [linq.chat() for _ in range(5)]
    assert function(chats[0]) == "reply"
    assert asyncio.run(coroutine("hi", chat_id=chats[1])) == "hi"
    assert list(generator(chats[2])) == [0, 1, 2]
    assert asyncio.run(collect(chats[3])) == [0, 1, 2]
    assert manager.typing_while(functools.partial(function.__wrapped__, chats[4]))() == "reply"  # type: ignore[attr-defined]
    manager.flush()
    assert [asked(chat) for chat in chats] == [["start", "stop"]] * 5


def test_a_generator_that_is_closed_early_takes_the_indicator_down(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    chat = linq.chat()

    @manager.typing_while(chat, stop_delay=60)
    def endless() -> Iterator[int]:
        while True:
            yield 1

    generator = endless()
    next(generator)
    assert asked.soon(chat, "start")
    generator.close()
    assert asked.soon(chat, "start", "stop")


def test_the_module_functions_use_the_environment(linq: Sandbox, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    import linq_typing

    chat = linq.chat()
    for name, value in linq.env().items():
        monkeypatch.setenv(name, value)
    linq_typing.close()
    with typing_while(chat) as session:
        assert current_session() is session
        assert asked.soon(chat, "start")
    assert linq_typing.flush()
    assert asked(chat) == ["start", "stop"]
    linq_typing.close()


def test_no_key_is_an_error_at_entry_that_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LINQ_API_V3_API_KEY", "LINQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LINQ_API_TOKEN", "secret-token")
    manager = TypingManager(base_url="http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"LINQ_API_V3_API_KEY.*LINQ_API_KEY.*LINQ_API_TOKEN") as caught:
        manager.typing_while(str(uuid.uuid4())).__enter__()
    assert "secret-token" not in str(caught.value)
    monkeypatch.setenv("LINQ_API_KEY", "key")  # a .env file that is loaded late
    with manager.typing_while(str(uuid.uuid4())):
        pass
    manager.close()


def test_disabled_sessions_work_and_send_nothing(linq: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINQ_TYPING_ENABLED", "0")
    manager = TypingManager(base_url=linq.base_url)
    with manager.typing_while(linq.chat()) as session:
        session.pause()
        session.resume()
        session.mark_sent()
        with session.sending() as send:
            send.failed()
        with session.paused():
            assert current_session() is session
    assert manager.flush()
    manager.close()
    assert linq.requests == ()


def test_a_closed_manager_refuses_new_sessions(manager: TypingManager, linq: Sandbox) -> None:
    manager.close()
    with pytest.raises(RuntimeError, match="closed"):
        manager.typing_while(linq.chat()).__enter__()


def test_nothing_of_the_body_is_replaced_or_hidden(linq: Sandbox, manager: TypingManager) -> None:
    linq.stop()  # and the API is gone altogether
    with pytest.raises(ZeroDivisionError), manager.typing_while(linq.chat()):
        _ = 1 / 0

    async def cancelled() -> None:
        async with manager.typing_while(linq.chat()):
            await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_entering_and_leaving_do_not_wait_for_the_network(linq: Sandbox, manager: TypingManager) -> None:
    linq.slow("typing", before=1.0)
    chat = linq.chat()
    begun = time.monotonic()
    with manager.typing_while(chat):
        pass
    assert time.monotonic() - begun < 0.5


def test_an_object_may_be_used_again_but_not_twice_at_once(linq: Sandbox, manager: TypingManager) -> None:
    typing = manager.typing_while(linq.chat())
    with typing as first:
        with pytest.raises(RuntimeError, match="make another"):
            typing.__enter__()
        assert first.is_open
    with typing as second:
        assert second is not first


def test_a_session_may_end_in_another_thread(linq: Sandbox, manager: TypingManager, asked: Asked) -> None:
    chat = linq.chat()
    typing = manager.typing_while(chat)
    typing.__enter__()
    assert asked.soon(chat, "start")
    thread = threading.Thread(target=typing.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert current_session() is None
    assert asked.soon(chat, "start", "stop")


def test_configure_replaces_the_manager_and_open_sessions_finish_on_the_old(linq: Sandbox, asked: Asked) -> None:
    import linq_typing

    old_chat, new_chat = linq.chat(), linq.chat()
    linq_typing.configure(api_key=linq.api_key, base_url=linq.base_url, stop_delay=0.1)
    with typing_while(old_chat):
        assert asked.soon(old_chat, "start")
        linq_typing.configure(api_key=linq.api_key, base_url=linq.base_url + "/v3/", stop_delay=0.1)
        with typing_while(new_chat):
            assert asked.soon(new_chat, "start")
    assert asked.soon(old_chat, "start", "stop")
    assert asked.soon(new_chat, "start", "stop")
    linq_typing.close()


def test_of_several_threads_that_enter_one_object_at_once_only_one_does(linq: Sandbox, manager: TypingManager) -> None:
    for _ in range(20):
        typing, together, refused = manager.typing_while(linq.chat()), threading.Barrier(4), list[BaseException]()

        def enter(
            typing: TypingWhile = typing, together: threading.Barrier = together, refused: list[BaseException] = refused
        ) -> None:
            together.wait()
            try:
                typing.__enter__()
            except RuntimeError as error:
                refused.append(error)

        threads = [threading.Thread(target=enter) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 3
        typing.__exit__(None, None, None)
    assert manager.stats().sessions == 0 or linq.wait_until(lambda: manager.stats().sessions == 0)


def test_open_sessions_notice_messages_on_the_old_manager_after_configure(linq: Sandbox, asked: Asked) -> None:
    import linq_typing

    settings: dict[str, Any] = {"api_key": linq.api_key, "base_url": linq.base_url, "settle": 0.3}
    seen, marked = linq.chat(), linq.chat()
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    linq_typing.configure(**settings)
    with httpx.Client(base_url=linq.base_url, headers=headers) as client:
        linq_typing.watch(client)
        with typing_while(seen), typing_while(marked):
            assert asked.soon(seen, "start")
            assert asked.soon(marked, "start")
            # A message that goes out before the start's answer was read would need a stop.
            assert linq.wait_until(lambda: default_manager().stats().requests == {"accepted": 2})
            linq_typing.configure(**settings)
            gc.collect()
            client.post(f"/v3/chats/{seen}/messages", json={"message": {"parts": [{"type": "text", "value": "Hi"}]}})
            linq_typing.mark_sent(marked)
            linq.reopen(marked)
    linq_typing.close()
    time.sleep(1.0)
    assert asked(seen) == ["start", "send"]
    assert asked(marked) == ["start"]
