"""What webhooks change: the sandbox's, which tell of its messages, or made by hand where the moment matters."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from linq_typing import TypingManager

from .kit import LONG, MESSAGE, Events, MakeManager, VirtualLinq, elsewhere, say

numbers = itertools.count()


def webhook(event: str, chat: str, message: str = "", **more: Any) -> dict[str, Any]:
    """A webhook of the version of 2026, made now."""
    created_at = (datetime.now(timezone.utc) - timedelta(seconds=more.pop("age", 0.0))).isoformat()
    event_id = more.pop("event_id", f"event-{next(numbers)}")
    data = {"id": message, "chat": {"id": chat}, "direction": "outbound", **more}
    return {"event_type": event, "event_id": event_id, "created_at": created_at, "data": data}


@pytest.fixture
def bot(linq: VirtualLinq, make_manager: MakeManager, client: httpx.Client, events: Events) -> TypingManager:
    """The manager of a bot whose client is watched, and that has heard of a webhook."""
    bot = make_manager(client=client, api_key=None, base_url=None, on_event=events)
    bot.observe(webhook("message.received", linq.chat(), "hello", direction="inbound"))
    return bot


@pytest.fixture
def fed(linq: VirtualLinq, bot: TypingManager) -> TypingManager:
    """The same, fed with the sandbox's webhooks."""
    linq.set_webhook(bot.observe)
    return bot


def reply(linq: VirtualLinq, bot: TypingManager, client: httpx.Client, chat: str) -> str:
    """A block in which a reply is sent, 5 s after its start. Returns the message's id."""
    with bot.typing_while(chat):
        linq.sleep(5.0)
        return str(say(client, chat).json()["message"]["id"])


# -- Own messages


@pytest.mark.parametrize("observes", [False, True])
def test_the_next_start_goes_out_when_the_message_has_landed(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client, observes: bool
) -> None:
    """1 s after the message was accepted. Without webhooks it waits for 3 s."""
    linq.set_webhook(bot.observe if observes else None)
    chat = linq.chat()
    reply(linq, bot, client, chat)
    with bot.typing_while(chat):
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.log(chat)[:3] == [(0.0, "start"), (5.0, "send"), (6.0 if observes else 8.0, "start")]


def test_the_next_start_goes_out_half_a_second_after_the_message_was_sent(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    """Its delivery, which clears the indicator, follows. Where it is told as well, it counts."""
    chat = linq.chat()
    message = reply(linq, bot, client, chat)
    with bot.typing_while(chat):
        linq.sleep(0.75)
        bot.observe(webhook("message.sent", chat, message))
        linq.sleep(10.0)
    assert linq.moments(chat) == [0.0, 6.25]


@pytest.mark.parametrize("version", ["2025-01-01", "2026-02-03"])
@pytest.mark.parametrize("kind", ["messages", "polls", "voicememo"])
def test_own_messages_of_every_kind_are_known_by_their_id(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client, events: Events, version: str, kind: str
) -> None:
    """In both payload versions: the next session is not quieted by its own chat's echo."""
    linq.set_webhook(fed.observe, version=version)
    chat = linq.chat()
    body = {
        "messages": MESSAGE,
        "polls": {"poll": {"options": [{"text": "yes"}, {"text": "no"}]}},
        "voicememo": {"voice_memo_url": "https://files.test/memo.m4a"},
    }
    with fed.typing_while(chat):
        linq.sleep(5.0)
        assert client.post(f"/v3/chats/{chat}/{kind}", json=body[kind]).is_success
    with fed.typing_while(chat):
        linq.sleep(10.0)
        assert linq.visible(chat)
    assert events.kinds(chat).count("message_sent") == 1
    assert linq.moments(chat) == [0.0, 6.0]


def test_a_message_to_a_chat_that_only_the_answer_names_is_known_by_its_id(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client, events: Events
) -> None:
    answer = client.post("/v3/chats", json={"from": "+12025550000", "to": ["+12025550009"], **MESSAGE})
    chat = answer.json()["chat"]["id"]
    with fed.typing_while(chat):
        linq.sleep(10.0)
        assert linq.visible(chat)
    assert "message_sent" not in events.kinds(chat)


@pytest.mark.parametrize("how", ["mark_sent", "sending", "streamed"])
def test_own_messages_without_an_id_are_known_by_number(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client, events: Events, how: str
) -> None:
    """One webhook for each: a further one is somebody else's."""
    chat = linq.chat()
    with fed.typing_while(chat) as session:
        linq.sleep(5.0)
        if how == "streamed":
            with client.stream("POST", f"/v3/chats/{chat}/messages", json=MESSAGE):
                pass
        elif how == "sending":
            with session.sending():
                linq.send_as_colleague(chat)  # stands for a send by another way
        else:
            linq.send_as_colleague(chat)
            session.mark_sent()
    with fed.typing_while(chat):
        linq.sleep(10.0)
        assert linq.moments(chat) == [0.0, 6.0]
        assert events.kinds(chat).count("message_sent") == 1
        linq.send_as_colleague(chat)
        linq.sleep(10.0)
        assert events.kinds(chat).count("message_sent") == 2


def test_a_webhook_may_come_before_the_answer(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client, events: Events
) -> None:
    """The answer takes 4 s, the message 1 s: while it is in flight, its webhooks wait."""
    linq.slow("send", after=4.0)
    chat = linq.chat()
    reply(linq, fed, client, chat)
    with fed.typing_while(chat):
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.moments(chat) == [0.0, 9.0]
    assert events.kinds(chat).count("message_sent") == 1


@pytest.mark.parametrize("event", ["message.sent", "message.delivered"])
def test_webhooks_that_come_twice_late_or_in_another_order_change_nothing(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client, events: Events, event: str
) -> None:
    """The next session's indicator is up all the time from 6 s, or 8 s, on."""
    linq.duplicate_webhooks()
    linq.reorder_webhooks(event)
    linq.delay_webhooks(20.0, event, rate=0.5)
    chat = linq.chat()
    reply(linq, fed, client, chat)
    with fed.typing_while(chat):
        linq.sleep(3.0)
        for _ in range(50):
            assert linq.visible(chat)
            linq.sleep(1.0)
    assert events.kinds(chat).count("message_sent") == 1


def test_a_message_that_lands_later_than_expected_is_followed_by_a_start(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client
) -> None:
    """It clears the indicator that has been up since 8 s."""
    chat = linq.chat()
    message = reply(linq, fed, client, chat)
    linq.set_webhook(None)
    with fed.typing_while(chat):
        linq.sleep(7.0)
        fed.observe(webhook("message.delivered", chat, message))
        linq.sleep(7.0)
        fed.observe(webhook("message.delivered", chat, message))  # told again, as another event
        linq.sleep(7.0)
    assert linq.moments(chat) == [0.0, 8.0, 12.0]


# -- Messages that fail


def test_a_message_that_failed_leaves_no_ghost(linq: VirtualLinq, fed: TypingManager, client: httpx.Client) -> None:
    """One stop, the moment it is told."""
    chat = linq.chat()
    linq.fail_messages()
    reply(linq, fed, client, chat)
    assert linq.visible(chat)
    linq.sleep(LONG)
    assert not linq.visible(chat)
    assert linq.log(chat) == [(0.0, "start"), (5.0, "send"), (6.0, "stop")]


def test_without_webhooks_a_message_that_failed_leaves_a_ghost(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    """The test above would find it."""
    chat = linq.chat()
    linq.fail_messages()
    reply(linq, bot, client, chat)
    linq.sleep(60.0)
    assert linq.visible(chat)
    linq.sleep(60.0)


def test_a_failure_that_names_no_chat_is_known_by_the_message(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    """`chat_id` may be null."""
    chat = linq.chat()
    linq.fail_messages()
    message = reply(linq, bot, client, chat)
    linq.sleep(10.0)
    bot.observe({**webhook("message.failed", chat), "data": {"chat_id": None, "message_id": message, "code": 4001}})
    linq.sleep()
    assert linq.log(chat)[2:] == [(15.0, "stop")]


def test_the_failure_of_somebody_elses_message_means_nothing(
    linq: VirtualLinq, bot: TypingManager, events: Events
) -> None:
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(5.0)
        bot.observe(webhook("message.failed", chat, "a colleague's"))
        linq.sleep(10.0)
        assert linq.visible(chat)
    assert "message_sent" not in events.kinds(chat)


# -- Messages of others


def test_a_colleagues_message_quiets_one_session_once(linq: VirtualLinq, fed: TypingManager, events: Events) -> None:
    """It lands at 6, is told as sent and as delivered, and is taken for somebody else's at 7: of two sessions, the
    older one is quiet then, and the other one's indicator is back at once."""
    chat = linq.chat()
    with fed.typing_while(chat), fed.typing_while(chat):
        linq.sleep(5.0)
        elsewhere(linq.send_as_colleague, chat)
        linq.sleep(1.5)
        assert not linq.visible(chat)
        linq.sleep(10.0)
        assert linq.visible(chat)
        assert events.kinds(chat) == ["started", "message_sent", "started"]
    linq.sleep(LONG)
    assert not linq.visible(chat)


def test_a_colleague_who_answers_makes_the_indicator_go(linq: VirtualLinq, fed: TypingManager) -> None:
    """No refresh follows; one stop does, since a start may have come after the message, as far as one knows."""
    chat = linq.chat()
    with fed.typing_while(chat):
        linq.sleep(5.0)
        linq.send_as_colleague(chat)
        linq.sleep(200.0)
    assert [what for _, what in linq.log(chat)] == ["start", "stop"]


def test_a_session_that_began_after_a_colleagues_message_is_not_quieted_by_its_webhook(
    linq: VirtualLinq, bot: TypingManager
) -> None:
    """It comes 20 s late."""
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(10.0)
        bot.observe(webhook("message.sent", chat, "a colleague's", age=20.0))
        linq.sleep(10.0)
        assert linq.visible(chat)


# -- The person opens the chat


def test_opening_the_chat_again_shows_the_indicator_again_once_a_minute(
    linq: VirtualLinq, fed: TypingManager, client: httpx.Client
) -> None:
    """A stop and a start; the next time, within a minute, nothing."""
    chat = linq.chat()
    reply(linq, fed, client, chat)
    with fed.typing_while(chat):
        linq.sleep(10.0)
        linq.reopen(chat)
        assert not linq.visible(chat)
        linq.sleep(1.0)
        assert linq.visible(chat)
        for _ in range(5):
            fed.observe(webhook("message.read", chat, "another"))
            linq.sleep(10.0)
        assert linq.log(chat)[2:] == [(6.0, "start"), (15.0, "stop"), (15.0, "start")]
        linq.sleep(20.0)
        fed.observe(webhook("message.read", chat, "another"))
        linq.sleep(1.0)
        assert linq.log(chat)[5:] == [(75.0, "start"), (86.0, "stop"), (86.0, "start")]


def test_opening_the_chat_while_starts_are_suspended_means_nothing(linq: VirtualLinq, bot: TypingManager) -> None:
    """The start would not follow the stop."""
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(10.0)
        linq.fail("start", 503)
        with bot.typing_while(linq.chat()), bot.typing_while(linq.chat()):
            linq.sleep(30.0)
            assert bot.stats().suspended
            bot.observe(webhook("message.read", chat, "another"))
            linq.sleep(1.0)
            assert linq.asked(chat) == ["start"]


# -- Whatever else is told


SENT = "message.sent"


@pytest.mark.parametrize(
    "change",
    [
        lambda event: {**event, "data": {**event["data"], "direction": "inbound"}},
        lambda event: {**event, "data": {**event["data"], "reconciled_at": "2026-02-03T10:00:00Z"}},
        lambda event: {**event, "event_type": "message.edited"},
        lambda event: {**event, "created_at": "2026-02-03T10:00:00Z"},
        lambda event: json.dumps(event)[:-1],
        lambda event: None,
    ],
)
def test_what_says_nothing_changes_nothing(
    linq: VirtualLinq, bot: TypingManager, events: Events, change: Callable[[Any], object]
) -> None:
    """Inbound, history, something else, old, malformed, nothing at all."""
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(5.0)
        bot.observe(change(webhook(SENT, chat, "another")))
        linq.sleep(5.0)
        assert events.kinds(chat) == ["started"]


def test_a_manager_that_is_not_in_use_ignores_webhooks(linq: VirtualLinq, make_manager: MakeManager) -> None:
    """Not yet used, disabled, or closed: no request, no error; and it works afterwards."""
    chat = linq.chat()
    for manager in (make_manager(), make_manager(enabled=False)):
        manager.observe(webhook(SENT, chat, "1"))
    manager = make_manager()
    with manager.typing_while(chat):
        linq.sleep(1.0)
    manager.close()
    before = linq.log(chat)
    manager.observe(webhook(SENT, chat, "2"))
    linq.sleep(5.0)
    assert linq.log(chat) == before
    with manager.typing_while(chat):
        linq.sleep(5.0)
        assert linq.visible(chat)


def test_a_webhook_that_waits_when_the_manager_closes_is_dropped(
    linq: VirtualLinq, bot: TypingManager, events: Events
) -> None:
    chat = linq.chat()
    with bot.typing_while(chat):
        linq.sleep(5.0)
        bot.observe(webhook(SENT, chat, "another"))
        linq.sleep(0.5)
        bot.close()
        linq.sleep(5.0)
    assert "message_sent" not in events.kinds(chat)


def test_a_message_is_remembered_for_a_minute_and_then_forgotten(
    linq: VirtualLinq, bot: TypingManager, client: httpx.Client
) -> None:
    """By those who observe, since it may still fail."""
    chat = linq.chat()
    reply(linq, bot, client, chat)
    linq.sleep(30.0)
    assert bot.stats().chats == 1
    linq.sleep(31.0)
    assert bot.stats().chats == 0
