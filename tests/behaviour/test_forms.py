"""Every way to use ``typing_while``, against a real server."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio

from linq_typing import ConfigurationError, TypingManager, _default, current_session, typing_while
from linq_typing._typing_while import TypingWhile
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import Asked


def test_a_with_block_shows_the_indicator_and_takes_it_down(linq: Sandbox, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        assert session.chat_id == chat
        assert linq.wait_until(lambda: linq.visible(chat))
    assert manager.flush(PATIENCE)
    assert not linq.visible(chat)


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_an_async_with_block_works_on_any_loop(
    linq: Sandbox, manager: TypingManager, asked: Asked, run: Callable[..., None]
) -> None:
    chat = linq.chat()

    async def bot() -> None:
        async with manager.typing_while(uuid.UUID(chat)):
            assert asked.soon(chat, "start")  # which blocks the loop meanwhile
        assert await manager.aflush(PATIENCE)

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
    manager.flush(PATIENCE)
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
    linq_typing.configure(timeout=PATIENCE)
    with typing_while(chat) as session:
        assert current_session() is session
        assert asked.soon(chat, "start")
    assert linq_typing.flush(PATIENCE)
    assert asked(chat) == ["start", "stop"]
    linq_typing.close()


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LINQ_API_V3_API_KEY", "LINQ_API_KEY", "LINQ_API_TOKEN", "LINQ_API_V3_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LINQ_API_KEY", "k\u00e4se", "HTTP header"),
        ("LINQ_API_V3_BASE_URL", "api.example.com", "LINQ_API_V3_BASE_URL"),
        ("HTTP_PROXY", "gopher://proxy", "proxy"),
        ("SSL_CERT_FILE", __file__, "certificates"),
    ],
)
@pytest.mark.usefixtures("no_key")
def test_a_bad_environment_costs_no_reply_but_is_told_where_settings_are_given(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str, message: str
) -> None:
    """The process-wide manager is made by a reply; a TypingManager by its author."""
    monkeypatch.setenv("LINQ_API_KEY", "key-0123456789")
    monkeypatch.setenv(
        "LINQ_API_V3_BASE_URL", "https://127.0.0.1:9" if name == "SSL_CERT_FILE" else "http://127.0.0.1:9"
    )
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(_default, "_manager", None)
    for _ in range(2):
        with typing_while(str(uuid.uuid4())) as session:
            pass
        assert isinstance(session.error, ConfigurationError)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert message in record.getMessage()
    with pytest.raises(ConfigurationError, match=message):
        TypingManager()


def test_a_copy_of_an_active_one_is_another_one(manager: TypingManager, linq: Sandbox) -> None:
    """Its end is not the original's."""
    with (typing := manager.typing_while(linq.chat())) as session:
        with copy.copy(typing) as other:
            assert other is not session
        gc.collect()
        assert session.is_open


def test_a_class_of_your_own_works_too(manager: TypingManager, linq: Sandbox, asked: Asked) -> None:
    class Mine(TypingWhile):
        pass

    chat = linq.chat()
    made = manager.typing_while(chat)
    with Mine(made._source, made._chat_id, made._chat_id_from, made._given):
        assert asked.soon(chat, "start")
    assert asked.soon(chat, "start", "stop")


def test_a_password_in_the_base_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the repr nor in an error."""
    manager = TypingManager(api_key="key-0123456789", base_url="http://user:secret@127.0.0.1:9/api")
    assert repr(manager) == "<TypingManager base_url='http://***@127.0.0.1:9/api'>"
    with pytest.raises(ValueError, match="base_url") as caught:
        TypingManager(base_url="ftp://user:secret@host")
    assert "secret" not in str(caught.value)


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


def test_an_object_may_be_used_again_but_not_twice_at_once(linq: Sandbox, manager: TypingManager) -> None:
    typing = manager.typing_while(linq.chat())
    with typing as first:
        with pytest.raises(RuntimeError, match="create a new one"):
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
    assert linq.wait_until(lambda: manager.stats().sessions == 0)
