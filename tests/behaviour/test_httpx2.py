"""Messages that go out through clients of httpx2, the fork of httpx: classes of its own, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from linq_typing import TypingManager, unwatch_all, watch_all
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import Asked, Events, MakeManager

httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed (it needs Python 3.11)")

MESSAGE: Any = {"message": {"parts": [{"type": "text", "value": "Hello!"}]}}


def settings(linq: Sandbox) -> dict[str, Any]:
    """Of a client."""
    headers = {"Authorization": f"Bearer {linq.api_key}", "X-Line": "7"}
    return {"base_url": linq.base_url, "headers": headers, "timeout": PATIENCE, "trust_env": False}


@pytest.fixture
def client(linq: Sandbox) -> Iterator[Any]:
    with httpx2.Client(**settings(linq)) as client:
        yield client


@pytest.fixture
def manager(make_manager: MakeManager, client: Any, events: Events) -> TypingManager:
    """One that was given the client, which lends its key and base."""
    return make_manager(client=client, api_key=None, base_url=None, on_event=events)


Send = Callable[[Any, Any, str], int]  # through the client, or through an async one like it


def post(client: Any, async_client: Any, path: str) -> int:
    return int(client.post(path, json=MESSAGE).status_code)


def stream(client: Any, async_client: Any, path: str) -> int:
    with client.stream("POST", path, json=MESSAGE) as answer:
        answer.read()
    return int(answer.status_code)


def stream_unread(client: Any, async_client: Any, path: str) -> int:
    with client.stream("POST", path, json=MESSAGE) as answer:
        return int(answer.status_code)


def post_async(client: Any, async_client: Any, path: str) -> int:
    async def main() -> int:
        async with async_client:
            return int((await async_client.post(path, json=MESSAGE)).status_code)

    return asyncio.run(main())


def stream_async(client: Any, async_client: Any, path: str) -> int:
    async def main() -> int:
        async with async_client, async_client.stream("POST", path, json=MESSAGE) as answer:
            await answer.aread()
        return int(answer.status_code)

    return asyncio.run(main())


@pytest.fixture
def async_client(linq: Sandbox, manager: TypingManager) -> Any:
    return manager.watch(httpx2.AsyncClient(**settings(linq)))


SENDS = [post, stream, stream_unread, post_async, stream_async]


@pytest.mark.parametrize("send", SENDS)
def test_a_message_makes_the_stop_needless(
    linq: Sandbox, manager: TypingManager, client: Any, async_client: Any, asked: Asked, send: Send
) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        assert send(client, async_client, f"/v3/chats/{chat}/messages") == 202
    manager.close()
    assert asked(chat) == ["start", "send"]


@pytest.mark.parametrize("send", SENDS)
def test_a_message_whose_answer_names_the_chat_counts(
    linq: Sandbox, manager: TypingManager, client: Any, async_client: Any, asked: Asked, events: Events, send: Send
) -> None:
    """Also when the caller streams the answer, or closes it unread."""
    chat = linq.chat()
    linq.fail("send", 201, body=json.dumps({"chat": {"id": chat}}).encode())
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        assert send(client, async_client, "/v3/chats") == 201
    manager.close()
    assert asked(chat) == ["start"]
    assert events.kinds() == ["started", "message_sent"]
    linq.send_as_colleague(chat)  # the message, as far as the screen is concerned


def test_a_refused_message_changes_nothing(linq: Sandbox, manager: TypingManager, client: Any, asked: Asked) -> None:
    chat = linq.chat()
    linq.fail("send", 403)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        assert client.post(f"/v3/chats/{chat}/messages", json=MESSAGE).status_code == 403
    manager.close()
    assert asked(chat) == ["start", "send", "stop"]


def test_its_default_headers_are_lent(linq: Sandbox, manager: TypingManager, asked: Asked) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
    credentials = manager._engines.settings.credentials
    assert (credentials.api_key, credentials.headers) == (linq.api_key, {"x-line": "7"})


def test_watch_all_covers_it_and_unwatch_all_puts_it_back(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    """It was imported before."""
    chat, manager = linq.chat(), make_manager()
    before = httpx2.Client.send, httpx2.AsyncClient.send
    given = settings(linq)
    watch_all()
    try:
        with manager.typing_while(chat):
            assert asked.soon(chat, "start")
            url = f"{given['base_url']}/v3/chats/{chat}/messages"
            del given["base_url"]
            httpx2.post(url, json=MESSAGE, **given).raise_for_status()
        manager.close()
    finally:
        unwatch_all()
    assert asked(chat) == ["start", "send"]
    assert (httpx2.Client.send, httpx2.AsyncClient.send) == before
