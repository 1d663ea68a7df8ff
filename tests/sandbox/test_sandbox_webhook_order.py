"""When webhooks are delivered, in which order, and how often: on a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from linq_typing.sandbox import Faults, Model
from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._faults import Duplicate, Lateness, Reordering
from linq_typing.sandbox._schedule import Schedule
from linq_typing.sandbox._webhooks import WebhookSender

from .kit import FakeClock

SENT = ["message.sent", "message.delivered"]


class Bot:
    """A bot, its webhooks, and the time of each delivery."""

    def __init__(self, model: Model, clock: FakeClock) -> None:
        self.model = model
        self.clock = clock
        self.faults = Faults()
        self.sender = WebhookSender(model, self.take, faults=self.faults)
        self.got: list[tuple[float, str]] = []
        self.events: list[dict[str, Any]] = []
        self.refuses: Callable[[str], bool] = lambda event: False

    def take(self, body: str) -> None:
        event = json.loads(body)
        self.events.append(event)
        self.got.append((round(self.clock.now, 3), event["event_type"]))
        if self.refuses(event["event_type"]):
            raise RuntimeError("not now")

    def wait(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that is due by then."""
        end = self.clock.now + seconds
        while (due := self.sender.run_due()) is not None and due <= end:
            self.clock.now = due
        self.clock.now = end

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind in self.got]


@pytest.fixture
def bot(model: Model, clock: FakeClock) -> Bot:
    return Bot(model, clock)


@pytest.fixture
def chat(model: Model) -> Chat:
    return model.add_chat(active=True)


# -- What is told, and when


def test_a_message_is_sent_then_delivered_as_it_clears(bot: Bot, model: Model, chat: Chat) -> None:
    model.send(chat)
    bot.wait(9)
    assert bot.got == [(0.7, "message.sent"), (1.0, "message.delivered")]


def test_a_colleague_s_message_is_told_like_the_bot_s(bot: Bot, model: Model, chat: Chat) -> None:
    model.send_as_colleague(chat)
    bot.wait(9)
    assert bot.got == [(0.7, "message.sent"), (1.0, "message.delivered")]
    assert {event["data"]["direction"] for event in bot.events} == {"outbound"}


def test_a_message_that_fails_is_told_once_when_it_would_have_landed(bot: Bot, model: Model, chat: Chat) -> None:
    model.send(chat, failure=lambda: 4001)
    bot.wait(9)
    assert bot.got == [(1.0, "message.failed")]


def test_a_poll_has_events_of_its_own(bot: Bot, model: Model, chat: Chat) -> None:
    model.send(chat, kind="poll", options=["a", "b"])
    model.send(chat, kind="poll", options=["a", "b"], failure=lambda: 4001)
    bot.wait(1)
    bot.sender.read(chat, model.reopen(chat))
    bot.wait(0)
    assert bot.kinds == ["poll.sent", "poll.delivered", "poll.failed", "poll.read"]


def test_each_unread_message_is_read_once(bot: Bot, model: Model, chat: Chat) -> None:
    messages = [model.send(chat)[0] for _ in range(2)] + [model.send_as_colleague(chat)]
    bot.wait(1)
    bot.events.clear()
    for _ in range(2):
        bot.sender.read(chat, model.reopen(chat))
    bot.wait(9)
    told = [(event["event_type"], event["data"]["id"]) for event in bot.events]
    assert told == [("message.read", message.id) for message in messages]


def test_what_is_planned_is_pending(bot: Bot, model: Model, chat: Chat) -> None:
    assert bot.sender.is_idle()
    model.send(chat)
    assert not bot.sender.is_idle()
    bot.wait(0.9)
    assert not bot.sender.is_idle()
    bot.wait(0.1)
    assert bot.sender.is_idle()


def test_without_a_target_nothing_is_told_and_what_was_pending_is_dropped(bot: Bot, model: Model, chat: Chat) -> None:
    bot.refuses = lambda event: True
    model.write(chat)
    model.send(chat)
    bot.wait(0)
    bot.sender.configure(None)
    assert bot.sender.is_idle()
    model.send(chat)
    bot.sender.configure(bot.take)
    bot.wait(99)
    assert bot.got == [(0.0, "message.received")]
    [webhook] = bot.sender.log
    assert (webhook.outcome, webhook.error) == ("failed", "the webhook was removed")


# -- Trying again


def test_a_refused_webhook_is_tried_again_with_growing_pauses_for_half_an_hour(
    bot: Bot, model: Model, chat: Chat
) -> None:
    bot.refuses = lambda event: True
    model.write(chat)
    bot.wait(5)
    [webhook] = bot.sender.log
    assert (webhook.outcome, webhook.attempts, webhook.status, webhook.error) == ("pending", 2, None, "not now")
    assert webhook.next_at == 15
    bot.wait(9999)
    assert [at for at, _ in bot.got] == [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515]
    assert len({event["event_id"] for event in bot.events}) == 1
    [webhook] = bot.sender.log
    assert (webhook.outcome, webhook.attempts, webhook.next_at) == ("failed", 11, None)
    assert bot.sender.is_idle()


def test_a_webhook_that_waits_to_be_tried_again_delays_no_other(bot: Bot, model: Model, chat: Chat) -> None:
    refusals = iter([True])
    bot.refuses = lambda event: next(refusals, False)
    model.send(chat)
    bot.wait(9)
    assert bot.got == [(0.7, "message.sent"), (1.0, "message.delivered"), (5.7, "message.sent")]
    assert [webhook.outcome for webhook in bot.sender.log] == ["delivered"] * 2


class Stuck(WebhookSender):
    """Each delivery ends when the test says so."""

    def __init__(self, *arguments: Any) -> None:
        self.begun: list[Callable[[], None]] = []
        super().__init__(*arguments)

    def _start(self, call: Callable[[], None]) -> None:
        self.begun.append(call)


def test_one_webhook_at_a_time_about_the_line_s_messages_and_no_wait_for_those_about_the_person_s(
    model: Model, clock: FakeClock, chat: Chat
) -> None:
    got: list[str] = []
    sender = Stuck(model, lambda body: got.append(json.loads(body)["event_type"]))
    other = model.add_chat()
    for _ in range(2):
        model.write(chat)
    model.send(chat)
    model.send(other)
    clock += 1
    sender.run_due()
    assert len(sender.begun) == 4, "two from the person, and message.sent in each chat"
    for begun in sender.begun:
        begun()
    sender.run_due()
    assert len(sender.begun) == 6
    for begun in sender.begun[4:]:
        begun()
    assert got == [*["message.received"] * 2, *["message.sent"] * 2, *["message.delivered"] * 2]
    assert sender.is_idle()


def test_a_delivery_in_flight_that_was_dropped_has_no_sequel(model: Model, clock: FakeClock, chat: Chat) -> None:
    def refuse(body: str) -> None:
        raise RuntimeError("not now")

    sender = Stuck(model, refuse)
    model.write(chat)
    sender.run_due()
    sender.drop_pending("the sandbox has stopped")
    sender.begun[0]()
    assert sender.is_idle()
    assert sender.log[0].error == "the sandbox has stopped"


# -- Disorder on purpose


def test_a_late_webhook_keeps_its_content(bot: Bot, model: Model, chat: Chat) -> None:
    bot.faults.add(Lateness(20), "message.sent", times=1)
    model.send(chat)
    bot.wait(99)
    assert bot.got == [(1.0, "message.delivered"), (20.7, "message.sent")]
    assert bot.events[1]["data"]["delivered_at"] is None


def test_a_duplicate_has_the_same_id_and_body(bot: Bot, model: Model, chat: Chat) -> None:
    bot.faults.add(Duplicate(2), "webhook", times=1)
    model.send(chat)
    bot.wait(9)
    assert bot.kinds == ["message.sent"] * 3 + ["message.delivered"]
    assert bot.events[0] == bot.events[1] == bot.events[2]
    assert [webhook.id for webhook in bot.sender.log] == [1, 2, 3, 4]


def test_a_reordered_webhook_comes_after_the_next_one_of_its_chat(bot: Bot, model: Model, chat: Chat) -> None:
    bot.faults.add(Reordering(), "webhook", times=1)
    model.send(chat)
    bot.wait(0.8)
    model.write(model.add_chat())
    bot.wait(0.2)
    assert bot.sender.is_idle()
    bot.wait(99)
    assert bot.got == [(0.8, "message.received"), (1.0, "message.delivered"), (1.0, "message.sent")]


def test_a_reordered_webhook_without_a_next_one_comes_ten_seconds_later(bot: Bot, model: Model, chat: Chat) -> None:
    bot.faults.add(Reordering(), "message.delivered", times=1)
    model.send(chat)
    bot.wait(99)
    assert bot.got == [(0.7, "message.sent"), (11.0, "message.delivered")]
    model.write(chat)
    bot.wait(99)
    assert len(bot.got) == 3


def test_faults_affect_the_webhooks_of_their_event_and_chat(bot: Bot, model: Model, chat: Chat) -> None:
    other = model.add_chat()
    bot.faults.add(Duplicate(), "message.received", chat=other.id)
    for written_in in (chat, other):
        model.write(written_in)
        model.send(written_in)
    bot.wait(9)
    told = [event["data"]["chat"]["id"] for event in bot.events if event["event_type"] == "message.received"]
    assert told == [chat.id, other.id, other.id]
    assert bot.kinds.count("message.sent") == 2


# -- The schedule


def test_calls_come_in_the_order_of_their_times_then_of_their_addition() -> None:
    schedule, called = Schedule(), list[str]()
    for at, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
        schedule.add(at, lambda name=name: called.append(name))  # type: ignore[misc]
    assert schedule.next_at == 1.0
    while call := schedule.pop(2.0):
        call()
    assert called == ["a", "b", "c"]
    assert (len(schedule), schedule.next_at) == (1, 3.0)
    schedule.clear()
    assert (len(schedule), schedule.next_at, schedule.pop(9.0)) == (0, None, None)
