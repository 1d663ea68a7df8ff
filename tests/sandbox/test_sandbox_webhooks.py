"""Webhooks as Linq posts them: read and verified with the official SDK."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from linq_typing.sandbox import Sandbox
from linq_typing.sandbox._webhooks import DEFAULT_SECRET

from .kit import PATIENCE, client, send

standardwebhooks = pytest.importorskip("standardwebhooks")
linq_sdk = pytest.importorskip("linq")
MessageReceivedWebhookEvent = linq_sdk.types.MessageReceivedWebhookEvent

OTHER_SECRET = "whsec_" + base64.b64encode(b"the secret of another bot, not us").decode()


class Bot:
    """A bot that keeps the webhooks it receives."""

    def __init__(self, status: int = 204) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.status = status
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                bot.got.append((dict(self.headers), body))
                self.send_response(bot.status)
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


def deliveries(linq: Sandbox) -> list[dict[str, Any]]:
    found = httpx.get(f"{linq.url}sandbox/state", verify=False).json().get("webhooks", [])
    return [webhook for webhook in found if webhook["latency"] is not None]


def test_the_newer_version_matches_the_sdk_s_types(bot: Bot) -> None:
    with Sandbox(webhook=bot.url) as linq:
        chat = linq.group(["+12025550111", "+12025550112"])
        message = linq.write(chat, "Hello bot")
        unwrap(bot.wait()[0])
    event = MessageReceivedWebhookEvent.model_validate_json(bot.got[0][1])  # strictly: no field may be missing
    assert (event.event_type, event.webhook_version, event.data.id) == ("message.received", "2026-02-03", message.id)
    assert (event.data.chat.id, event.data.chat.is_group, event.data.direction) == (chat, True, "inbound")
    assert event.data.chat.owner_handle.is_me is True
    assert event.data.sender_handle.handle == "+12025550111"
    assert [part.value for part in event.data.parts] == ["Hello bot"]
    assert event.data.sent_at is not None
    assert event.data.read_at is None


def test_the_older_version_has_its_own_shape(bot: Bot) -> None:
    with Sandbox(webhook=bot.url, webhook_version="2025-01-01") as linq:
        chat = linq.sms("+12025550111")
        message = linq.write(chat, "Hello bot")
        delivery = bot.wait()[0]
        unwrap(delivery)
    event = json.loads(delivery[1])
    data = event["data"]
    assert (event["event_type"], event["webhook_version"]) == ("message.received", "2025-01-01")
    assert (data["chat_id"], data["from"], data["is_from_me"]) == (chat, "+12025550111", False)
    assert data["service"] == "SMS"
    assert data["message"]["id"] == message.id
    assert data["message"]["parts"] == [{"type": "text", "value": "Hello bot"}]
    assert "chat" not in data


@pytest.mark.parametrize("version", ["2025-01-01", "2026-02-03"])
def test_reopening_reads_the_latest_message_once(bot: Bot, version: Any) -> None:
    with Sandbox(webhook=bot.url, webhook_version=version, settle=0) as linq:
        chat = linq.chat()
        linq.reopen(chat)
        reply(linq, chat)
        linq.reopen(chat)
        linq.reopen(chat)
        bot.wait(1)
        time.sleep(0.1)
        [delivery] = bot.got
        unwrap(delivery)
        message = linq.messages(chat)[0]
    data = json.loads(delivery[1])["data"]
    assert json.loads(delivery[1])["event_type"] == "message.read"
    assert data["read_at"]
    assert (data["message"]["id"] if "message" in data else data["id"]) == message.id
    assert data.get("is_from_me", True) is True
    assert data.get("direction", "outbound") == "outbound"


def test_a_message_that_has_not_landed_cannot_be_read(bot: Bot) -> None:
    with Sandbox(webhook=bot.url, settle=60) as linq:
        chat = linq.chat()
        reply(linq, chat)
        linq.reopen(chat)
        time.sleep(0.1)
    assert bot.got == []


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


def test_the_bot_s_answer_is_reported(bot: Bot) -> None:
    bot.status = 401
    with Sandbox(webhook=bot.url) as linq:
        linq.write(linq.chat())
        assert linq.wait_until(lambda: deliveries(linq))
        [delivery] = deliveries(linq)
    assert (delivery["status"], delivery["error"], delivery["event"]) == (401, "", "message.received")


def test_a_bot_that_does_not_listen_is_reported() -> None:
    with Sandbox(webhook="http://127.0.0.1:9/webhook") as linq:
        linq.write(linq.chat())
        assert linq.wait_until(lambda: deliveries(linq))
        [delivery] = deliveries(linq)
    assert delivery["status"] is None
    assert "refused" in delivery["error"]


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
        assert len(deliveries(linq)) == 1
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
