"""Messages that the library notices, and what they do to the indicator. With the real official SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import linq as sdk
import pytest

from linq_typing.sandbox import Sandbox

from .kit import Asked, Events, MakeManager

TEXT: Any = {"parts": [{"type": "text", "value": "Hello!"}]}


@pytest.fixture
def client(linq: Sandbox) -> Iterator[sdk.LinqAPIV3]:
    with sdk.LinqAPIV3(api_key=linq.api_key, base_url=linq.base_url) as client:
        yield client


def say(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.chats.messages.send(chat, message=TEXT)


def voice_memo(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.chats.send_voicememo(chat, voice_memo_url="https://example.com/memo.m4a")


def poll(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.post(
        f"/v3/chats/{chat}/polls",
        body={"poll": {"title": "?", "options": [{"text": "yes"}, {"text": "no"}]}},
        cast_to=httpx.Response,
    )


def with_options(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.with_options(timeout=30, max_retries=0).chats.messages.send(chat, message=TEXT)


def raw_response(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.chats.messages.with_raw_response.send(chat, message=TEXT)


def streamed_response(client: sdk.LinqAPIV3, chat: str) -> object:
    with client.chats.messages.with_streaming_response.send(chat, message=TEXT) as response:
        return response.read()


def by_recipients(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.post("/v3/messages", body={"to": ["+15550001"], "message": TEXT}, cast_to=httpx.Response)


def new_chat(client: sdk.LinqAPIV3, chat: str) -> object:
    return client.chats.create(from_="+15559999", to=["+15550001"], message=TEXT)


def new_chat_streamed(client: sdk.LinqAPIV3, chat: str) -> object:
    with client.chats.with_streaming_response.create(from_="+15559999", to=["+15550001"], message=TEXT) as response:
        return b"".join(response.iter_bytes())


def new_chat_streamed_and_never_read(client: sdk.LinqAPIV3, chat: str) -> object:
    with client.chats.with_streaming_response.create(from_="+15559999", to=["+15550001"], message=TEXT) as response:
        return response.status_code


SENDS = [say, voice_memo, poll, with_options, raw_response, streamed_response, by_recipients]  # fmt: skip


@pytest.mark.parametrize("send", SENDS)
def test_a_message_sent_in_the_block_makes_the_stop_needless(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked, events: Events,
    send: Callable[[sdk.LinqAPIV3, str], object],
) -> None:  # fmt: skip
    chat = linq.chat("+15550001")
    manager = make_manager(client=client, api_key=None, base_url=None, on_event=events)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        send(client, chat)
    manager.close()
    assert asked(chat) == ["start", "send"]
    assert events.kinds() == ["started", "message_sent"]


@pytest.mark.parametrize("send", [new_chat, new_chat_streamed, new_chat_streamed_and_never_read])
def test_a_new_chats_first_message_counts_for_the_chat_that_the_answer_names(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked, events: Events,
    send: Callable[[sdk.LinqAPIV3, str], object],
) -> None:  # fmt: skip
    chat, manager = linq.chat(), make_manager(client=client, on_event=events)
    linq.fail("send", 201, body=json.dumps({"chat": {"id": chat}}).encode())
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        send(client, chat)
    manager.close()
    assert asked(chat) == ["start"]
    assert events.kinds() == ["started", "message_sent"]
    linq.send_as_colleague(chat)  # the message, as far as the screen is concerned


def test_the_async_sdk_is_watched_too(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    chat = linq.chat()

    async def bot() -> None:
        async with sdk.AsyncLinqAPIV3(api_key=linq.api_key, base_url=linq.base_url) as client:
            manager = make_manager(client=client)
            async with manager.typing_while(chat):
                assert asked.soon(chat, "start")
                await client.chats.messages.send(chat, message=TEXT)
            async with client.chats.with_streaming_response.create(
                from_="+15559999", to=["+15550002"], message=TEXT
            ) as response:
                assert (await response.json())["chat"]["id"]
            await manager.aclose()

    asyncio.run(bot())
    assert asked(chat) == ["start", "send"]


@pytest.mark.parametrize("how", ["refused", "retried", "lost", "timed out"])
def test_a_send_that_failed_is_no_message(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, client: sdk.LinqAPIV3, how: str
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    if how == "refused":
        linq.fail("send", 403, times=1)
    elif how == "retried":
        linq.fail("send", 500, times=3)
    else:
        linq.lose("send", effect=False, hang=how == "timed out", times=3)
    patience = 0.3 if how == "timed out" else 30.0
    with manager.typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
        with pytest.raises(sdk.APIError):
            client.with_options(timeout=patience).chats.messages.send(chat, message=TEXT)
    assert asked.at_least(chat, 1, "stop")


def test_tasks_and_threads_started_in_a_block_send_for_its_session(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    mine, other = linq.chat(), linq.chat()

    async def bot() -> None:
        async with sdk.AsyncLinqAPIV3(api_key=linq.api_key, base_url=linq.base_url) as client:
            manager = make_manager(client=client)
            async with manager.typing_while(mine), manager.typing_while(other):
                assert asked.soon(mine, "start")
                assert asked.soon(other, "start")
                await asyncio.create_task(client.chats.messages.send(mine, message=TEXT))
                with sdk.LinqAPIV3(api_key=linq.api_key, base_url=linq.base_url) as plain:
                    await asyncio.to_thread(say, manager.watch(plain), other)
            await manager.aclose()

    asyncio.run(bot())
    assert asked(mine) == asked(other) == ["start", "send"]
