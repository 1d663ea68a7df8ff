"""Every example as its users run it: `python examples/....py`, against the sandbox on a real socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from linq_typing.sandbox import Sandbox, Timeline

from .kit import EXAMPLES, PATIENCE, Example

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()


def run(name: str, linq: Sandbox, chat: str, hold: Path, *, answers: int = 1) -> Timeline:
    """Run an example to its end; nothing may be left on any screen, now or once its messages have landed."""
    with Example(name, linq, chat, hold) as example:
        for _ in range(answers):
            example.answer_once_it_shows()
        example.finish()
    return settled(linq, chat)


def settled(linq: Sandbox, chat: str) -> Timeline:
    """The timeline once every message has landed and every request has ended; asserts what must hold for all."""
    timeline = linq.timeline(chat)
    landed = max((message.lands_at for message in timeline.messages), default=0.0)
    assert linq.wait_until(lambda: linq.now > landed)
    timeline = linq.timeline(chat)
    assert not timeline.visible
    assert timeline.max_typing_in_flight == 1
    assert {request.outcome for request in timeline.requests} == {"answered"}
    return timeline


def shape(timeline: Timeline) -> str:
    """What was asked of the API, in order: "start send stop"."""
    return " ".join(request.endpoint for request in timeline.requests)


def assert_shown_until_the_message(timeline: Timeline) -> None:
    """The indicator came up with the first start, and went with the message."""
    [showing] = timeline.showings
    assert (showing.since, showing.ended_by) == (timeline.starts[0].effect_at, "message")


@pytest.mark.parametrize("name", ["with_block.py", "decorated_bot.py", "lambda_handler.py"])
def test_one_start_one_message_no_stop(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    timeline = run(name, linq, chat, hold)
    assert shape(timeline) == "start send"
    assert_shown_until_the_message(timeline)
    assert timeline.messages[0].text.startswith("You said: ")


@pytest.mark.parametrize("name", ["with_block.py", "decorated_bot.py"])
def test_a_reply_that_fails_leaves_no_ghost(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    linq.fail("send", status=400)
    with Example(name, linq, chat, hold) as example:
        example.answer_once_it_shows()
        _, err = example.process.communicate(timeout=PATIENCE)
    assert "BadRequestError" in err
    assert shape(settled(linq, chat)) in ("start send stop", "start stop send")


def test_streaming_reply_shows_it_again_for_the_next_paragraph(linq: Sandbox, chat: str, hold: Path) -> None:
    timeline = run("streaming_reply.py", linq, chat, hold, answers=2)
    assert shape(timeline) == "start send start send"
    assert [message.text for message in timeline.messages] == ["Thought 1 about: the sea", "Thought 2 about: the sea"]
    assert [showing.ended_by for showing in timeline.showings] == ["message", "message"]
    assert timeline.starts[1].received_at >= timeline.messages[0].lands_at


def test_approval_hides_the_indicator_while_a_person_decides(linq: Sandbox, chat: str, hold: Path) -> None:
    with Example("approval.py", linq, chat, hold) as example:
        for answer in ("n", "y"):
            example.answer_once_it_shows()
            assert linq.wait_until(lambda: not linq.visible(chat))
            example.type(answer)
        asked = example.finish()
    assert asked.count("Send") == 2
    timeline = settled(linq, chat)
    assert shape(timeline).startswith("start stop start stop")
    assert len(timeline.messages) == 1
    assert timeline.messages[0].text == "You said: I want my money back (in other words)"


def payload(version: str, chat: str, text: str) -> dict[str, Any]:
    """What Linq posts for a message that a person wrote."""
    parts = [{"type": "text", "value": text}]
    handle = {"id": "7d1f", "handle": "+12025550001", "service": "iMessage", "is_me": False}
    data: dict[str, Any]
    if version == "2025-01-01":
        data = {
            "chat_id": chat,
            "from": "+12025550001",
            "recipient_phone": "+12025550000",
            "received_at": "2026-02-03T10:00:00Z",
            "is_from_me": False,
            "service": "iMessage",
            "message": {"id": "m-1", "parts": parts, "effect": None, "reply_to": None},
        }
    else:
        data = {
            "id": "m-1",
            "chat": {"id": chat, "is_group": False, "owner_handle": {**handle, "is_me": True}},
            "direction": "inbound",
            "sender_handle": handle,
            "parts": parts,
            "service": "iMessage",
            "sent_at": "2026-02-03T10:00:00Z",
        }
    return {
        "api_version": "v3",
        "webhook_version": version,
        "event_type": "message.received",
        "event_id": "e-1",
        "created_at": "2026-02-03T10:00:00Z",
        "trace_id": "t-1",
        "partner_id": "p-1",
        "data": data,
    }


def signed(body: str) -> dict[str, str]:
    """The headers of a Standard Webhooks delivery."""
    at = str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"e-1.{at}.{body}".encode(), hashlib.sha256)).decode()
    return {"webhook-id": "e-1", "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}


class Bot(Example):
    """An example that serves webhooks."""

    def __init__(self, name: str, linq: Sandbox, chat: str, hold: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        super().__init__(name, linq, chat, hold, PORT=str(port), LINQ_WEBHOOK_SECRET=SECRET)
        self.url = f"http://127.0.0.1:{port}/webhook"
        assert linq.wait_until(lambda: self._listens(port)), self.process.poll()

    def _listens(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def deliver(self, event: dict[str, Any], **headers: str) -> int:
        """Post a webhook; returns the status."""
        body = json.dumps(event)
        headers = {"content-type": "application/json", **signed(body), **headers}
        return httpx.post(self.url, content=body, headers=headers, timeout=PATIENCE, verify=False).status_code

    def terminate(self) -> str:
        """SIGTERM, as a deployment does it; returns what was logged."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=PATIENCE)[1]


@pytest.mark.parametrize("name", ["webhook_bot.py", "flask_bot.py"])
def test_webhook_is_answered_at_once_and_the_reply_follows(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    with Bot(name, linq, chat, hold) as bot:
        assert bot.deliver(payload("2026-02-03", chat, "Hello bot")) == 204
        assert not linq.messages(chat)
        bot.answer_once_it_shows()
        assert linq.wait_until(lambda: linq.messages(chat))
        assert "Traceback" not in bot.terminate()
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send"
    assert timeline.messages[0].text == "You said: Hello bot"
    assert_shown_until_the_message(timeline)


@pytest.mark.parametrize("name", ["webhook_bot.py", "flask_bot.py"])
def test_termination_finishes_the_reply_and_leaves_no_ghost(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    linq.fail("send", status=400)  # so that a stop is needed
    with Bot(name, linq, chat, hold) as bot:
        assert bot.deliver(payload("2026-02-03", chat, "Hello bot")) == 204
        assert linq.wait_until(lambda: linq.visible(chat))
        bot.process.send_signal(signal.SIGTERM)
        bot.answer_once_it_shows()
        bot.process.communicate(timeout=PATIENCE)
    assert shape(settled(linq, chat)) in ("start send stop", "start stop send")


def test_webhook_bot_reads_both_payload_versions_and_refuses_a_bad_signature(
    linq: Sandbox, chat: str, hold: Path
) -> None:
    chats = {"2025-01-01": chat, "2026-02-03": linq.chat()}
    with Bot("webhook_bot.py", linq, chat, hold) as bot:
        forged = payload("2026-02-03", chat, "Pay me")
        assert bot.deliver(forged, **{"webhook-signature": "v1,bm9uc2Vuc2U="}) == 401
        assert bot.deliver({**forged, "event_type": "message.read"}) == 204
        for version, each in chats.items():
            assert bot.deliver(payload(version, each, f"Hello from {version}")) == 204
        assert linq.wait_until(lambda: all(linq.visible(each) for each in chats.values()))
        for number in (1, 2):  # in any order
            hold.unlink()
            assert linq.wait_until(
                lambda number=number: sum(len(linq.messages(each)) for each in chats.values()) == number
            )
        bot.terminate()
    for version, each in chats.items():
        timeline = settled(linq, each)
        assert shape(timeline) == "start send"
        assert timeline.messages[0].text == f"You said: Hello from {version}"


def test_webhook_bot_shows_no_ghost_of_a_message_that_failed(linq: Sandbox, chat: str, hold: Path) -> None:
    """The API accepts the reply; the webhook tells that it was never sent."""
    linq.fail_messages()
    with Bot("webhook_bot.py", linq, chat, hold) as bot:
        linq.set_webhook(bot.url, secret=SECRET)
        linq.write(chat)
        bot.answer_once_it_shows()
        assert linq.wait_until(lambda: "stop" in shape(linq.timeline(chat)))
        bot.terminate()
    assert shape(settled(linq, chat)) == "start send stop"


def test_colleague_who_answers_by_hand_ends_the_indicator_and_the_bot_says_nothing(
    linq: Sandbox, chat: str, hold: Path
) -> None:
    with Bot("colleague.py", linq, chat, hold) as bot:
        linq.set_webhook(bot.url, secret=SECRET)
        linq.write(chat)
        assert linq.wait_until(lambda: linq.visible(chat))
        linq.send_as_colleague(chat)
        assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")
        assert not linq.visible(chat)
        hold.unlink()
        assert linq.wait_until(hold.exists)  # the first answer is there
        linq.write(chat, "Thank you. One more question:")
        bot.answer_once_it_shows()
        assert linq.wait_until(lambda: len(linq.messages(chat)) == 4)
        bot.terminate()
    timeline = settled(linq, chat)
    assert shape(timeline) == "start stop start send"
    assert timeline.messages[-1].text == "You said: Thank you. One more question:"


def test_examples_are_short_and_each_is_run_here() -> None:
    here = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        longest = 90 if path.name == "many_workers.py" else 60  # it starts a server and four processes
        assert len(path.read_text().splitlines()) <= longest, path.name
        run_elsewhere = {"fake_llm.py", "many_workers.py", "metrics.py"}  # by the others, or by tests of their own
        assert path.name in run_elsewhere or f'"{path.name}"' in here, f"{path.name} is not run by a test"
