"""Webhooks as Linq posts them: read and verified with the official SDK."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, get_args

import pytest

from linq_typing.sandbox import Sandbox
from linq_typing.sandbox._records import WebhookEvent
from linq_typing.sandbox._webhook_http import DEFAULT_SECRET
from patience import PATIENCE

from .kit import client, send

standardwebhooks = pytest.importorskip("standardwebhooks")
linq_sdk = pytest.importorskip("linq")

OTHER_SECRET = "whsec_" + base64.b64encode(b"the secret of another bot, not us").decode()


class Bot:
    """A bot that keeps the webhooks it receives."""

    def __init__(self, status: int = 204) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.status = status
        self.first: list[int] = []
        """The statuses of the first answers."""
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                bot.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(bot.first.pop(0) if bot.first else bot.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def wait(self, count: int = 1) -> list[tuple[dict[str, str], str]]:
        deadline = time.monotonic() + PATIENCE
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.got) == count
        return self.got


@pytest.fixture
def bot() -> Iterator[Bot]:
    made = Bot()
    yield made
    made.server.shutdown()
    made.server.server_close()


def unwrap(delivery: tuple[dict[str, str], str], secret: str = DEFAULT_SECRET) -> Any:
    headers, body = delivery
    with linq_sdk.LinqAPIV3(api_key="k", webhook_secret=secret) as client:
        return client.webhooks.unwrap(body, headers=headers)


def reply(linq: Sandbox, chat: str) -> None:
    with client(linq) as http:
        assert send(http, chat, "An answer").status_code == 202


def poll(linq: Sandbox, chat: str) -> dict[str, Any]:
    with client(linq) as http:
        answer = http.post(f"/v3/chats/{chat}/polls", json={"poll": {"options": [{"text": "a"}, {"text": "b"}]}})
    found: dict[str, Any] = answer.json()
    return found


def every_event(bot: Bot, **options: Any) -> tuple[Sandbox, str]:
    """A chat in which each webhook that the sandbox knows has been sent."""
    with Sandbox(webhook=bot.url, settle=0, **options) as linq:
        chat = linq.group(["+12025550111", "+12025550112"])
        linq.write(chat, "Hello bot")
        reply(linq, chat)
        poll(linq, chat)
        linq.fail_messages(times=2)
        reply(linq, chat)
        poll(linq, chat)
        assert linq.wait_for_webhooks(PATIENCE)
        linq.reopen(chat)
        assert linq.wait_for_webhooks(PATIENCE)
    return linq, chat


def model_of(event: str) -> Any:
    """`message.sent`: `MessageSentWebhookEvent`."""
    return getattr(linq_sdk.types, "".join(word.title() for word in event.split(".")) + "WebhookEvent")


EVENTS = {*get_args(WebhookEvent)}


# -- Their shapes


def test_every_webhook_of_the_newer_version_matches_the_sdk_s_types(bot: Bot) -> None:
    """Validated all the way down: no field may be missing."""
    _, chat = every_event(bot)
    events = {}
    for delivery in bot.got:
        unwrap(delivery)
        event = json.loads(delivery[1])
        assert event["webhook_version"] == "2026-02-03"
        events[event["event_type"]] = model_of(event["event_type"]).model_validate_json(delivery[1]).data
    assert set(events) == EVENTS
    for kind, data in events.items():
        assert (data.chat_id if kind == "message.failed" else data.chat.id) == chat


def test_the_newer_version_s_message(bot: Bot) -> None:
    linq, chat = every_event(bot)
    events = {json.loads(body)["event_type"]: json.loads(body)["data"] for _, body in bot.got}
    question, answer, sent_poll, failed, _ = linq.messages(chat)
    received, sent = events["message.received"], events["message.sent"]
    assert (received["id"], received["direction"], received["sender_handle"]["handle"]) == (
        question.id,
        "inbound",
        "+12025550111",
    )
    assert (sent["id"], sent["direction"], sent["sender_handle"]["is_me"]) == (answer.id, "outbound", True)
    assert sent["parts"] == [{"type": "text", "value": "An answer"}]
    assert sent["chat"]["is_group"] is True
    assert sent["chat"]["owner_handle"]["is_me"] is True
    assert events["poll.sent"]["message_id"] == sent_poll.id
    assert events["message.failed"]["message_id"] == failed.id
    assert [events["message.failed"]["code"], events["poll.failed"]["error"]["code"]] == [4001, 4001]
    times = {
        event: [name for name in ("sent_at", "delivered_at", "read_at") if data.get(name)]
        for event, data in events.items()
    }
    for kind in ("message", "poll"):
        assert times[f"{kind}.sent"] == ["sent_at"]
        assert times[f"{kind}.delivered"] == ["sent_at", "delivered_at"]
        assert times[f"{kind}.read"] == ["sent_at", "delivered_at", "read_at"]
    assert times["message.received"] == ["sent_at"]


def test_the_older_version_has_its_own_shape(bot: Bot) -> None:
    linq, chat = every_event(bot, webhook_version="2025-01-01")
    for delivery in bot.got:
        unwrap(delivery)
    events = {json.loads(body)["event_type"]: json.loads(body) for _, body in bot.got}
    assert set(events) == EVENTS
    question, answer, *_ = linq.messages(chat)
    for kind in ("received", "sent", "delivered", "read"):
        event = events[f"message.{kind}"]
        data, message = event["data"], event["data"]["message"]
        mine = kind != "received"
        assert event["webhook_version"] == "2025-01-01"
        assert (data["chat_id"], data["is_from_me"], data["service"]) == (chat, mine, "iMessage")
        assert data["recipient_phone"] == ("+12025550111" if mine else data["message"] and "+12025550100")
        assert message["id"] == (answer if mine else question).id
        assert message["parts"] == [{"type": "text", "value": "An answer" if mine else "Hello bot"}]
        assert (message["is_delivered"], message["is_read"]) == (kind in ("delivered", "read"), kind == "read")
        assert [bool(message[name]) for name in ("sent_at", "delivered_at", "read_at")] == [
            True,
            kind in ("delivered", "read"),
            kind == "read",
        ]
        assert ("received_at" in data) == (not mine)
        assert "chat" not in data
    assert events["message.received"]["data"]["from"] == "+12025550111"


def test_a_poll_s_options_have_the_ids_of_the_answer(bot: Bot) -> None:
    with Sandbox(webhook=bot.url, settle=0) as linq:
        answer = poll(linq, linq.chat())
        assert linq.wait_for_webhooks(PATIENCE)
    for _, body in bot.got:
        assert json.loads(body)["data"]["poll"] == answer["poll"]


def test_a_voice_memo_and_an_idempotency_key(bot: Bot) -> None:
    with Sandbox(webhook=bot.url, settle=0) as linq, client(linq) as http:
        memo = {"voice_memo_url": "https://example.com/a.m4a"}
        http.post(f"/v3/chats/{linq.chat()}/voicememo", json=memo, headers={"Idempotency-Key": "k"})
        assert linq.wait_for_webhooks(PATIENCE)
    data = model_of("message.sent").model_validate_json(bot.got[0][1]).data
    assert [part.type for part in data.parts] == ["media"]
    assert data.idempotency_key == "k"


# -- Their headers


def test_the_legacy_headers_are_sent_as_well(bot: Bot) -> None:
    with Sandbox(webhook=bot.url) as linq:
        chat = linq.chat()
        for _ in range(2):
            linq.write(chat)
        assert linq.wait_for_webhooks(PATIENCE)
    subscriptions = set()
    for headers, body in bot.got:
        signed = f"{headers['x-webhook-timestamp']}.{body}".encode()
        expected = hmac.new(DEFAULT_SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["x-webhook-signature"] == expected
        assert headers["x-webhook-timestamp"] == headers["webhook-timestamp"]
        assert headers["x-webhook-event"] == "message.received"
        assert headers["linq-chat-id"] == chat
        subscriptions.add(headers["x-webhook-subscription-id"])
    assert len(subscriptions) == 1


def test_a_wrong_secret_or_a_changed_body_fails(bot: Bot) -> None:
    with Sandbox(webhook=bot.url) as linq:
        linq.write(linq.chat(), "Pay me 10")
        headers, body = bot.wait()[0]
    for forged, secret in [((headers, body), OTHER_SECRET), ((headers, body.replace("10", "99")), DEFAULT_SECRET)]:
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            unwrap(forged, secret)


def test_another_secret_and_a_fast_clock(bot: Bot) -> None:
    """The signature has the real time, whatever the time scale."""
    with Sandbox(webhook=bot.url, webhook_secret=OTHER_SECRET, time_scale=100_000) as linq:
        time.sleep(0.02)
        linq.write(linq.chat())
        unwrap(bot.wait()[0], OTHER_SECRET)


def test_each_event_has_an_id_of_its_own_which_the_header_repeats(bot: Bot) -> None:
    with Sandbox(webhook=bot.url) as linq:
        for _ in range(3):
            linq.write(linq.chat())
        got = bot.wait(3)
    ids = [json.loads(body)["event_id"] for _, body in got]
    assert len(set(ids)) == 3
    assert [headers["webhook-id"] for headers, _ in got] == ids


# -- The bot's answer


@pytest.mark.parametrize(
    ("status", "tried_again"), [(204, False), (401, False), (302, False), (429, True), (503, True)]
)
def test_the_bot_s_answer_is_reported_and_some_are_tried_again(bot: Bot, status: int, tried_again: bool) -> None:
    bot.first = [status]
    with Sandbox(webhook=bot.url, time_scale=1000) as linq:
        linq.write(linq.chat())
        assert linq.wait_for_webhooks(PATIENCE)
        [webhook] = linq.webhooks
    assert (webhook.status, webhook.error) == (204 if tried_again else status, "")
    assert webhook.outcome == ("delivered" if webhook.status == 204 else "failed")
    assert webhook.attempts == len(bot.got) == 1 + tried_again
    assert webhook.latency is not None
    assert (webhook.event, webhook.url, webhook.body) == ("message.received", bot.url, bot.got[0][1])


def test_each_attempt_is_signed_anew_and_keeps_its_id(bot: Bot) -> None:
    """In modelled time it is late, but its signature is not old."""
    bot.status = 500
    with Sandbox(webhook=bot.url) as linq:
        linq.write(linq.chat())
        assert linq.wait_until(lambda: linq.webhooks and linq.webhooks[0].attempts, PATIENCE)
        linq.time_scale = 10_000  # only now: at this speed one slow attempt may be the last
        assert linq.wait_for_webhooks(PATIENCE)
        assert linq.now >= 1500
    assert len(bot.got) > 1
    assert len({headers["webhook-id"] for headers, _ in bot.got}) == 1
    unwrap(bot.got[-1])


def test_a_bot_that_does_not_listen_is_reported() -> None:
    with Sandbox(webhook="http://127.0.0.1:9/webhook") as linq:
        linq.write(linq.chat())
        assert linq.wait_until(lambda: linq.webhooks and linq.webhooks[0].attempts, PATIENCE)
        [webhook] = linq.webhooks
        assert (webhook.outcome, webhook.status) == ("pending", None)
        assert "refused" in webhook.error
        assert not linq.wait_for_webhooks(0)
    assert linq.wait_for_webhooks(0), "stopping drops it"
    assert linq.webhooks[0].error == "the sandbox has stopped"


def test_a_function_gets_webhooks_without_a_server() -> None:
    got: list[str] = []
    with Sandbox(webhook=got.append, settle=0) as linq:
        reply(linq, linq.chat())
        assert linq.wait_for_webhooks(PATIENCE)
        assert linq.webhook is None
        assert [webhook.url for webhook in linq.webhooks] == ["", ""]
    assert [json.loads(body)["event_type"] for body in got] == ["message.sent", "message.delivered"]


def test_a_function_may_use_the_sandbox(bot: Bot) -> None:
    """It holds no lock: here, each message of the person is answered by a colleague."""

    def answer(body: str) -> None:
        event = json.loads(body)
        if event["event_type"] == "message.received":
            linq.send_as_colleague(event["data"]["chat"]["id"])

    with Sandbox(webhook=answer, settle=0) as linq:
        chat = linq.chat()
        linq.write(chat)
        assert linq.wait_for_webhooks(PATIENCE)
        assert [message.from_colleague for message in linq.messages(chat)] == [False, True]
        assert [webhook.event for webhook in linq.webhooks] == ["message.received", "message.sent", "message.delivered"]


def test_the_faults_of_the_sandbox_s_webhooks() -> None:
    got: list[str] = []
    with Sandbox(webhook=got.append, settle=0, time_scale=1000) as linq:
        chat = linq.chat()
        linq.reorder_webhooks("message.sent", times=1)
        linq.duplicate_webhooks("message.delivered", copies=2, chat=chat)
        linq.delay_webhooks((5, 6), "message.received", times=1)
        linq.send_as_colleague(chat)
        assert linq.wait_for_webhooks(PATIENCE)
        written = linq.write(chat)
        assert linq.wait_for_webhooks(PATIENCE)
        assert linq.now >= written.accepted_at + 5
        assert linq.faults()[0].endpoint == "message.delivered", "the others are used up"
    kinds = [json.loads(body)["event_type"] for body in got]
    assert kinds == [*["message.delivered"] * 3, "message.sent", "message.received"]


def test_no_thread_is_left_once_all_is_delivered() -> None:
    with Sandbox(webhook=lambda body: None) as linq:
        linq.send_as_colleague(linq.chat())
        assert linq.wait_for_webhooks(PATIENCE)
    threads = [thread for thread in threading.enumerate() if thread.name == "linq-webhook"]
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_without_a_webhook_nothing_is_posted_and_it_may_be_set_later(bot: Bot) -> None:
    with Sandbox() as linq:
        chat = linq.chat()
        linq.write(chat, "not sent")
        linq.set_webhook(bot.url, secret=OTHER_SECRET, version="2025-01-01")
        linq.write(chat, "sent")
        delivery = bot.wait()[0]
        unwrap(delivery, OTHER_SECRET)
        assert json.loads(delivery[1])["data"]["message"]["parts"][0]["value"] == "sent"
        linq.set_webhook(None)
        linq.write(chat, "not sent either")
        assert len(linq.webhooks) == 1
        assert linq.webhook is None
        assert linq.webhook_secret == OTHER_SECRET


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"webhook": "localhost:8000"}, "webhook must be an http"),
        ({"webhook": "http://"}, "webhook must be an http"),
        ({"webhook_secret": "whsec_"}, "webhook_secret must be base64"),
        ({"webhook_secret": "whsec_abcde"}, "webhook_secret must be base64"),
        ({"webhook_version": "2024-01-01"}, "webhook_version must be one of 2025-01-01, 2026-02-03"),
    ],
)
def test_bad_settings_are_rejected(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Sandbox(**given)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "standardwebhooks", None)
    with pytest.raises(ImportError, match=r'webhooks need standardwebhooks: pip install "linq-typing\[sandbox\]"'):
        Sandbox(webhook="http://127.0.0.1:9/webhook")
