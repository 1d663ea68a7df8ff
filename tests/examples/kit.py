"""An example in a process of its own, whose model answers when the test says so."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from linq_typing.sandbox import Sandbox, Timeline
from patience import PATIENCE, PATIENT
from ports import reserved_port

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()

#: Runs a file or a module (a server, say, that imports the example), in which each answer of the model waits until the
#: file HOLD is removed, and until no typing request is in flight. However busy the machine is, its message is soon
#: enough to need no stop, and its end waits until the stops are out.
RUN = f"""{PATIENT}
import asyncio, os, pathlib, runpy, sys, time, types
from linq_typing import TypingManager, current_session

TypingManager.__init__.__kwdefaults__["stop_delay"] = float(os.environ.get("STOP_DELAY", 60))
hold = pathlib.Path(os.environ["HOLD"])

def thinking():
    if hold.exists() or current_session()._engine.stats().in_flight:
        return True
    hold.touch()  # for the next answer
    return False

def answer(text):
    while thinking():
        time.sleep(0.01)
    return f"You said: {{text}}"

async def answer_async(text):
    while thinking():
        await asyncio.sleep(0.01)
    return f"You said: {{text}}"

async def stream(text):
    for number in (1, 2):
        await answer_async(text)
        yield f"Thought {{number}} about: "
        yield f"{{text}} \\n\\n"

sys.modules["fake_llm"] = types.SimpleNamespace(answer=answer, answer_async=answer_async, stream=stream)
del sys.argv[0]
run = runpy.run_path if sys.argv[0].endswith(".py") else runpy.run_module
run(sys.argv[0], run_name="__main__")
"""


class Example:
    """An example that runs in a process of its own: a file, or a module that gets `arguments`."""

    def __init__(
        self, name: str, linq: Sandbox, chat: str, hold: Path, *, arguments: Sequence[str] = (), **variables: str
    ) -> None:
        self._linq, self._chat, self.hold = linq, chat, hold
        self._answers = 0
        hold.touch()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LINQ_", "COV_"))}
        env = {**inherited, **linq.env(), "LINQ_CHAT_ID": chat, "HOLD": str(hold), **variables}
        strict = ["-W", "error"] if name.endswith(".py") else []  # modules of others may warn
        command = [sys.executable, *strict, "-c", RUN, name, *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=EXAMPLES, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def __enter__(self) -> Example:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def answer_once_it_shows(self) -> None:
        """Let the model give an answer, as soon as the indicator shows by a start that came after the last answer."""
        assert self._linq.wait_until(lambda: self._shows() and self.hold.exists())
        self._answers += 1
        self.hold.unlink()

    def _shows(self) -> bool:
        return len(self._linq.timeline(self._chat).starts) > self._answers and self._linq.visible(self._chat)

    def type(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def finish(self) -> str:
        """Wait for the end; returns what it printed."""
        out, err = self.process.communicate(timeout=3 * PATIENCE)
        assert self.process.returncode == 0, err
        assert "Traceback" not in err, err
        assert "Warning" not in err, err
        return out


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

    def __init__(
        self, name: str, linq: Sandbox, chat: str, hold: Path, *arguments: str, stop_delay: float = PATIENCE
    ) -> None:
        self._reserved = ExitStack()
        self.port = self._reserved.enter_context(reserved_port())
        variables = {"PORT": str(self.port), "UVICORN_PORT": str(self.port), "LINQ_WEBHOOK_SECRET": SECRET}
        super().__init__(name, linq, chat, hold, arguments=arguments, STOP_DELAY=str(stop_delay), **variables)
        self.url = f"http://127.0.0.1:{self.port}/webhook"
        assert linq.wait_until(lambda: self._listens() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._reserved.close()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def deliver(self, event: dict[str, Any], **headers: str) -> int:
        """Post a webhook; returns the status."""
        body = json.dumps(event)
        headers = {"content-type": "application/json", **signed(body), **headers}
        return httpx.post(self.url, content=body, headers=headers, timeout=3 * PATIENCE, verify=False).status_code

    def terminate(self) -> str:
        """SIGTERM, as a deployment does it; returns what was logged."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=3 * PATIENCE)[1]


def check_reply_to_webhook(bot: Bot, linq: Sandbox, chat: str) -> None:
    """The webhook is answered at once, and the reply follows: with one start, and no stop."""
    assert bot.deliver(payload("2026-02-03", chat, "Hello bot")) == 204
    assert not linq.messages(chat)
    bot.answer_once_it_shows()
    assert linq.wait_until(lambda: linq.messages(chat))
    assert "Traceback" not in bot.terminate()
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send"
    assert timeline.messages[0].text == "You said: Hello bot"
    assert_shown_until_the_message(timeline)
