"""What is checked of each Python block: the requests that it makes in `chat_id`, and what it defines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest

import linq_typing
import linq_typing.testing
from linq_typing.sandbox._app import DEFAULT_API_KEY
from patience import PATIENCE

from .kit import MODULES, Modules, Names, blocks_of


def nothing(names: Names) -> None:
    """It does all by itself."""


class Check(NamedTuple):
    """What is expected of a block."""

    heading: str
    #: What it asks of the API, in order: a regular expression for "start send stop".
    requests: str = ""
    #: What to do with its names afterwards, for a block that only defines something.
    then: Callable[[Names], None] = nothing
    modules: Modules = MODULES
    #: A package that it needs without importing it.
    needs: str = ""


# -- What to do after a block


def event_in(chat_id: str, text: str = "hello") -> dict[str, Any]:
    """What Linq posts for a message that a person wrote."""
    data = {"chat": {"id": chat_id}, "parts": [{"type": "text", "value": text}]}
    return {"event_type": "message.received", "event_id": "e-1", "data": data}


def signed(names: Names, body: str) -> dict[str, str]:
    """The headers of a webhook."""
    from datetime import datetime, timezone

    from standardwebhooks import Webhook

    at = datetime.now(timezone.utc)
    signature = Webhook(names["sandbox"].webhook_secret).sign("e-1", at, body)
    return {"webhook-id": "e-1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def answered(names: Names) -> None:
    """The last message in the chat is the bot's answer."""
    messages = names["sandbox"].messages(names["chat_id"])
    assert [message.text for message in messages] == ["hello, answered"]


def serve(names: Names) -> None:
    """A webhook to an ASGI application, and a second lifespan."""
    app, body = names["app"], json.dumps(event_in(names["chat_id"]))

    async def deliver(content: str, status: int) -> None:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, verify=False) as client:
            answer = await client.post("http://bot/webhook", content=content, headers=signed(names, body))
            assert answer.status_code == status

    asyncio.run(deliver(body, 204))
    if "indicator" in names:
        answered(names)
        asyncio.run(deliver(body.replace("hello", "hacked"), 401))


def serve_flask(names: Names) -> None:
    """A webhook to a WSGI application; the reply comes from a thread."""
    assert names["app"].test_client().post("/webhook", json=event_in(names["chat_id"])).status_code == 204
    names["pool"].shutdown()
    answered(names)


def serve_django(names: Names) -> None:
    """A webhook to a view; the reply comes from a thread."""
    configured_django()
    from django.test import RequestFactory

    body = json.dumps(event_in(names["chat_id"]))
    request = RequestFactory().post("/webhook", body, content_type="application/json")
    assert names["webhook"](request).status_code == 204
    names["pool"].shutdown()
    answered(names)


def configured_django() -> None:
    """Django's settings, made once in a process."""
    from django.conf import settings

    if not settings.configured:
        settings.configure(LINQ_API_KEY=DEFAULT_API_KEY)


def configure_django(names: Names) -> None:
    """The key of the settings is used."""
    configured_django()
    del os.environ["LINQ_API_V3_API_KEY"]  # the fixture puts it back
    names["BotConfig"].ready(None)
    type_by(names)


def exit_worker(names: Names) -> None:
    """gunicorn's hook."""
    with linq_typing.typing_while(names["chat_id"]):
        names["slow_llm"]("hello")
        names["worker_exit"](None, None)


def invoke(names: Names) -> None:
    """What AWS does."""
    assert names["handler"]({"body": json.dumps(event_in(names["chat_id"]))}, None) == {"statusCode": 204}
    answered(names)


def reply_once(names: Names) -> None:
    """As a process of a pool does."""
    names["reply"](names["chat_id"])


def exits_on_sigterm(names: Names) -> None:
    """The handler ends the process by an exception, so `atexit` runs."""
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler)
    with pytest.raises(SystemExit):
        handler(signal.SIGTERM, None)


def read_stream(names: Names) -> None:
    """The whole answer; for a reader who goes away see tests/behaviour/test_streaming.py."""

    async def main() -> None:
        transport = httpx.ASGITransport(names["app"])
        async with httpx.AsyncClient(transport=transport, verify=False) as client:
            answer = await client.get(f"http://bot/stream/{names['chat_id']}", params={"text": "hi"})
            assert answer.text == "hi, answered "

    asyncio.run(main())


def call_decorated(names: Names) -> None:
    """Each of the functions that are there, in a chat of its own."""
    sandbox = names["sandbox"]
    if "reply" in names:
        assert asyncio.run(names["reply"](names["chat_id"], "hi")) == "hi, answered"
    assert names["on_event"](event_in(sandbox.chat())) == "hello, answered"
    if "on_any_event" in names:
        new, old = sandbox.chat(), sandbox.chat()
        assert names["on_any_event"](event_in(new)) == f"a message in {new}, answered"
        assert names["on_any_event"]({"data": {"chat_id": old}}) == f"a message in {old}, answered"
        assert names["on_job"](f"job:{sandbox.chat()}")


def reply_for_customers(names: Names) -> None:
    """Each has a manager of its own."""
    assert asyncio.run(names["reply"]("one", names["chat_id"], "hi")) == "hi, answered"
    assert asyncio.run(names["reply"]("two", names["sandbox"].chat(), "hi")) == "hi, answered"
    assert len(names["managers"]) == 2
    assert all(manager.close() for manager in names["managers"].values())


def counted(names: Names) -> None:
    """One of each."""
    assert (names["counts"]["started"], names["counts"]["stopped"]) == (1, 1)


def scraped(names: Names) -> None:
    """What Prometheus reads."""
    from prometheus_client import REGISTRY

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"linq_typing_{name}", labels) or 0.0

    before = value("events_total", kind="stopped", action="stop")
    with linq_typing.typing_while(names["chat_id"]):
        names["slow_llm"]("hello")
        assert value("shown") == 1
    linq_typing.flush()
    assert value("events_total", kind="stopped", action="stop") == before + 1
    assert value("request_duration_seconds_count", action="start", outcome="accepted") >= 1


def exported(names: Names) -> None:
    """No SDK is set up: OpenTelemetry's own stand-in takes everything."""
    with linq_typing.typing_while(names["chat_id"]):
        names["slow_llm"]("hello")


def two_tenants(names: Names) -> None:
    assert len(names["tenants"]) == 2
    assert all(tenant.close() for tenant in names["tenants"])


def type_by(names: Names) -> None:
    """A session of the manager that was configured."""
    with linq_typing.typing_while(names["chat_id"]):
        names["slow_llm"]("hello")


def run_the_test(names: Names) -> None:
    """The page's test of a bot; and it fails for a bot that does not answer."""
    with linq_typing.testing.sandbox() as linq:
        names["test_it_answers"](linq)
        names["reply"] = lambda chat_id, text: None
        with pytest.raises(AssertionError):
            names["test_it_answers"](linq)


def observe_a_colleague(names: Names) -> None:
    """The message of somebody else quiets the session; a forged one is refused."""
    sandbox, chat, posted = names["sandbox"], names["chat_id"], list[str]()
    events: list[str] = []
    linq_typing.configure(on_event=lambda event: events.append(event.kind))

    async def deliver(body: str, headers: dict[str, str]) -> int:
        transport = httpx.ASGITransport(names["app"])
        async with httpx.AsyncClient(transport=transport, verify=False) as client:
            return (await client.post("http://bot/webhook", content=body, headers=headers)).status_code

    with linq_typing.typing_while(chat):
        names["slow_llm"]("hello")
        sandbox.set_webhook(posted.append)
        sandbox.send_as_colleague(chat)
        assert sandbox.wait_until(lambda: posted, PATIENCE)
        headers = signed(names, posted[0])
        assert asyncio.run(deliver(posted[0], headers)) == 204
        assert sandbox.wait_until(lambda: "message_sent" in events, PATIENCE)
        assert asyncio.run(deliver(posted[0].replace("sent", "read"), headers)) == 401


# -- The tutorial: its test imports its bot


def the_bot(names: Names) -> object:
    """bot.py, made from the block."""
    block = next(block for block in blocks_of("docs/tutorial.md") if "app = FastAPI()" in block.code)
    block.run(names, TUTORIAL)
    return SimpleNamespace(reply=names["reply"])


def test_the_bot(names: Names) -> None:
    """The tutorial's test."""
    with linq_typing.testing.sandbox() as linq:
        names["sandbox"] = linq
        names["test_it_answers"](linq)


TUTORIAL: Modules = {**MODULES, "bot": the_bot}

README: list[Check] = [
    Check("linq-typing", "start stop"),
    Check("With the official SDK", "start send"),
    Check("Async", "start send"),
    Check("Decorator", "start stop", call_decorated),
    Check("Messages sent another way", "start send"),
    Check("Test your bot", "", run_the_test),
]

PAGES: Mapping[str, list[Check]] = {
    "docs/index.md": [Check("linq-typing", "start stop")],
    "docs/tutorial.md": [
        Check("Show the indicator", "start stop", modules=TUTORIAL),
        Check("Answer a message", "start send", serve, TUTORIAL),
        Check("Test it", "", test_the_bot, TUTORIAL),
    ],
    "docs/how-to/fastapi.md": [Check("A webhook server with FastAPI", "start send", serve)],
    "docs/how-to/flask.md": [
        Check("A webhook server with Flask", "start send", serve_flask),
        Check("A webhook server with Flask", "start stop", exit_worker),
    ],
    "docs/how-to/django.md": [
        Check("In threads, over WSGI", "start send", serve_django),
        Check("Settings", "start stop", configure_django),
    ],
    "docs/how-to/aws-lambda.md": [Check("On AWS Lambda", "start send", invoke)],
    "docs/how-to/exit.md": [
        Check("SIGTERM", "", exits_on_sigterm),
        Check("Processes and forks", "start stop", reply_once),
    ],
    "docs/how-to/messages.md": [
        Check("Every httpx client of the process", "start send"),
        Check("Another library, a queue, another service", "start send"),
        Check("Another library, a queue, another service", "start send"),
    ],
    "docs/how-to/streaming.md": [
        Check("One message per paragraph", "start send start send"),
        Check("Over HTTP", "start stop", read_stream),
    ],
    "docs/how-to/approval.md": [Check("Wait for a person's approval", "start stop( start)? send( start)?( stop)?")],
    "docs/how-to/testing.md": [
        Check("With pytest", "", run_the_test),
        Check("Without pytest"),
        Check("Without a sandbox"),
        Check("At real speed, with your own settings"),
    ],
    "docs/how-to/webhooks.md": [Check("Let webhooks help", "start( stop)?", observe_a_colleague)],
    "docs/how-to/many-processes.md": [
        Check("Turn it on", "start stop", type_by, needs="redis"),
        Check("Turn it on", "", needs="redis"),
    ],
    "docs/how-to/metrics.md": [
        Check("Prometheus", "start stop", scraped),
        Check("OpenTelemetry", "start stop", exported, needs="opentelemetry"),
        Check("Several managers", "", two_tenants),
        Check("Anything else", "start stop", counted),
    ],
    "docs/how-to/api-keys.md": [Check("Several API keys", "start stop", reply_for_customers)],
    "docs/how-to/many-chats.md": [Check("Thousands of chats", "start stop", type_by)],
    "docs/reference/options.md": [Check("Where the chat id is", "", call_decorated)],
}
