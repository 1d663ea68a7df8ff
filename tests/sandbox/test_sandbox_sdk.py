"""The official SDK, sync and async, against the sandbox: every answer must match the SDK's types."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import linq
import pytest
from pydantic import BaseModel

from linq_typing.sandbox import Sandbox

from .kit import text

MESSAGE: Any = text("hello")["message"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[linq.LinqAPIV3]:
    """The SDK as its users make it: from the environment."""
    for name, value in sandbox.env().items():
        monkeypatch.setenv(name, value)
    with linq.LinqAPIV3(max_retries=0) as made:
        yield made


def strictly(answer: BaseModel) -> Any:
    """The SDK builds its models without validation: validate all the way down."""
    type(answer).model_validate(answer.model_dump(by_alias=True, warnings=False))
    return answer


def test_start_and_stop(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat()
    client.chats.typing.start(chat)
    assert sandbox.visible(chat)
    client.chats.typing.stop(chat)
    assert not sandbox.visible(chat)


def test_send_message(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat()
    answer = strictly(client.chats.messages.send(chat, message=MESSAGE))
    assert answer.chat_id == chat
    assert answer.message.parts[0].value == "hello"
    [message] = sandbox.messages(chat)
    assert (message.id, message.text, message.kind) == (answer.message.id, "hello", "message")


def test_send_media_and_link_parts(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    media: Any = {"parts": [{"type": "media", "url": "https://example.com/cat.png"}]}
    link: Any = {"parts": [{"type": "link", "value": "https://example.com"}]}
    chat = sandbox.chat()
    assert strictly(client.chats.messages.send(chat, message=media)).message.parts[0].filename == "cat.png"
    assert strictly(client.chats.messages.send(chat, message=link)).message.parts[0].type == "link"


def test_voice_memo(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat()
    memo = strictly(client.chats.send_voicememo(chat, voice_memo_url="https://example.com/a.m4a")).voice_memo
    assert memo.chat.id == chat
    assert sandbox.messages(chat)[0].kind == "voicememo"


def test_poll(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat()
    answer = strictly(client.chats.polls.create(chat, poll={"options": [{"text": "a"}, {"text": "b"}]}))
    assert [option.text for option in answer.poll.options] == ["a", "b"]
    assert answer.message_id == sandbox.messages(chat)[0].id


def test_create_chat_and_get_it(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    created = strictly(client.chats.create(from_="+12025550000", to=["+12025550001"], message=MESSAGE)).chat
    assert sandbox.messages(created.id)[0].text == "hello"
    got = strictly(client.chats.retrieve(created.id))
    assert (got.id, got.is_group, got.service) == (created.id, False, "iMessage")
    assert [handle.is_me for handle in got.handles] == [True, False]


def test_create_message_finds_the_chat(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat(to="+12025550042")
    answer = strictly(client.messages.create(to=["+12025550042"], message=MESSAGE))
    assert (answer.chat_id, answer.created_new_chat) == (chat, False)
    assert answer.from_selection.reason == "reused_active_chat"


def test_update_app_card_and_react(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat()
    sent = client.chats.messages.send(chat, message=MESSAGE).message
    answer = strictly(client.messages.update_app_card(sent.id, layout={"caption": "2 - 1"}))
    assert answer.chat_id == chat
    assert answer.message.id != sent.id
    assert client.messages.add_reaction(sent.id, operation="add", type="love").status == "accepted"
    client.chats.mark_as_read(chat)
    assert [m.kind for m in sandbox.messages(chat)] == ["message", "update"]


def test_errors_become_the_sdks_exceptions(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    chat = sandbox.chat()
    with pytest.raises(linq.AuthenticationError) as refused:
        client.with_options(api_key="wrong").chats.typing.start(chat)
    assert refused.value.code == 2004
    with pytest.raises(linq.PermissionDeniedError):
        client.chats.typing.start(sandbox.group(typing_allowed=False))
    with pytest.raises(linq.BadRequestError):
        client.chats.typing.start("nonsense")
    sandbox.lose("send")
    with pytest.raises(linq.APIConnectionError):
        client.chats.messages.send(chat, message=MESSAGE)


def test_sdk_retries_a_lost_answer_and_the_message_went_out_twice(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    """What a real lost answer does to a bot without an idempotency key."""
    chat = sandbox.chat()
    sandbox.lose("send", times=1)
    client.with_options(max_retries=1).chats.messages.send(chat, message=MESSAGE)
    assert len(sandbox.messages(chat)) == 2
    assert [r.outcome for r in sandbox.timeline(chat).sends] == ["dropped", "answered"]


def test_everything_async(sandbox: Sandbox, client: linq.LinqAPIV3) -> None:
    async def main() -> None:
        async with linq.AsyncLinqAPIV3(max_retries=0) as bot:
            chat = sandbox.chat()
            await bot.chats.typing.start(chat)
            assert sandbox.visible(chat)
            strictly(await bot.chats.messages.send(chat, message=MESSAGE))
            await bot.chats.typing.stop(chat)
            assert not sandbox.visible(chat)
            strictly(await bot.messages.create(to=["+12025550001"], message=MESSAGE))
            with pytest.raises(linq.NotFoundError):
                await bot.chats.typing.start("00000000-0000-4000-8000-000000000000")

    asyncio.run(main())
