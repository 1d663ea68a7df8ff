"""The API over a real socket, with a plain HTTP client: answers, refusals, timelines, faults."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import send, start, stop, text

IMPATIENT = httpx.Timeout(PATIENCE, read=0.05)


@contextlib.contextmanager
def in_background(target: object, *args: object) -> Iterator[None]:
    thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# Right answers


def test_start_is_204_without_a_body_and_shows(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    answer = start(http, chat)
    assert (answer.status_code, answer.content) == (204, b"")
    assert len(answer.headers["X-Trace-ID"]) == 32
    assert linq.visible(chat)
    assert linq.ghosts() == (chat,)


def test_stop_is_204_and_hides(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    start(http, chat)
    assert stop(http, chat).status_code == 204
    assert not linq.visible(chat)
    assert linq.ghosts() == ()


def test_message_clears_the_indicator_when_it_has_settled(http: httpx.Client, linq: Sandbox) -> None:
    chat = linq.chat()
    start(http, chat)
    assert send(http, chat, "done").status_code == 202
    linq.time_scale = 20
    assert linq.wait_until(lambda: not linq.visible(chat))
    timeline = linq.timeline(chat)
    [message] = timeline.messages
    [showing] = timeline.showings
    assert message.text == "done"
    assert (showing.ended_by, showing.until) == ("message", message.lands_at)
    assert message.lands_at == pytest.approx(message.accepted_at + 1)


def test_quiet_chat_accepts_and_shows_nothing_until_the_person_writes(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat(active=False)
    assert start(http, chat).status_code == 204
    assert not linq.visible(chat)
    linq.write(chat, "anybody there?")
    start(http, chat)
    assert linq.visible(chat)
    [message] = linq.messages(chat)
    assert (message.text, message.from_person) == ("anybody there?", True)


def test_sms_chat_accepts_and_shows_nothing(linq: Sandbox, http: httpx.Client) -> None:
    for chat in (linq.sms(), linq.sms(service="RCS")):
        assert start(http, chat).status_code == 204
        assert not linq.visible(chat)
    assert "SMS" in linq.timeline(linq.requests[0].chat_id or "").starts[0].note


def test_group_accepts_by_default_and_refuses_when_told_to(linq: Sandbox, http: httpx.Client) -> None:
    new, old = linq.group(), linq.group(typing_allowed=False)
    assert start(http, new).status_code == 204
    assert linq.visible(new)
    for request in (start, stop):
        answer = request(http, old)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, 2005)
    assert not linq.visible(old)
    assert linq.timeline(old).starts[0].code == 2005


def test_reopening_needs_a_stop_before_a_start_shows(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    send(http, chat)
    assert linq.wait_until(lambda: linq.messages(chat)[0].has_landed(linq.now))
    start(http, chat)
    assert [message.text for message in linq.reopen(chat)] == ["hi"]
    start(http, chat)
    assert not linq.visible(chat)
    stop(http, chat)
    start(http, chat)
    assert linq.visible(chat)


def test_messages_that_fail_are_accepted_and_clear_nothing(linq: Sandbox, http: httpx.Client) -> None:
    chat, other = linq.chat(), linq.chat()
    linq.fail_messages(times=1, chat=chat)
    linq.fail("send", 500, times=1)
    start(http, chat)
    assert [send(http, sent_to).status_code for sent_to in (chat, other, chat, chat)] == [500, 202, 202, 202]
    assert [message.failure_code for message in linq.messages(chat)] == [4001, None]
    assert linq.messages(other)[0].failure_code is None
    assert linq.faults() == ()


def test_new_chat_is_found_again_by_its_people_and_line(http: httpx.Client) -> None:
    body = {"from": "+12025550000", "to": ["+12025550001"], **text()}
    first, again = http.post("/v3/chats", json=body), http.post("/v3/chats", json=body)
    other = http.post("/v3/chats", json={**body, "from": "+12025550009"})
    assert [a.status_code for a in (first, again, other)] == [201, 201, 201]
    ids = [a.json()["chat"]["id"] for a in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]


def test_message_by_recipients_makes_a_chat_once(linq: Sandbox, http: httpx.Client) -> None:
    body = {"to": ["+12025550002", "+12025550001"], **text()}
    first = http.post("/v3/messages", json=body)
    again = http.post("/v3/messages", json={**body, "to": body["to"][::-1]})
    assert first.status_code == 202
    assert (first.json()["created_new_chat"], again.json()["created_new_chat"]) == (True, False)
    chat = first.json()["chat_id"]
    assert again.json()["chat_id"] == chat
    timeline = linq.timeline(chat)
    assert timeline.is_group
    assert [r.path for r in timeline.sends] == ["/v3/messages"] * 2
    assert len(timeline.messages) == 2


def test_idempotency_key_sends_once(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    path, headers = f"/v3/chats/{chat}/messages", {"Idempotency-Key": "k"}
    first, again = (http.post(path, json=text(), headers=headers) for _ in range(2))
    assert first.json()["message"]["id"] == again.json()["message"]["id"]
    assert len(linq.messages(chat)) == 1


def test_reaction_and_read_are_no_messages(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    message = send(http, chat).json()["message"]["id"]
    reaction = http.post(f"/v3/messages/{message}/reactions", json={"operation": "add", "type": "love"})
    assert reaction.status_code == 202
    assert http.post(f"/v3/chats/{chat}/read").status_code == 204
    timeline = linq.timeline(chat)
    assert len(timeline.messages) == len(timeline.sends) == 1
    assert [r.endpoint for r in timeline.requests] == ["send", "react", "read"]


# Refusals


def error(answer: httpx.Response) -> tuple[int, int]:
    """Check the whole envelope; status and code."""
    body = answer.json()
    assert set(body) == {"success", "error", "trace_id"}
    assert body["success"] is False
    assert body["trace_id"] == answer.headers["X-Trace-ID"]
    assert set(body["error"]) - {"retry_after"} == {"status", "code", "message", "doc_url"}
    assert body["error"]["status"] == answer.status_code
    code = body["error"]["code"]
    assert body["error"]["doc_url"] == f"https://docs.linqapp.com/error/codes/{code // 1000}xxx/{code}/"
    assert body["error"]["message"]
    return answer.status_code, code


@pytest.mark.parametrize("authorization", [None, "", "Bearer wrong", "Basic c2FuZGJveC1rZXk6"])
def test_wrong_key_is_401(linq: Sandbox, authorization: str | None) -> None:
    chat = linq.chat()
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = httpx.post(f"{linq.base_url}/v3/chats/{chat}/typing", headers=headers, timeout=PATIENCE)
    assert error(answer) == (401, 2004)
    assert not linq.visible(chat)
    [request] = linq.timeline(chat).requests
    assert (request.status, request.code, request.change) == (401, 2004, None)


def test_unknown_and_malformed_ids(linq: Sandbox, http: httpx.Client) -> None:
    unknown = str(uuid.uuid4())
    for request in (start, stop, send):
        assert error(request(http, unknown)) == (404, 2001)
        assert error(request(http, "12")) == (400, 1005)
    assert error(http.get(f"/v3/chats/{unknown}")) == (404, 2001)
    react = {"operation": "add", "type": "like"}
    assert error(http.post(f"/v3/messages/{unknown}/reactions", json=react)) == (404, 2002)
    assert all(request.chat_id is None for request in linq.requests)


def test_unknown_endpoint_is_404(linq: Sandbox, http: httpx.Client) -> None:
    assert error(http.get(f"/v3/chats/{linq.chat()}/typing"))[0] == 404
    assert error(http.post("/v4/chats"))[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v3/chats/{chat}/messages", b"{", 1003),
        ("/v3/chats/{chat}/messages", b"[]", 1003),
        ("/v3/chats/{chat}/messages", b"{}", 1001),
        ("/v3/chats/{chat}/messages", b'{"message": 1}', 1003),
        ("/v3/chats/{chat}/messages", b'{"message": {}}', 1004),
        ("/v3/chats/{chat}/messages", b'{"message": {"parts": [1]}}', 1004),
        ("/v3/chats/{chat}/voicememo", b"{}", 1001),
        ("/v3/chats/{chat}/polls", b'{"poll": {"options": [{"text": "one"}]}}', 1005),
        ("/v3/chats/{chat}/polls", b'{"poll": {"options": [1, 2]}}', 1001),
        ("/v3/chats", b'{"to": [], "from": "+1", "message": {"parts": [{"type": "text"}]}}', 1001),
        ("/v3/messages", b'{"to": 5, "message": {"parts": [{"type": "text"}]}}', 1003),
    ],
)
def test_bad_body_is_400_and_sends_nothing(
    linq: Sandbox, http: httpx.Client, path: str, body: bytes, code: int
) -> None:
    chat = linq.chat()
    assert error(http.post(path.format(chat=chat), content=body)) == (400, code)
    assert linq.messages(chat) == ()


# The timeline


def test_request_records_all_three_moments(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.slow("start", before=0.05, after=0.05)
    start(http, chat)
    [request] = linq.timeline(chat).starts
    assert (request.method, request.path) == ("POST", f"/v3/chats/{chat}/typing")
    assert (request.status, request.outcome, request.change) == (204, "answered", "shown")
    assert request.accepted
    assert request.effect_at is not None
    assert request.answered_at is not None
    assert request.effect_at - request.received_at >= 0.049
    assert request.answered_at - request.effect_at >= 0.049


def test_overlapping_typing_requests_are_counted(
    linq: Sandbox, http: httpx.Client, delay_over: threading.Event
) -> None:
    chat, other = linq.chat(), linq.chat()
    linq.slow("start", before=1)
    with in_background(start, http, chat), in_background(start, http, other):
        assert linq.wait_until(lambda: len(linq.requests) == 2)
        stop(http, chat)
        delay_over.set()
    timeline = linq.timeline(chat)
    assert timeline.max_typing_in_flight == 2
    assert timeline.stops[0].overlapped == (timeline.starts[0].id,)
    assert linq.timeline(other).max_typing_in_flight == 1
    assert linq.visible(chat), "the stop overtook the start"


def test_one_request_after_another_does_not_overlap(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    for _ in range(20):
        start(http, chat)
        stop(http, chat)
    assert linq.timeline(chat).max_typing_in_flight == 1
    assert not any(request.overlapped for request in linq.requests)


def test_client_that_gave_up_is_no_longer_in_flight_and_its_request_takes_effect(
    linq: Sandbox, http: httpx.Client, delay_over: threading.Event
) -> None:
    """A timed-out start that a stop overtakes does not count as overlapping, but may leave a ghost."""
    chat = linq.chat()
    linq.slow("start", before=1)
    with pytest.raises(httpx.ReadTimeout):
        start(http, chat, timeout=IMPATIENT)
    assert linq.wait_until(lambda: linq.requests and linq.requests[0].outcome == "abandoned")
    stop(http, chat)
    assert not linq.visible(chat)
    delay_over.set()
    assert linq.wait_until(lambda: linq.visible(chat))
    timeline = linq.timeline(chat)
    assert (timeline.starts[0].outcome, timeline.starts[0].status) == ("abandoned", None)
    assert timeline.max_typing_in_flight == 1
    assert timeline.stops[0].overlapped == ()


# Faults


def test_failed_request_has_no_effect_unless_asked(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.fail("start", 500, times=1)
    linq.fail("start", 503, times=1, effect=True)
    assert error(start(http, chat)) == (500, 3006)
    assert not linq.visible(chat)
    assert error(start(http, chat)) == (503, 4004)
    assert linq.visible(chat)
    assert start(http, chat).status_code == 204
    assert [r.change for r in linq.timeline(chat).starts] == [None, "shown", "extended"]


def test_rate_limit_says_when_to_come_back(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.fail("typing", 429, retry_after=7)
    answer = start(http, chat)
    assert error(answer) == (429, 1007)
    assert answer.headers["Retry-After"] == "7"
    assert answer.json()["error"]["retry_after"] == 7


def test_retry_after_may_be_a_date(linq: Sandbox, http: httpx.Client) -> None:
    linq.fail("start", 429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")
    answer = start(http, linq.chat())
    assert answer.headers["Retry-After"] == "Wed, 21 Oct 2015 07:28:00 GMT"
    assert "retry_after" not in answer.json()["error"]


def test_conflict_means_that_the_chat_is_being_created_unless_another_code_is_given(
    linq: Sandbox, http: httpx.Client
) -> None:
    chat = linq.chat()
    linq.fail("start", 409, times=1)
    linq.fail("start", 409, code=2013, times=1)
    linq.fail("start", 418, times=1, code=7, message="teapot")
    assert error(start(http, chat)) == (409, 2009)
    assert error(start(http, chat)) == (409, 2013)
    assert start(http, chat).json()["error"]["message"] == "teapot"


def test_body_need_not_be_json(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.fail("start", 502, body=b"<html>Bad gateway</html>", times=1)
    linq.fail("start", 502, body=b"", times=1)
    assert start(http, chat).text == "<html>Bad gateway</html>"
    assert start(http, chat).content == b""


def test_odd_success_takes_effect(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.fail("start", 200)
    assert start(http, chat).status_code == 200
    assert linq.visible(chat)


def test_fault_of_one_chat_and_clear_faults(linq: Sandbox, http: httpx.Client) -> None:
    bad, good = linq.chat(), linq.chat()
    linq.fail("*", 500, chat=bad)
    assert (start(http, bad).status_code, start(http, good).status_code) == (500, 204)
    assert send(http, bad).status_code == 500
    linq.clear_faults()
    assert start(http, bad).status_code == 204


def test_fault_of_one_chat_affects_sends_that_name_it_in_the_body(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat(to="+12025559999")
    linq.fail("send", 500, chat=chat)
    body = {"to": ["+12025559999"], **text()}
    assert http.post("/v3/messages", json=body).status_code == 500
    assert http.post("/v3/messages", json={**body, "to": ["+12025559998"]}).status_code == 202


def test_failed_send_clears_nothing(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.fail("send", 500)
    start(http, chat)
    assert error(send(http, chat)) == (500, 3006)
    assert linq.messages(chat) == ()
    assert linq.visible(chat)


def test_refused_request_does_not_use_up_a_fault(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.fail("start", 500, times=1)
    assert start(http, str(uuid.uuid4())).status_code == 404
    assert start(http, chat).status_code == 500


@pytest.mark.parametrize("effect", [True, False])
def test_lost_answer_closes_the_connection(linq: Sandbox, http: httpx.Client, effect: bool) -> None:
    chat = linq.chat()
    linq.lose("start", times=1, effect=effect)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        start(http, chat)
    assert linq.visible(chat) is effect
    [request] = linq.timeline(chat).starts
    assert (request.outcome, request.status) == ("dropped", None)
    assert stop(http, chat).status_code == 204


def test_effect_may_follow_the_loss(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.lose("start", effect_after=0.15)
    with pytest.raises(httpx.TransportError):
        start(http, chat)
    assert linq.wait_until(lambda: linq.visible(chat))
    [request] = linq.timeline(chat).starts
    assert request.effect_at is not None
    assert request.ended_at is not None
    assert request.effect_at > request.ended_at


def test_hanging_answer_lasts_until_the_client_gives_up(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    linq.lose("start", hang=True, times=1)
    with pytest.raises(httpx.ReadTimeout):
        start(http, chat, timeout=IMPATIENT)
    assert linq.wait_until(lambda: linq.requests and linq.requests[0].outcome == "abandoned")
    assert linq.visible(chat)


def test_client_that_leaves_in_the_middle_of_its_body(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()

    def body() -> Iterator[bytes]:
        yield b'{"message": '
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        http.post(f"/v3/chats/{chat}/messages", content=body())
    assert linq.wait_until(lambda: linq.requests and linq.requests[0].outcome == "abandoned")
    assert linq.messages(chat) == ()


def test_faults_are_in_real_seconds_whatever_the_time_scale(linq: Sandbox, http: httpx.Client) -> None:
    linq.time_scale = 1000
    linq.slow("start", before=0.1)
    began = time.monotonic()
    start(http, linq.chat())
    assert time.monotonic() - began >= 0.1


def test_fault_for_an_unknown_chat_is_rejected(linq: Sandbox) -> None:
    with pytest.raises(LookupError, match="no chat"):
        linq.fail(chat=str(uuid.uuid4()))


def test_time_scale_makes_85_seconds_pass_quickly(linq: Sandbox, http: httpx.Client) -> None:
    chat = linq.chat()
    start(http, chat)
    linq.time_scale = 1000
    assert linq.wait_until(lambda: not linq.visible(chat))
    [showing] = linq.timeline(chat).showings
    assert showing.ended_by == "expired"
    assert showing.until == pytest.approx(showing.since + 85)


def test_lost_message_that_makes_its_chat_only_later(linq: Sandbox, http: httpx.Client) -> None:
    linq.lose("send", effect_after=0.05)
    with pytest.raises(httpx.TransportError):
        http.post("/v3/messages", json={"to": ["+12025550001"], **text()})
    assert linq.wait_until(lambda: linq.requests[0].chat_id is not None)
    timeline = linq.timeline(linq.requests[0].chat_id or "")
    [request] = timeline.sends
    assert request.outcome == "dropped"
    assert request.effect_at is not None
    assert request.ended_at is not None
    assert request.effect_at > request.ended_at
    assert len(timeline.messages) == 1


def test_status_without_a_standard_phrase_still_gets_a_body(linq: Sandbox, http: httpx.Client) -> None:
    linq.fail("start", 599, code=1, times=1)
    assert start(http, linq.chat()).json()["error"]["message"] == "Status 599"


def test_waiting_returns_false_at_its_timeout(linq: Sandbox) -> None:
    assert linq.wait_until(lambda: False, timeout=0.01) is False
