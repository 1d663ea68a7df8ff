"""What is read from webhooks: both payload versions, as JSON or as the SDK's objects, and whatever else may come."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st
from linq import LinqAPIV3

from linq_typing import TypingManager
from linq_typing._core.observations import Observation
from linq_typing.sandbox import Sandbox
from linq_typing.webhooks import read

NOW = datetime(2026, 2, 3, 10, 0, 30, tzinfo=timezone.utc)
CHAT = "11111111-2222-4333-8444-555555555555"
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()


def event(event_type: str = "message.sent", created_at: object = "2026-02-03T10:00:00Z", **data: Any) -> dict[str, Any]:
    """A webhook of the version of 2026, 30 s old."""
    data = {"id": "m-1", "chat": {"id": CHAT, "is_group": False}, "direction": "outbound", **data}
    return {"event_type": event_type, "event_id": "e-1", "created_at": created_at, "data": data}


def event_2025(event_type: str = "message.sent", **data: Any) -> dict[str, Any]:
    """The same of the version of 2025."""
    data = {"chat_id": CHAT, "is_from_me": True, "message": {"id": "m-1", "parts": []}, **data}
    return {"event_type": event_type, "event_id": "e-1", "created_at": "2026-02-03T10:00:00Z", "data": data}


def observation(kind: Any = "sent", age: float = 30.0) -> Observation:
    return Observation(kind, CHAT, "m-1", "e-1", age)


@pytest.mark.parametrize("kind", ["sent", "delivered", "failed", "read"])
@pytest.mark.parametrize("make", [event, event_2025])
@pytest.mark.parametrize("of", ["message", "poll"])
def test_both_versions_are_read(make: Any, of: str, kind: str) -> None:
    assert read(make(f"{of}.{kind}"), NOW) == observation(kind)


@pytest.mark.parametrize(
    "form",
    [json.dumps, lambda e: json.dumps(e).encode(), lambda e: bytearray(json.dumps(e).encode()),
     lambda e: memoryview(json.dumps(e).encode())],
)  # fmt: skip
def test_json_may_be_text_or_bytes(form: Any) -> None:
    assert read(form(event()), NOW) == observation()


def test_polls_and_failures_name_the_message_elsewhere() -> None:
    """And a failure may name no chat."""
    poll = {"message_id": "m-1", "chat": {"id": CHAT}, "direction": "outbound"}
    assert read({**event("poll.sent"), "data": poll}, NOW) == observation()
    failure = {"chat_id": None, "message_id": "m-1", "code": 4001}
    assert read({**event("message.failed"), "data": failure}, NOW) == observation("failed")._replace(chat_id="")


@pytest.mark.parametrize("chat", [CHAT.upper(), f"{{{CHAT}}}"])
def test_chat_ids_are_canonical(chat: str) -> None:
    found = read(event(chat={"id": chat.strip("{}")}), NOW)
    assert found is not None
    assert found.chat_id == CHAT


@pytest.mark.parametrize(
    "echo",
    [event("message.received"), event_2025("message.received"),
     event("message.received", direction=None, sender_handle={"is_me": True})],
)  # fmt: skip
def test_an_echo_of_an_own_message_says_that_it_was_sent(echo: dict[str, Any]) -> None:
    assert read(echo, NOW) == observation()


@pytest.mark.parametrize(
    "nothing",
    [
        event("message.received", direction="inbound"),
        event("message.received", direction=None),
        event_2025("message.received", is_from_me=False),
        event_2025("message.read", is_from_me=False),
        event("message.sent", direction=None, sender_handle={"is_me": False}),
        event("message.edited"),
        event("reaction.added"),
        event("chat.typing_indicator.started"),
        event("xmessage.sentx"),
        event(reconciled_at="2026-02-03T10:00:00Z"),
        event(created_at="2026-02-03T09:59:29Z"),
        event(created_at="yesterday"),
        event(created_at="2026-02-31T10:00:00Z"),
        event(created_at=17),
        event(id=None),
        event(id=7),
        event(id="m" * 201),
        event(chat={"id": "no UUID"}),
        event(chat=None),
        event("message.read", chat={"id": None}),
        {**event(), "data": None},
        {**event(), "data": []},
        {**event(), "event_type": 5},
        {},
        [],
        None,
        "",
        b"\xff\xfe",
        "{",
        "[" * 100_000,
        "9" * 10_000,
        json.dumps(event(text="x" * 1_048_576)),
        range(3),
        datetime.max,
    ],
    ids=str,
)
def test_what_says_nothing(nothing: object) -> None:
    """Inbound, something else, history, too old, malformed, or too long."""
    assert read(nothing, NOW) is None


@pytest.mark.parametrize(
    "created_at",
    [
        "2026-02-03T10:00:00Z",
        "2026-02-03T10:00:00.0Z",
        "2026-02-03T10:00:00.000000000Z",
        "2026-02-03t10:00:00.000z",
        "2026-02-03 10:00:00",
        "2026-02-03T11:00:00+01:00",
        "2026-02-03T04:30:00.00-0530",
        datetime(2026, 2, 3, 10, 0, tzinfo=timezone.utc),
        datetime(2026, 2, 3, 10, 0),
        datetime(2026, 2, 3, 12, 0, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=str,
)
def test_moments_are_read_in_all_their_forms(created_at: object) -> None:
    assert read(event(created_at=created_at), NOW) == observation()


def test_nine_digits_of_a_second_are_read() -> None:
    found = read(event(created_at="2026-02-03T10:00:00.123456789Z"), NOW)
    assert found is not None
    assert found.age == pytest.approx(29.876544, abs=1e-9)


@pytest.mark.parametrize("created_at", ["2026-02-03T10:05:00Z", None])
def test_a_clock_that_goes_wrong_makes_no_negative_age(created_at: object) -> None:
    assert read(event(created_at=created_at), NOW) == observation(age=0.0)


class Hostile:
    """Every attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} for you")


class HostileMapping(dict):  # type: ignore[type-arg]
    def get(self, *_: Any) -> Any:
        raise OSError("gone")


class Proxy:
    """Of a request that has ended, like those of Flask and Django."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("working outside of request context")


@pytest.mark.parametrize(
    "hostile",
    [
        Hostile,
        Proxy,
        lambda: event(id=Proxy()),
        HostileMapping,
        lambda: {**event(), "data": Hostile()},
        lambda: SimpleNamespace(event_type="message.sent", data=HostileMapping(), created_at=Hostile()),
        lambda: {**event(), "event_type": Hostile()},
    ],
)
def test_objects_that_raise_say_nothing(hostile: Any) -> None:
    assert read(hostile(), NOW) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = st.sampled_from(
    ("event_type", "event_id", "created_at", "data", "id", "chat", "chat_id", "message", "message_id", "direction",
     "is_from_me", "sender_handle", "is_me", "reconciled_at")
)  # fmt: skip
VALUES = JSON | st.sampled_from(
    ("message.sent", "poll.read", "outbound", CHAT, "2026-02-03T10:00:00Z", "0001-01-01T00:00:00+14:00")
)
SHAPED = st.recursive(VALUES, lambda inner: st.dictionaries(FIELDS, inner))


@settings(max_examples=50)  # each is read three times, and large
@given(
    st.one_of(
        JSON,
        SHAPED,
        st.builds(lambda value, data: {**event(), **value, "data": data}, st.dictionaries(FIELDS, SHAPED), SHAPED),
    )
)
def test_no_json_makes_it_raise(value: Any) -> None:
    """As it is, and as text."""
    for form in (value, json.dumps(value), json.dumps(value).encode()):
        found = read(form, NOW)
        assert found is None or (found.kind in ("sent", "delivered", "failed", "read") and 0 <= found.age <= 60)


@given(st.text() | st.binary())
def test_no_text_makes_it_raise(text: str | bytes) -> None:
    assert read(text, NOW) is None


def test_observe_takes_anything_and_makes_no_engine() -> None:
    manager = TypingManager(api_key="key")
    for thing in (None, 5, "{", Hostile(), event()):
        manager.observe(thing)
    assert manager.stats().chats == 0
    assert manager._engines.engine is None


@pytest.mark.parametrize("version", ["2025-01-01", "2026-02-03"])
def test_what_the_sdk_makes_of_a_signed_webhook_is_read(version: str) -> None:
    """Its classes are those of other events, and have none of the fields of 2025; the sandbox makes the JSON."""
    bodies: list[str] = []
    with Sandbox(webhook=bodies.append, webhook_version=version, settle=0.1) as linq:  # type: ignore[arg-type]
        chat = linq.chat()
        client = LinqAPIV3(api_key=linq.api_key, base_url=linq.base_url, webhook_secret=SECRET)
        parts: Any = [{"type": "text", "value": "Hello"}]
        sent = client.chats.messages.send(chat, message={"parts": parts}).message.id
        linq.fail_messages(times=1)
        failed = client.chats.messages.send(chat, message={"parts": parts}).message.id
        assert linq.wait_until(lambda: len(bodies) >= 3)
        linq.reopen(chat)
        assert linq.wait_for_webhooks()
    found = set()
    for body in bodies:
        now = datetime.now(timezone.utc)
        signature = standardwebhooks.Webhook(SECRET).sign("e-1", now, body)
        headers = {"webhook-id": "e-1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
        said, by_json = read(client.webhooks.unwrap(body, headers=headers), now), read(body, now)
        assert said is not None
        assert said == by_json
        assert said.chat_id == chat
        found.add((said.kind, said.message_id))
    assert found == {("sent", sent), ("delivered", sent), ("read", sent), ("failed", failed)}


def test_a_full_stack_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the webhook's nesting that has filled it."""

    def overflow(text: object) -> None:
        raise RecursionError

    monkeypatch.setattr(json, "loads", overflow)
    with pytest.raises(RecursionError):
        read("{}", NOW)
