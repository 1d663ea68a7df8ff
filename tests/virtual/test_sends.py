"""Messages that go out while a session is open, or about to, and what they do to the indicator."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import httpx
import linq as sdk
import pytest

from linq_typing import TypingManager, current_session, unwatch_all, watch_all

from .kit import BASE, KEY, LONG, MESSAGE, Events, MakeManager, Transport, VirtualLinq, cancelled, elsewhere, say

SETTLE = 3.0  #: seconds that the library allows for a message to clear the indicator


@pytest.fixture
def bot(make_manager: MakeManager, client: httpx.Client, events: Events) -> TypingManager:
    """The manager of a bot whose client is watched."""
    return make_manager(client=client, api_key=None, base_url=None, on_event=events)


def test_a_message_sent_in_the_block_makes_the_stop_needless_and_no_refresh_follows(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client, events: Events
) -> None:
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(10.0)
        say(client, chat)
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "send")]
    assert events.kinds() == ["started", "message_sent"]


def test_a_message_sent_right_after_the_block_makes_the_stop_needless(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(10.0)
    linq.sleep(0.4)
    say(client, chat)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.4, "send")]


def test_a_slow_send_after_the_block_holds_the_stop_back(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat()
    linq.slow("send", before=4.0)
    with bot.typing_while(chat):
        linq.sleep(10.0)
    say(client, chat)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "send")]


@pytest.mark.parametrize(("how", "took"), [("refused", 4.0), ("lost", 4.0), ("timed out", 5.0)])
def test_a_send_that_failed_is_no_message(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client, events: Events, how: str, took: float
) -> None:
    """No refresh goes out while it is in flight; afterwards all is as it was."""
    chat = linq.chat()
    linq.slow("send", before=4.0)
    if how == "refused":
        linq.fail("send", 403)
    else:
        linq.lose("send", effect=False, hang=how == "timed out")
    with bot.typing_while(chat):
        linq.sleep(58.0)
        if how == "refused":
            assert say(client, chat).status_code == 403
        else:
            with pytest.raises(httpx.TransportError):
                say(client, chat)
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (58.0, "send"), (58.0 + took, "start"), (68.5 + took, "stop")]
    assert "message_sent" not in events.kinds()


def test_a_cancelled_send_is_no_message_and_is_over_at_once(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    chat = linq.chat()
    linq.lose("send", hang=True, effect=False)
    manager.watch(async_client)
    with manager.typing_while(chat):
        linq.sleep(58.0)
        sending = linq.begin(say(async_client, chat))
        linq.sleep(4.0)
        linq.run(cancelled(sending))
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (58.0, "send"), (62.0, "start"), (72.5, "stop")]


def test_no_start_goes_out_while_a_send_is_in_flight_nor_before_it_has_settled(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    chat = linq.chat()
    linq.slow("send", before=2.0, after=1.0)
    sending = linq.begin(say(manager.watch(async_client), chat))
    linq.sleep(1.0)
    with manager.typing_while(chat):
        linq.sleep(10.0)
        assert sending.done()
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "send"), (3.0 + SETTLE, "start"), (11.5, "stop")]


def test_of_several_sends_in_flight_the_last_one_counts(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    chat = linq.chat()
    manager.watch(async_client)
    linq.slow("send", before=4.0, times=1)
    first = linq.begin(say(async_client, chat))
    linq.sleep(1.0)
    second = linq.begin(say(async_client, chat))
    linq.sleep(1.0)
    with manager.typing_while(chat):
        linq.sleep(10.0)
    assert first.done()
    assert second.done()
    assert linq.moments(chat) == [4.0 + SETTLE]


def test_a_session_that_begins_while_a_send_is_in_flight_is_not_quieted_by_it(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    chat = linq.chat()
    manager.watch(async_client)
    linq.slow("send", before=4.0)
    with manager.typing_while(chat):
        linq.sleep(10.0)
        sending = linq.begin(say(async_client, chat))
        linq.sleep(1.0)
        with manager.typing_while(chat):
            linq.sleep(10.0)
            assert sending.done()
            assert linq.log(chat) == [(0.0, "start"), (10.0, "send"), (14.0 + SETTLE, "start")]


def test_a_send_quiets_the_session_that_sent_it_and_not_its_neighbour(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat()
    older = bot.typing_while(chat)
    elsewhere(older.__enter__)
    with bot.typing_while(chat):
        linq.sleep(10.0)
        say(client, chat)
        linq.sleep(10.0)
        assert linq.log(chat) == [(0.0, "start"), (10.0, "send"), (10.0 + SETTLE, "start")]
        elsewhere(older.__exit__, None, None, None)
        linq.sleep(10.0)
        assert linq.moments(chat, "stop") == [20.5]  # only the older one wanted it
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert len(linq.asked(chat)) == 4


def test_outside_of_every_context_the_oldest_open_session_sends(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    """A plain thread's message, say. The younger one is still working, and shows it again."""
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(10.0)
        younger = bot.typing_while(chat)
        younger.__enter__()
        elsewhere(say, client, chat)
        linq.sleep(10.0)
        younger.__exit__(None, None, None)
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "send"), (13.0, "start"), (20.5, "stop")]


def test_outside_of_every_context_a_session_that_has_just_left_sends_first(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat()
    with bot.typing_while(chat):
        with bot.typing_while(chat):
            linq.sleep(10.0)
        elsewhere(say, client, chat)
        linq.sleep(10.0)
        assert linq.log(chat) == [(0.0, "start"), (10.0, "send"), (13.0, "start")]  # the one that is open goes on


def test_tasks_that_are_started_in_a_block_send_for_its_session(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    mine, other = linq.chat(), linq.chat()
    manager.watch(async_client)

    async def bot() -> None:
        async with manager.typing_while(mine), manager.typing_while(other):
            await asyncio.sleep(10.0)
            await asyncio.create_task(say(async_client, mine))
            await asyncio.sleep(60.0)

    linq.run(bot())
    linq.sleep(LONG)
    assert linq.log(mine) == [(0.0, "start"), (10.0, "send")]
    assert linq.log(other) == [(0.0, "start"), (60.0, "start"), (70.5, "stop")]


def test_the_session_of_a_generator_does_not_leak_between_its_steps(
    linq: VirtualLinq, manager: TypingManager, async_client: httpx.AsyncClient
) -> None:
    chat = linq.chat()
    manager.watch(async_client)

    @manager.typing_while(chat)
    async def stream() -> AsyncIterator[object]:
        yield current_session()
        await say(async_client, chat)
        yield current_session()

    async def bot() -> None:
        async with manager.typing_while(chat) as outer:
            await asyncio.sleep(10.0)
            inner = [session async for session in stream() if current_session() is outer]
            assert inner[0] is inner[1] is not outer
            assert inner[0] is not None
            await asyncio.sleep(10.0)

    linq.run(bot())
    assert linq.log(chat) == [(0.0, "start"), (10.0, "send"), (13.0, "start")]  # the outer one is still working


def test_it_comes_back_after_a_message_with_resume_or_resume_after(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    by_hand, by_time, soon = linq.chat(), linq.chat(), linq.chat()
    with (
        bot.typing_while(by_hand) as session,
        bot.typing_while(by_time, resume_after=8.0),
        bot.typing_while(soon, resume_after=1.0),
    ):
        linq.sleep(10.0)
        for chat in (by_hand, by_time, soon):
            say(client, chat)
        session.resume()
        linq.sleep(20.0)
    assert linq.moments(by_hand) == [0.0, 10.0 + SETTLE]
    assert linq.moments(by_time) == [0.0, 18.0]
    assert linq.moments(soon) == [0.0, 10.0 + SETTLE]  # never before the message has settled


def test_no_refresh_goes_out_while_the_caller_is_sending(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    manager, chat = make_manager(on_event=events), linq.chat()

    async def bot() -> None:
        async with manager.typing_while(chat) as session:
            await asyncio.sleep(50.0)
            async with session.sending():
                await asyncio.sleep(20.0)
                linq.send_as_colleague(chat)  # the message, as far as the screen is concerned
            await asyncio.sleep(100.0)

    linq.run(bot())
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start")]
    assert events.kinds() == ["started", "message_sent"]


def test_what_the_caller_was_sending_and_has_failed_is_no_message(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    manager, chat = make_manager(on_event=events), linq.chat()
    with manager.typing_while(chat) as session:
        linq.sleep(10.0)
        with session.sending() as sending:
            sending.failed()
        with pytest.raises(ZeroDivisionError), session.sending():
            _ = 1 / 0
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (20.5, "stop")]
    assert events.kinds() == ["started", "stopped"]


def test_mark_sent_by_the_session_and_by_the_manager(linq: VirtualLinq, manager: TypingManager) -> None:
    first, second, nowhere = linq.chat(), linq.chat(), linq.chat()
    with manager.typing_while(first) as session:
        linq.sleep(10.0)
        session.mark_sent()
    with manager.typing_while(second):
        linq.sleep(10.0)
    manager.mark_sent(second.upper())
    manager.mark_sent(nowhere)
    for chat in (first, second):
        linq.send_as_colleague(chat)
    linq.sleep(LONG)
    assert linq.asked(first) == linq.asked(second) == ["start"]
    assert linq.asked(nowhere) == []


def test_a_start_that_overlapped_a_send_is_followed_by_one_stop_after_it_has_settled(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat()
    linq.slow("start", before=4.5, times=1)  # it takes effect after the message has cleared
    with bot.typing_while(chat):
        linq.sleep(3.0)
        say(client, chat)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (3.0, "send"), (3.0 + SETTLE, "stop")]


def test_a_message_whose_chat_only_the_answer_names_counts_in_retrospect(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client, events: Events
) -> None:
    """From its request to its answer. A refresh went out meanwhile, so a stop is needed once it has settled."""
    chat = linq.chat("+15550001")
    body = {"to": ["+15550001"], **MESSAGE}
    with bot.typing_while(chat):
        linq.sleep(59.0)
        linq.slow("send", after=2.0)
        client.post("/v3/messages", json=body)
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (59.0, "send"), (60.0, "start"), (61.0 + SETTLE, "stop")]
    assert events.kinds() == ["started", "refreshed", "message_sent", "stopped"]


def test_a_message_whose_chat_only_the_answer_names_makes_the_stop_needless(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat("+15550001")
    with bot.typing_while(chat):
        linq.sleep(10.0)
        client.post("/v3/messages", json={"to": ["+15550001"], **MESSAGE})
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "send")]


def test_reactions_and_read_marks_are_no_messages(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client, events: Events
) -> None:
    chat = linq.chat()
    message = linq.write(chat)
    with bot.typing_while(chat):
        linq.sleep(10.0)
        assert client.post(f"/v3/chats/{chat}/read").is_success
        reaction = {"operation": "add", "type": "love"}
        assert client.post(f"/v3/messages/{message.id}/reactions", json=reaction).is_success
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "read"), (10.0, "react"), (10.5, "stop")]
    assert events.kinds() == ["started", "stopped"]


def test_a_send_in_a_chat_without_a_session_is_nothing(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client, events: Events
) -> None:
    chat = linq.chat()
    say(client, chat)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["send"]
    assert events == []
    assert bot.stats().chats == 0


def test_a_message_of_another_chat_changes_nothing(linq: VirtualLinq, bot: TypingManager, client: httpx.Client) -> None:
    chat, other = linq.chat(), linq.chat()
    with bot.typing_while(chat):
        linq.sleep(10.0)
        say(client, other)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.5, "stop")]


def test_two_managers_that_watch_one_client_are_both_told(
    linq: VirtualLinq, make_manager: MakeManager, client: httpx.Client
) -> None:
    first, second, chat = make_manager(client=client), make_manager(client=client), linq.chat()
    with first.typing_while(chat), second.typing_while(chat):
        linq.sleep(1.0)
        say(client, chat)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "start", "send"]


def test_watch_all_notices_one_off_requests_and_unwatch_all_puts_everything_back(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    originals = httpx.Client.send, httpx.AsyncClient.send
    seen, unseen = linq.chat(), linq.chat()
    headers = {"Authorization": f"Bearer {KEY}"}
    watch_all()
    watch_all()
    try:
        with manager.typing_while(seen):
            linq.sleep(1.0)
            httpx.post(f"{BASE}/v3/chats/{seen}/messages?x=1", headers=headers, json=MESSAGE)
    finally:
        unwatch_all()
    assert (httpx.Client.send, httpx.AsyncClient.send) == originals
    with manager.typing_while(unseen):
        linq.sleep(1.0)
        httpx.post(f"{BASE}/v3/chats/{unseen}/messages", headers=headers, json=MESSAGE)
    linq.sleep(LONG)
    assert linq.asked(seen) == ["start", "send"]
    assert linq.asked(unseen) == ["start", "send", "stop"]


def test_a_client_that_is_watched_twice_and_by_watch_all_tells_of_a_message_once(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, client: httpx.Client
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events)
    assert manager.watch(manager.watch(client)) is client
    watch_all()
    try:
        with manager.typing_while(chat):
            linq.sleep(1.0)
            say(client, chat)
            linq.sleep(1.0)
    finally:
        unwatch_all()
    assert events.kinds() == ["started", "message_sent"]


def test_a_manager_that_is_gone_hears_of_no_message(linq: VirtualLinq, client: httpx.Client, events: Events) -> None:
    """Its client goes on."""
    manager = TypingManager(api_key=KEY, base_url=BASE, client=client, on_event=events)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    assert manager.close()
    del manager
    gc.collect()
    assert say(client, linq.chat()).is_success
    assert events.kinds() == ["started", "stopped"]


def test_a_closed_manager_opens_again_for_a_message_that_the_next_session_has_to_wait_for(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(1.0)
    assert bot.close()
    say(client, chat)
    with bot.typing_while(chat):
        linq.sleep(10.0)
    assert linq.log(chat) == [(0.0, "start"), (1.0, "stop"), (1.0, "send"), (1.0 + SETTLE, "start")]


def test_watching_something_else_is_a_type_error(manager: TypingManager) -> None:
    with pytest.raises(TypeError, match="linq-python"):
        manager.watch(object())


def test_credentials_and_default_headers_are_lent_by_the_client(linq: VirtualLinq, make_manager: MakeManager) -> None:
    seen: list[httpx.Headers] = []

    class Noting(Transport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.headers)
            return httpx.Response(204)

    client = sdk.LinqAPIV3(api_key="lent-key", base_url="http://lent.test/api", default_headers={"X-Tenant": "a"})
    manager = make_manager(api_key=None, base_url=None, client=client, transport=Noting(linq))
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    client.close()
    assert seen[0]["authorization"] == "Bearer lent-key"
    assert seen[0]["host"] == "lent.test"
    assert seen[0]["x-tenant"] == "a"
    assert "content-type" not in seen[0]
