"""The page's own API: the file, the stream of events, the controls."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from linq_typing.sandbox import Faults, Model, Sandbox
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._feed import Feed, RevisionLog
from linq_typing.sandbox._page import PAGE
from linq_typing.sandbox._records import Endpoint
from linq_typing.sandbox._webhooks import WebhookSender
from patience import PATIENCE

from .kit import FakeClock, client, send, start, stop, text


@pytest.fixture
def page(linq: Sandbox) -> Iterator[httpx.Client]:
    """A browser's requests: no key."""
    with httpx.Client(base_url=linq.url, timeout=PATIENCE, verify=False) as client:
        yield client


class Events:
    """The stream as a page reads it."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.cursor = ""

    def next(self) -> dict[str, Any]:
        for line in self._lines:
            if line.startswith("id: "):
                self.cursor = line.removeprefix("id: ")
            if line.startswith("data: "):
                data: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return data
        raise AssertionError("the stream has ended")

    def until(self, kind: str, **fields: object) -> dict[str, Any]:
        """The first record of that kind with these fields."""
        for _ in range(500):
            for record in self.next().get(kind, ()):
                if all(record[name] == value for name, value in fields.items()):
                    return record  # type: ignore[no-any-return]
        raise AssertionError(f"no {kind} with {fields}")


@contextmanager
def listening(page: httpx.Client, cursor: str | None = None) -> Iterator[Events]:
    headers = {} if cursor is None else {"Last-Event-ID": cursor}
    with page.stream("GET", "/sandbox/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Events(answer.iter_lines())


def act(page: httpx.Client, action: str, **fields: object) -> dict[str, Any]:
    answer = page.post(f"/sandbox/{action}", json=fields)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def state(page: httpx.Client) -> dict[str, Any]:
    result: dict[str, Any] = page.get("/sandbox/state").json()
    return result


# -- The file


def test_serves_one_page_that_may_load_nothing_from_elsewhere(page: httpx.Client) -> None:
    answer = page.get("/")
    assert answer.text == PAGE.read_text(encoding="utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_names_no_external_host() -> None:
    text = PAGE.read_text(encoding="utf-8")
    allowed = ("http://127.0.0.1:8000/webhook", "http://www.w3.org/2000/svg")
    for harmless in allowed:
        text = text.replace(harmless, "")
    assert "http://" not in text
    assert "https://" not in text
    assert "src=" not in text.replace("src='", "")


def test_the_api_stays_where_it_was(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat()
    assert start(http, chat).status_code == 204
    assert page.get("/nothing").status_code == 404
    assert linq.base_url in page.get("/nothing").json()["error"]


# -- The stream


def test_the_stream_begins_with_the_whole_state_then_sends_changes(
    linq: Sandbox, http: httpx.Client, page: httpx.Client
) -> None:
    chat, other = linq.chat(), linq.group()
    linq.write(chat, "Hello")
    with listening(page) as events:
        first = events.next()
        assert first["fresh"] is True
        assert [c["id"] for c in first["chats"]] == [chat, other]
        assert [m["text"] for m in first["messages"]] == ["Hello"]
        start(http, chat)
        shown = events.until("chats", id=chat, starts=1)
        assert shown["showing"]["expires_at"] == linq.timeline(chat).showings[0].since + 85
        stop(http, chat)
        assert events.until("chats", id=chat, stops=1)["showing"] is None


def test_a_request_is_shown_with_status_latency_and_effect(
    linq: Sandbox, http: httpx.Client, page: httpx.Client
) -> None:
    chat = linq.chat()
    with listening(page) as events:
        events.next()
        before = time.monotonic()
        start(http, chat)
        took = time.monotonic() - before
        request = events.until("requests", outcome="answered")
    assert (request["status"], request["change"], request["chat"]) == (204, "shown", chat)
    assert 0 < request["latency"] <= took


def test_a_message_lands_in_the_same_update_that_ends_the_indicator(
    http: httpx.Client, page: httpx.Client, linq: Sandbox
) -> None:
    chat = linq.chat()
    start(http, chat)
    with listening(page) as events:
        events.next()
        linq.time_scale = 1e-6  # it can't land before its first update
        send(http, chat)
        events.until("messages", landed=False)
        linq.time_scale = 1
        while not (update := events.next()).get("messages"):
            pass
    assert update["messages"][0]["landed"] is True
    assert update["chats"][0]["showing"] is None
    assert update["chats"][0]["cleared"] == 1
    assert update["chats"][0]["replies"] == 1


def test_the_stream_resumes_after_the_last_event(linq: Sandbox, page: httpx.Client) -> None:
    chat = linq.chat()
    linq.write(chat, "before")
    with listening(page) as events:
        events.next()
        cursor = events.cursor
    linq.write(chat, "between")
    with listening(page, cursor) as events:
        update = events.next()
    assert update["fresh"] is False
    assert [m["text"] for m in update["messages"]] == ["between"]


@pytest.mark.parametrize("cursor", ["another-7", "", "nonsense", "x-y-z"])
def test_a_cursor_of_another_sandbox_starts_afresh(linq: Sandbox, page: httpx.Client, cursor: str) -> None:
    chat = linq.chat()
    with listening(page, cursor) as events:
        update = events.next()
    assert update["fresh"] is True
    assert [c["id"] for c in update["chats"]] == [chat]


def test_several_pages_see_the_same(linq: Sandbox, page: httpx.Client) -> None:
    chat = linq.chat()
    other = httpx.Client(base_url=linq.url, timeout=PATIENCE, verify=False)
    with listening(page) as one, other, listening(other) as two:
        one.next(), two.next()
        linq.write(chat, "Hello")
        assert one.until("messages", text="Hello") == two.until("messages", text="Hello")


def test_the_server_stops_under_an_open_page(linq: Sandbox, page: httpx.Client) -> None:
    with listening(page) as events:
        events.next()
        linq.stop()
        with pytest.raises((httpx.HTTPError, AssertionError)):
            while True:
                events.next()


def test_an_indicator_that_times_out_is_a_ghost(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat()
    start(http, chat)
    linq.time_scale = 500
    with listening(page) as events:
        assert events.until("chats", ghosts=1)["showing"] is None


def test_the_starts_of_a_loop_do_not_count_the_time_of_a_ghost(model: Model, clock: FakeClock) -> None:
    """The page shows the difference to the starts that were sent as "starts saved"."""
    feed = Feed(Clock(), model, Faults(), WebhookSender(model), dict)

    def loop_starts() -> int:
        feed.update()
        return int(feed.since(None)["chats"][0]["loop_starts"])

    chat = model.add_chat(active=True)
    model.start(chat)
    clock += 60
    assert loop_starts() == 1, "it may be a ghost already"
    model.start(chat)
    assert loop_starts() == 13, "0, 5, ... 60"
    clock += 85
    assert loop_starts() == 13
    assert feed.since(None)["chats"][0]["ghosts"] == 1
    model.start(chat)
    clock += 12
    model.stop(chat)
    assert loop_starts() == 16


@pytest.mark.parametrize(
    ("last", "status", "ghosts"),
    [("start", 204, 1), ("start", 503, 0), ("start", None, 0), ("stop", 503, 0)],
)
def test_an_indicator_that_times_out_is_a_ghost_only_after_an_accepted_start(
    model: Model, clock: FakeClock, last: Endpoint, status: int | None, ghosts: int
) -> None:
    """As in `linq_typing.testing`: a failed refresh or stop shows that the bot was still at work."""
    feed = Feed(Clock(), model, Faults(), WebhookSender(model), dict)
    chat = model.add_chat(active=True)
    first = model.log.arrive("POST", "/typing", "start", chat.id)
    model.log.affect(first, model.start(chat))
    model.log.end(first, "answered", 204)
    clock += 60
    request = model.log.arrive("POST", "/typing", last, chat.id)
    if status is not None:
        model.log.end(request, "answered", status)
    clock += 30
    late = model.log.arrive("DELETE", "/typing", "stop", chat.id)
    model.log.end(late, "answered", 204)
    feed.update()
    state = feed.since(None)
    assert state["chats"][0]["ghosts"] == ghosts
    assert [showing["ghost"] for showing in state["showings"]] == [bool(ghosts)]


def test_the_revision_log_returns_what_changed_and_drops_the_oldest() -> None:
    log = RevisionLog({"chats": 2, "messages": 2})
    log.put("chats", "a", {"n": 1})
    log.put("chats", "b", {"n": 2})
    log.put("chats", "a", {"n": 1})
    assert log.since(0) == {"chats": [{"n": 1}, {"n": 2}]}, "an equal record does not count as a change"
    log.put("chats", "a", {"n": 3})
    log.put("messages", "a", {"n": 4})
    assert log.since(2) == {"chats": [{"n": 3}], "messages": [{"n": 4}]}
    log.put("chats", "c", {"n": 5})
    assert log.since(0)["chats"] == [{"n": 3}, {"n": 5}]


# -- The controls


def test_the_person_writes_and_reopens(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat()
    act(page, "write", chat=chat, text="Hello")
    assert [(m.text, m.from_person) for m in linq.messages(chat)] == [("Hello", True)]
    start(http, chat)
    assert act(page, "reopen", chat=chat) == {"read": 0}
    assert linq.visible(chat)
    act(page, "colleague", chat=chat, text="Me too")
    assert linq.wait_until(lambda: not linq.visible(chat))
    start(http, chat)
    assert act(page, "reopen", chat=chat) == {"read": 1}
    assert not linq.visible(chat)
    assert linq.timeline(chat).showings[-1].ended_by == "reopened"
    assert [(m.text, m.from_colleague) for m in linq.messages(chat)] == [("Hello", False), ("Me too", True)]


def test_a_message_of_a_colleague_or_one_that_fails_is_no_reply(
    linq: Sandbox, http: httpx.Client, page: httpx.Client
) -> None:
    chat = linq.chat()
    act(page, "fail-messages", times=1)
    send(http, chat)
    linq.send_as_colleague(chat)
    send(http, chat)
    with listening(page) as events:
        assert events.until("chats", id=chat, replies=1)["sends"] == 2
    linq.wait_until(lambda: linq.now > linq.messages(chat)[-1].lands_at)
    state_now = state(page)
    assert state_now["chats"][0]["replies"] == 1
    assert [message["landed"] for message in state_now["messages"]] == [False, True, True]


def test_webhooks_and_their_faults_are_listed(linq: Sandbox, page: httpx.Client) -> None:
    chat = linq.chat()
    linq.set_webhook(lambda body: None)
    act(page, "delay-webhooks", seconds=0.1, event="message.received", times=1)
    act(page, "duplicate-webhooks", copies=2, times=1)
    act(page, "reorder-webhooks", event="message.read", chat=chat)
    faults = state(page)["settings"][0]["faults"]
    assert [(f["kind"], f["endpoint"]) for f in faults] == [
        ("lateness", "message.received"),
        ("duplicate", "webhook"),
        ("reordering", "message.read"),
    ]
    linq.write(chat)
    assert linq.wait_for_webhooks()
    webhooks = state(page)["webhooks"]
    assert [(w["event"], w["outcome"], w["status"], w["attempts"]) for w in webhooks] == [
        ("message.received", "delivered", 200, 1)
    ] * 3
    assert len({webhook["event_id"] for webhook in webhooks}) == 1
    assert "body" not in webhooks[0]
    assert len(state(page)["settings"][0]["faults"]) == 1


@pytest.mark.parametrize(
    ("kind", "service", "group"),
    [("iMessage", "iMessage", False), ("SMS", "SMS", False), ("RCS", "RCS", False), ("group", "iMessage", True)],
)
def test_new_chats(linq: Sandbox, page: httpx.Client, kind: str, service: str, group: bool) -> None:
    timeline = linq.timeline(act(page, "new-chat", kind=kind)["chat"])
    assert (timeline.service, timeline.is_group) == (service, group)


def test_a_chat_becomes_sms_and_drops_the_indicator(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat()
    start(http, chat)
    act(page, "change-chat", chat=chat, service="SMS")
    assert not linq.visible(chat)
    assert start(http, chat).status_code == 204
    assert not linq.visible(chat)


def test_a_chat_becomes_a_group_that_refuses(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat("+12025550177")
    act(page, "change-chat", chat=chat, group=True, typing_allowed=False)
    [record] = state(page)["chats"]
    assert record["group"] is True
    assert len(record["people"]) == 2
    assert start(http, chat).status_code == 403
    act(page, "change-chat", chat=chat, group=False, typing_allowed=True)
    assert start(http, chat).status_code == 204


def test_faults_are_set_listed_used_up_and_cleared(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat()
    act(page, "fail", endpoint="start", status=429, times=1, retry_after=2)
    act(page, "slow", endpoint="stop", after=0.1)
    act(page, "lose", endpoint="send")
    faults = state(page)["settings"][0]["faults"]
    assert [(f["kind"], f["endpoint"], f["left"]) for f in faults] == [
        ("answer", "start", 1),
        ("slowness", "stop", None),
        ("loss", "send", None),
    ]
    answer = start(http, chat)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert start(http, chat).status_code == 204
    with pytest.raises(httpx.RemoteProtocolError):
        send(http, chat)
    act(page, "clear-faults", fault=faults[2]["id"])
    assert [f["kind"] for f in state(page)["settings"][0]["faults"]] == ["slowness"]
    act(page, "clear-faults")
    assert state(page)["settings"][0]["faults"] == []


def test_the_time_scale_is_set_and_reported(linq: Sandbox, page: httpx.Client) -> None:
    linq.chat()
    with listening(page) as events:
        assert events.next()["scale"] == 1
        act(page, "set", time_scale=20)
        assert events.next()["scale"] == 20
    assert linq.time_scale == 20


def test_the_webhook_s_url_and_secret_are_reported(linq: Sandbox, page: httpx.Client) -> None:
    act(page, "webhook", url="http://127.0.0.1:9/webhook", secret="whsec_c2VjcmV0")
    [settings] = state(page)["settings"]
    assert settings["webhook"] == "http://127.0.0.1:9/webhook"
    assert settings["webhook_secret"] == linq.webhook_secret == "whsec_c2VjcmV0"


def test_the_bot_reads_the_chat(linq: Sandbox, http: httpx.Client, page: httpx.Client) -> None:
    chat = linq.chat()
    linq.write(chat)
    assert state(page)["chats"][0]["read_by_bot"] is None
    http.post(f"/v3/chats/{chat}/read")
    assert state(page)["chats"][0]["read_by_bot"] >= 0


@pytest.mark.parametrize(
    ("action", "fields", "status", "says"),
    [
        ("write", {"chat": "c", "text": " "}, 400, "text"),
        ("write", {"text": "x"}, 400, "chat"),
        ("write", {"chat": "00000000-0000-4000-8000-000000000000", "text": "x"}, 404, "no chat"),
        ("fail", {"endpoint": "nothing"}, 400, "endpoint"),
        ("fail", {"endpoint": "start", "status": 99}, 400, "status"),
        ("fail", {"endpoint": "start", "times": "3"}, 400, "times"),
        ("slow", {"endpoint": "start", "after": "x"}, 400, "after"),
        ("lose", {"endpoint": "start", "hang": 1}, 400, "hang"),
        ("set", {"time_scale": 0}, 400, "time_scale"),
        ("new-chat", {"kind": "fax"}, 400, "kind"),
        ("webhook", {"url": "ftp://here"}, 400, "webhook"),
        ("colleague", {"chat": "c"}, 400, "text"),
        ("delay-webhooks", {}, 400, "seconds"),
        ("delay-webhooks", {"seconds": -1}, 400, "seconds"),
        ("duplicate-webhooks", {"event": "message.edited"}, 400, "event"),
        ("duplicate-webhooks", {"copies": -1}, 400, "copies"),
        ("fail-messages", {"times": 0}, 400, "times"),
        ("webhook", {"url": "http://here", "version": "1999"}, 400, "webhook_version"),
        ("nothing", {}, 404, "nothing"),
    ],
)
def test_a_bad_action_names_the_field(
    page: httpx.Client, action: str, fields: dict[str, object], status: int, says: str
) -> None:
    answer = page.post(f"/sandbox/{action}", json=fields)
    assert answer.status_code == status
    assert says in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_body_that_is_not_an_object_is_refused(page: httpx.Client, body: bytes) -> None:
    answer = page.post("/sandbox/write", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_another_site_cannot_use_the_controls(linq: Sandbox, page: httpx.Client) -> None:
    """Another site's page may only send forms and plain text without a preflight request."""
    chat = linq.chat()
    body = json.dumps({"chat": chat, "text": "x"})
    assert page.post("/sandbox/write", content=body, headers={"content-type": "text/plain"}).status_code == 415
    assert page.options("/sandbox/write").status_code == 404
    assert linq.messages(chat) == ()


# -- Memory


def test_keeps_the_latest_requests_messages_and_showings() -> None:
    with Sandbox(keep=3, settle=0) as linq, client(linq) as http:
        chat = linq.chat()
        for number in range(6):
            start(http, chat)
            message = {**text(str(number))["message"], "idempotency_key": str(number)}
            http.post(f"/v3/chats/{chat}/messages", json={"message": message})
            linq.reopen(chat)
        timeline = linq.timeline(chat)
        assert [request.id for request in linq.requests] == [10, 11, 12]
        assert [request.id for request in timeline.requests] == [10, 11, 12]
        assert [message.text for message in timeline.messages] == ["3", "4", "5"]
        assert len(timeline.showings) == len(timeline.reopened) == 3
        record = httpx.get(f"{linq.url}sandbox/state", timeout=PATIENCE, verify=False).json()["chats"][0]
        assert (record["starts"], record["sends"]) == (6, 6), "the counters include what is no longer kept"


def test_a_hanging_request_may_be_dropped_from_the_log() -> None:
    with Sandbox(keep=1) as linq, socket.create_connection(("127.0.0.1", int(linq.url.split(":")[2][:-1]))) as hung:
        chat = linq.chat()
        linq.lose("start", hang=True, times=1)
        hung.sendall(
            f"POST /api/partner/v3/chats/{chat}/typing HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {linq.api_key}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert linq.wait_until(lambda: linq.requests)
        with client(linq) as http:
            for _ in range(3):
                start(http, chat)
        assert [request.id for request in linq.requests] == [4]
        hung.close()
        assert linq.wait_until(lambda: linq.requests[-1].outcome in ("abandoned", "answered"))


def test_keep_is_checked() -> None:
    with pytest.raises(ValueError, match="keep must be at least 1, or None for all, got 0"):
        Sandbox(keep=0)
