"""Messages that the library notices, and what they do to the indicator. With the real official SDK."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import linq as sdk
import pytest

from linq_typing import TypingManager, current_session, unwatch_all, watch_all
from linq_typing.sandbox import Sandbox

from .kit import SETTLE, Asked, Events, MakeManager, eventually

TEXT: Any = {"parts": [{"type": "text", "value": "Hello!"}]}


@pytest.fixture
def client(linq: Sandbox) -> Iterator[sdk.LinqAPIV3]:
    with sdk.LinqAPIV3(api_key=linq.api_key, base_url=linq.base_url) as client:
        yield client


@pytest.fixture
def http(linq: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    with httpx.Client(base_url=linq.base_url, headers=headers) as client:
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
    return client.with_options(timeout=3, max_retries=0).chats.messages.send(chat, message=TEXT)


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
    with manager.typing_while(chat, refresh_interval=0.2):
        assert asked.soon(chat, "start")
        send(client, chat)
        time.sleep(0.3)
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
    linq.reopen(chat)  # the message, as far as the screen is concerned


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


def test_a_message_sent_right_after_the_block_makes_the_stop_needless(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
    say(client, chat)
    manager.close()
    assert asked(chat) == ["start", "send"]


def test_a_slow_send_after_the_block_holds_the_stop_back(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client, stop_delay=0.2)
    linq.slow("send", before=0.6)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
    say(client, chat)
    time.sleep(SETTLE + 0.2)
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
    with manager.typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
        with pytest.raises(sdk.APIError):
            client.with_options(timeout=0.3).chats.messages.send(chat, message=TEXT)
    assert asked.at_least(chat, 1, "stop")


def test_a_cancelled_send_is_no_message_and_closes_its_window_at_once(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager()
    linq.lose("send", hang=True, effect=False)

    async def bot() -> None:
        async with sdk.AsyncLinqAPIV3(api_key=linq.api_key, base_url=linq.base_url) as client:
            manager.watch(client)
            async with manager.typing_while(chat, refresh_interval=0.2):
                assert asked.soon(chat, "start")
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.chats.messages.send(chat, message=TEXT), 0.7)
                assert asked(chat).count("start") <= 2  # none while the send was in flight
                assert asked.at_least(chat, 4)

    asyncio.run(bot())


def test_no_start_goes_out_while_a_send_is_in_flight_nor_before_it_has_settled(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    linq.slow("send", before=0.3, after=0.2)
    sender = threading.Thread(target=say, args=(client, chat))
    sender.start()
    assert asked.arrives(chat, "send")
    with manager.typing_while(chat):
        sender.join()
        assert asked.soon(chat, "send", "start")
    send, start = linq.timeline(chat).requests[:2]
    assert start.received_at - (send.answered_at or 0) > SETTLE - 0.05
    assert linq.timeline(chat).showings[-1].ended_by in (None, "stop")


def test_a_session_that_begins_while_a_send_is_in_flight_is_not_quieted_by_it(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        linq.slow("send", before=0.4)
        sender = threading.Thread(target=say, args=(client, chat))
        sender.start()
        assert asked.at_least(chat, 1, "send")
        with manager.typing_while(chat):
            sender.join()
            assert asked.soon(chat, "start", "send", "start")


def test_a_send_quiets_the_session_that_sent_it_and_not_its_neighbour(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    older_is_in, sent = threading.Event(), threading.Event()
    shown_after: list[bool] = []

    def older() -> None:
        with manager.typing_while(chat):
            older_is_in.set()
            sent.wait(10)
            shown_after.append(asked.soon(chat, "start", "send", "start"))

    thread = threading.Thread(target=older)
    thread.start()
    older_is_in.wait(10)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        say(client, chat)
        sent.set()
        thread.join()
        assert shown_after == [True]
        assert asked.soon(chat, "start", "send", "start", "stop")  # only the older one wanted it


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


def test_a_plain_thread_sends_for_the_oldest_open_session(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
        thread = threading.Thread(target=say, args=(client, chat))
        thread.start()
        thread.join()
        time.sleep(SETTLE + 0.3)
        assert asked(chat) == ["start", "send"]


def test_the_session_of_a_generator_does_not_leak_between_its_steps(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)

    @manager.typing_while(chat)
    async def stream() -> AsyncIterator[object]:
        yield current_session()
        say(client, chat)
        yield current_session()

    async def main() -> None:
        async with manager.typing_while(chat) as outer:
            assert asked.soon(chat, "start")
            inner = [session async for session in stream() if current_session() is outer]
            assert inner[0] is inner[1] is not outer
            assert inner[0] is not None
            assert asked.at_least(chat, 1, "send")
            assert asked.soon(chat, "start", "send", "start")  # the outer one is still working

    asyncio.run(main())


def test_it_comes_back_after_a_message_with_resume_or_resume_after(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    manager, by_hand, by_time = make_manager(client=client), linq.chat(), linq.chat()
    with manager.typing_while(by_hand) as session:
        assert asked.soon(by_hand, "start")
        say(client, by_hand)
        session.resume()
        assert asked.soon(by_hand, "start", "send", "start")
    with manager.typing_while(by_time, resume_after=0.7):
        assert asked.soon(by_time, "start")
        say(client, by_time)
        assert asked.soon(by_time, "start", "send", "start")
    for chat, least in ((by_hand, SETTLE), (by_time, 0.7)):
        _, send, start = linq.timeline(chat).requests[:3]
        assert start.received_at - (send.answered_at or 0) > least - 0.05


def test_sending_is_a_window_for_sends_by_another_road(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events
) -> None:
    manager, chat, failed = make_manager(on_event=events), linq.chat(), linq.chat()

    async def bot() -> None:
        async with manager.typing_while(chat, refresh_interval=0.1) as session:
            assert asked.soon(chat, "start")
            async with session.sending():
                count = len(asked(chat))
                time.sleep(0.4)
                assert len(asked(chat)) <= count + 1
                linq.reopen(chat)  # the message, as far as the screen is concerned

    asyncio.run(bot())
    with manager.typing_while(failed, stop_delay=0) as session:
        assert asked.soon(failed, "start")
        with session.sending() as send:
            send.failed()
        with pytest.raises(ZeroDivisionError), session.sending():
            _ = 1 / 0
    assert asked.soon(failed, "start", "stop")
    manager.close()
    assert "stop" not in asked(chat)
    assert events.kinds(failed) == ["started", "stopped"]


def test_mark_sent_by_the_session_and_by_the_manager(linq: Sandbox, make_manager: MakeManager, asked: Asked) -> None:
    manager, first, second, nowhere = make_manager(), linq.chat(), linq.chat(), linq.chat()
    with manager.typing_while(first) as session:
        assert asked.soon(first, "start")
        session.mark_sent()
    with manager.typing_while(second):
        assert asked.soon(second, "start")
    manager.mark_sent(second.upper())
    manager.mark_sent(nowhere)
    manager.close()
    assert asked(first) == asked(second) == ["start"]
    assert asked(nowhere) == []
    linq.reopen(first)
    linq.reopen(second)


def test_a_start_that_overlapped_a_send_is_followed_by_one_stop_after_it_has_settled(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked
) -> None:
    chat, manager = linq.chat(), make_manager(client=client)
    linq.slow("start", before=1.0, times=1)  # it takes effect after the message has cleared
    with manager.typing_while(chat):
        assert asked.arrives(chat, "start")
        say(client, chat)
    assert asked.soon(chat, "start", "send", "stop")
    send, stop = linq.timeline(chat).requests[1:]
    assert stop.received_at - (send.answered_at or 0) > SETTLE - 0.05
    assert not linq.visible(chat)


def test_reactions_and_read_marks_are_no_messages(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked, events: Events
) -> None:
    chat, manager = linq.chat(), make_manager(client=client, on_event=events)
    with manager.typing_while(chat, stop_delay=0):
        assert asked.soon(chat, "start")
        client.chats.mark_as_read(chat)
    assert asked.at_least(chat, 1, "stop")
    assert "message_sent" not in events.kinds()


def test_watch_all_notices_one_off_requests_and_unwatch_all_puts_everything_back(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    originals = httpx.Client.send, httpx.AsyncClient.send
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    seen, unseen = linq.chat(), linq.chat()
    watch_all()
    watch_all()
    try:
        with manager.typing_while(seen):
            assert asked.soon(seen, "start")
            httpx.post(f"{linq.base_url}/v3/chats/{seen}/messages?x=1", headers=headers, json={"message": TEXT})
    finally:
        unwatch_all()
    assert (httpx.Client.send, httpx.AsyncClient.send) == originals
    with manager.typing_while(unseen):
        assert asked.soon(unseen, "start")
        httpx.post(f"{linq.base_url}/v3/chats/{unseen}/messages", headers=headers, json={"message": TEXT})
    manager.close()
    assert asked(seen) == ["start", "send"]
    assert asked(unseen) == ["start", "send", "stop"]


def test_a_client_that_is_watched_twice_and_by_watch_all_tells_of_a_message_once(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, events: Events, http: httpx.Client
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    assert manager.watch(manager.watch(http)) is http
    watch_all()
    try:
        with manager.typing_while(chat):
            assert asked.soon(chat, "start")
            http.post(f"/v3/chats/{chat}/messages", json={"message": TEXT})
        manager.close()
    finally:
        unwatch_all()
    assert events.kinds() == ["started", "message_sent"]


def test_watching_something_else_is_a_type_error(manager: TypingManager) -> None:
    with pytest.raises(TypeError, match="linq-python"):
        manager.watch(object())


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
    gc.collect()
    gc.disable()  # what is raised in a weak reference's callback does not get out, and is an unraisable one
    try:
        for number in range(200):
            with contextlib.suppress(StruckError):
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 2e-6)
                for _ in range(50):
                    client.post(f"https://linq.test/v3/chats/{chat}/messages")
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, old)
    with manager.typing_while(chat):
        assert asked.at_least(chat, 1)


def test_a_send_in_a_chat_without_a_session_is_nothing(
    linq: Sandbox, make_manager: MakeManager, client: sdk.LinqAPIV3, asked: Asked, events: Events
) -> None:
    chat, manager = linq.chat(), make_manager(client=client, on_event=events)
    say(client, chat)
    assert manager.flush()
    assert asked(chat) == ["send"]
    assert events == []


def test_credentials_and_default_headers_are_lent_by_the_client(linq: Sandbox, make_manager: MakeManager) -> None:
    seen: list[httpx.Headers] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(204)

    class Transport(httpx.AsyncBaseTransport):
        handle_async_request = staticmethod(answer)  # type: ignore[assignment]

    client = sdk.LinqAPIV3(api_key="lent-key", base_url="http://lent.test/api", default_headers={"X-Tenant": "a"})
    manager = make_manager(api_key=None, base_url=None, client=client, transport=Transport())
    with manager.typing_while(linq.chat()):
        assert eventually(lambda: seen)
    client.close()
    assert seen[0]["authorization"] == "Bearer lent-key"
    assert seen[0]["host"] == "lent.test"
    assert seen[0]["x-tenant"] == "a"
    assert "content-type" not in seen[0]
