"""The HTTP side: what answers mean, when to try again, and what really happens on a socket."""

import asyncio
import email.utils
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from linq_typing._core.indicator import Action, Outcome
from linq_typing._engine import answers
from linq_typing._engine.answers import outcome_of
from linq_typing._engine.http import TypingAPI
from linq_typing._engine.transports import proxy_for, ssl_context_for
from linq_typing._settings import Credentials, HTTPSettings
from linq_typing.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    LinqTypingError,
)
from patience import PATIENCE

from .kit import CHAT, answer, once, saying, serving

KEY = "secret-key-0123456789"


def _error(status: int, code: int | None = None, **more: Any) -> APIStatusError:
    return APIStatusError("no", status_code=status, code=code, **more)


# -- Errors from answers


def status_error(response: httpx.Response) -> APIStatusError:
    return answers.status_error(response, b"".join(response.stream))  # type: ignore[arg-type]


def test_the_documented_error_body() -> None:
    """Status, code and message; the rest is not known."""
    body = {"error": {"status": 403, "code": 2005, "message": "group chats can't"}, "success": False}
    error = status_error(httpx.Response(403, json=body))
    assert vars(error) == {
        "message": "group chats can't",
        "status_code": 403,
        "code": 2005,
        "trace_id": None,
        "doc_url": None,
        "retry_after": None,
    }


def test_the_newer_error_body() -> None:
    """With trace id, documentation and retry_after."""
    body = {
        "error": {"status": 429, "code": 1007, "message": "slow down", "doc_url": "https://docs", "retry_after": 7},
        "success": False,
        "trace_id": "trace-1",
    }
    error = status_error(httpx.Response(429, json=body))
    assert (error.code, error.trace_id, error.doc_url, error.retry_after) == (1007, "trace-1", "https://docs", 7.0)


def test_the_trace_id_of_the_header_stands_in_for_the_bodys() -> None:
    """Old bodies have none."""
    headers = {"x-trace-id": "from-header"}
    assert status_error(httpx.Response(500, headers=headers)).trace_id == "from-header"
    assert status_error(httpx.Response(500, headers=headers, json={"trace_id": "body"})).trace_id == "body"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Bad Gateway"),
        (b"   \n", "Bad Gateway"),
        (b"<html>upstream</html>", "<html>upstream</html>"),
        (b"upstream is down\n", "upstream is down"),
        (b"null", "null"),
        (b"[]", "Bad Gateway"),
        (b'["a"]', "Bad Gateway"),
        (b'"text"', '"text"'),
        (b"{}", "Bad Gateway"),
        (b'{"error": null}', "Bad Gateway"),
        (b'{"error": "text"}', "Bad Gateway"),
        (b'{"error": ["text"]}', "Bad Gateway"),
        (b'{"error": {"message": null}}', "Bad Gateway"),
        (b'{"error": {"message": {"a": 1}}}', "{'a': 1}"),
        (b'{"message": "at the top"}', "at the top"),
        (b'{"error": {"message": "cut', "Bad Gateway"),
        (b"[" * 100_000, "Bad Gateway"),
        (b'{"a":' * 100_000, "Bad Gateway"),
    ],
)
def test_any_body_gives_an_error(content: bytes, message: str) -> None:
    """Proxies answer what they like; the status is kept, and a message is there."""
    error = status_error(httpx.Response(502, content=content))
    assert (error.status_code, error.message, error.code) == (502, message, None)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc", "ä".encode("latin-1"), b'{"error": "\xff"}'])
@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "no-such-charset"])
def test_bytes_that_are_no_text_give_an_error(content: bytes, charset: str) -> None:
    """No UnicodeDecodeError."""
    headers = {"Content-Type": f"text/html; charset={charset}"}
    assert status_error(httpx.Response(500, content=content, headers=headers)).status_code == 500


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "idna", "base64", "zlib", "undefined"])
def test_a_charset_that_cannot_decode_the_body_gives_an_error(charset: str) -> None:
    """httpx decodes with whatever codec Python has of that name, and some raise on such bytes."""
    headers = {"Content-Type": f"text/html; charset={charset}"}
    assert status_error(httpx.Response(500, content=b"\x80abc", headers=headers)).status_code == 500


def test_a_huge_page_is_cut() -> None:
    """An error is for a log line."""
    assert len(status_error(httpx.Response(500, content=b"x" * 1_000_000)).message) == 200


def test_a_huge_json_message_is_cut_too() -> None:
    """It ends up in session.error, in events and in the log."""
    assert len(status_error(httpx.Response(500, json={"error": {"message": "x" * 1_000_000}})).message) <= 1000


@pytest.mark.parametrize("code", ["2005", None, 1.5, [1], {}])
def test_a_code_that_is_no_number_is_none(code: object) -> None:
    """``code`` is an int or None, as its type says."""
    assert status_error(httpx.Response(400, json={"error": {"code": code}})).code is None


@pytest.mark.parametrize("value", [5, None, "", ["x"]])
def test_a_trace_id_or_doc_url_that_is_no_text_is_none(value: object) -> None:
    """As their types say."""
    error = status_error(httpx.Response(400, json={"trace_id": value, "error": {"doc_url": value}}))
    assert (error.trace_id, error.doc_url) == (None, None)


# -- Retry-After


def _retry_after(header: str | None = None, body: object = None) -> float | None:
    headers = {} if header is None else {"Retry-After": header}
    return status_error(httpx.Response(429, headers=headers, json={"error": {"retry_after": body}})).retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("7", 7.0), (" 2.5 ", 2.5), ("-3", 0.0), ("", None), ("soon", None), ("nan", None), ("inf", None)],
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    """Negative is now; garbage is nothing."""
    assert _retry_after(header) == seconds


@pytest.mark.parametrize(("body", "seconds"), [(7, 7.0), ("7", 7.0), (1.5, 1.5), (-1, 0.0), ([], None), ({}, None)])
def test_retry_after_in_the_body(body: object, seconds: float | None) -> None:
    """Newer answers have it there."""
    assert _retry_after(None, body) == seconds


def test_the_header_wins_over_the_body_unless_it_is_garbage() -> None:
    """A proxy's header knows the proxy's limit."""
    assert _retry_after("3", 9) == 3.0
    assert _retry_after("0", 9) == 0.0
    assert _retry_after("garbage", 9) == 9.0


def _is_told(soon: datetime, header: str) -> bool:
    """Whether the header gives the seconds that are left until then, however long it takes to read it."""
    before = datetime.now(timezone.utc)
    told = _retry_after(header)
    after = datetime.now(timezone.utc)
    return told is not None and (soon - after).total_seconds() <= told <= (soon - before).total_seconds()


def test_retry_after_as_a_date() -> None:
    """The time left until then; a past date is now."""
    soon = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=30)
    assert _is_told(soon, email.utils.format_datetime(soon, usegmt=True))
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_retry_after_as_a_date_without_a_zone_is_utc() -> None:
    """Whatever zone the bot's machine is in."""
    soon = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=30)
    assert _is_told(soon, soon.strftime("%a, %d %b %Y %H:%M:%S -0000"))


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (None, 10**400),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2030 00:00:00 +999999999999999999", None),
    ],
)
def test_retry_after_out_of_this_world_is_nothing(header: str | None, body: object) -> None:
    """Numbers that no float and no date can hold."""
    assert _retry_after(header, body) is None


# -- What a status means


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 400, 401, 402, 403, 404, 405, 410, 413, 422, 451])
def test_permanent_answers_are_refusals(status: int) -> None:
    """They did nothing, and never will."""
    assert outcome_of(_error(status)) is Outcome.REFUSED


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 520, 599])
def test_the_servers_troubles_may_have_worked(status: int) -> None:
    """A 5xx counts as shown until the next stop; 408 too, to be on the safe side."""
    assert outcome_of(_error(status)) is Outcome.UNKNOWN


def test_a_429_did_nothing() -> None:
    """It needs no stop."""
    assert outcome_of(_error(429)) is Outcome.NOT_APPLIED


@pytest.mark.parametrize(
    ("code", "outcome"), [(2009, Outcome.NOT_APPLIED), (2005, Outcome.REFUSED), (None, Outcome.REFUSED)]
)
def test_a_409_passes_only_while_the_chat_is_being_created(code: int | None, outcome: Outcome) -> None:
    """Code 2009; every other conflict stays one."""
    assert outcome_of(_error(409, code)) is outcome


# -- Whether and when to try again


def _api(**settings: Any) -> TypingAPI:
    return TypingAPI(Credentials(KEY, "http://127.0.0.1:9"), HTTPSettings(**settings))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 302])
def test_permanent_answers_are_never_tried_again(status: int) -> None:
    """Not even when they bring a Retry-After."""
    api = _api(max_retries=100)
    assert api.retry_in(1, _error(status)) is None
    assert api.retry_in(1, _error(status, retry_after=1.0)) is None


@pytest.mark.parametrize(
    "error",
    [
        APIConnectionError("x"),
        APITimeoutError("x"),
        _error(408),
        _error(409, 2009),
        _error(429),
        _error(500),
        _error(503),
    ],
)
def test_passing_troubles_are_tried_max_retries_times(error: LinqTypingError) -> None:
    """Four retries are five attempts."""
    for retries in (0, 1, 4):
        api = _api(max_retries=retries)
        assert [api.retry_in(n, error) is None for n in range(1, 7)] == [n > retries for n in range(1, 7)]


def test_an_error_of_no_known_kind_is_not_tried_again() -> None:
    """Better a missing indicator than a storm."""
    assert _api().retry_in(1, LinqTypingError("?")) is None


def test_the_wait_doubles_with_a_little_jitter() -> None:
    """0.5 s, 1 s, 2 s, 4 s, each plus up to a quarter of a second."""
    api = _api()
    for attempt, base in enumerate((0.5, 1.0, 2.0, 4.0), 1):
        waits = [api.retry_in(attempt, APIConnectionError("x")) or 0.0 for _ in range(200)]
        assert base <= min(waits)
        assert max(waits) <= base + 0.25
        assert len(set(waits)) > 100, "no jitter"


@pytest.mark.parametrize("backoff_max", [0.0, 0.1, 1.0, 8.0])
def test_no_wait_is_longer_than_backoff_max(backoff_max: float) -> None:
    """Jitter included."""
    api = _api(max_retries=50, backoff_max=backoff_max)
    waits = [api.retry_in(attempt, APIConnectionError("x")) for attempt in range(1, 50) for _ in range(10)]
    assert all(wait is not None and 0 <= wait <= backoff_max for wait in waits)


@pytest.mark.parametrize("told", [0.0, 0.2, 30.0, 3600.0])
def test_retry_after_changes_no_back_off(told: float) -> None:
    """It is for the indicator to obey, in addition; and it grants no attempt beyond max_retries."""
    api = _api()
    for status in (429, 503):
        back_off = api.retry_in(2, _error(status, retry_after=told))
        assert back_off is not None
        assert 1.0 <= back_off <= 1.25
        assert api.retry_in(5, _error(status, retry_after=told)) is None


# -- Transports of the user's, and the environment's proxy


@pytest.mark.parametrize(
    ("entries", "base"),
    [
        ("api.example", "https://api.example"),
        ("API.example", "https://api.EXAMPLE/x"),
        (".example", "https://api.example"),
        ("example", "https://api.example:8443"),
        ("api.example:443", "https://api.example"),
        ("api.example:8443", "https://api.example:8443"),
        ("*", "https://api.example"),
        ("::1", "http://[::1]:8080"),
        ("127.0.0.1", "http://user@127.0.0.1:8080"),
    ],
)
def test_what_no_proxy_names_is_asked_directly(monkeypatch: pytest.MonkeyPatch, entries: str, base: str) -> None:
    """In the ways in which people write it."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    assert proxy_for(base) == "http://proxy.example:3128"
    monkeypatch.setenv("NO_PROXY", entries)
    assert proxy_for(base) is None


@pytest.mark.parametrize(
    "entries", ["", " , ", "pi.example", "api.example.org", "http://api.example", "api.example:80", "[", "a:b"]
)
def test_what_no_proxy_does_not_name_is_asked_through_it(monkeypatch: pytest.MonkeyPatch, entries: str) -> None:
    """A name that only ends alike, another scheme, another port."""
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", entries)
    assert proxy_for("https://api.example") == "http://proxy.example:3128"


def test_a_transport_of_the_users_own_is_used_and_closed() -> None:
    """A proxy, a private CA, a mock."""
    seen: list[httpx.Request] = []

    class Transport(httpx.AsyncBaseTransport):
        closed = False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(204)

        async def aclose(self) -> None:
            self.closed = True

    transport = Transport()
    api = TypingAPI(Credentials(KEY, "https://api.example"), HTTPSettings(), transport)
    assert asyncio.run(once(api, Action.STOP)).outcome is Outcome.ACCEPTED
    assert [(r.method, str(r.url)) for r in seen] == [("DELETE", f"https://api.example/v3/chats/{CHAT}/typing")]
    assert transport.closed


@pytest.mark.parametrize("status", [200, 204, 500])
def test_a_transport_may_read_the_answer_itself(status: int) -> None:
    """To log it, say; then it is read already."""

    class Reading(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            await response.aread()
            return response

    with serving(saying(answer(status, b"" if status == 204 else b"body"))) as server:
        api = TypingAPI(Credentials(KEY, server.url), HTTPSettings(timeout=PATIENCE), Reading())
        got = asyncio.run(once(api, Action.START))
    assert got.outcome is (Outcome.UNKNOWN if status == 500 else Outcome.ACCEPTED)


def test_a_transport_of_the_users_own_is_told_the_time_out() -> None:
    """For what it does on its own; each request has a dict to itself."""
    seen: list[dict[str, float]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(204)

    async def main() -> None:
        api = TypingAPI(Credentials(KEY, "http://x"), HTTPSettings(timeout=2.0), httpx.MockTransport(handle))
        for _ in range(2):
            await api.request(Action.START, CHAT)

    asyncio.run(main())
    assert seen == [{"connect": 1.8, "read": 2.0, "write": 2.0, "pool": 2.0}] * 2
    assert seen[0] is not seen[1]


def test_the_scheme_of_the_base_may_be_written_large() -> None:
    """The certificates are there all the same."""
    assert (
        ssl_context_for("HTTPS://api.example").cert_store_stats()
        == ssl_context_for("https://api.example").cert_store_stats()
    )
    assert ssl_context_for("https://api.example").cert_store_stats()["x509_ca"] > 0


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("x"), APIConnectionError),
        (httpx.ConnectTimeout("x"), APITimeoutError),
        (httpx.PoolTimeout("x"), APITimeoutError),
        (httpx.ProxyError("x"), APIConnectionError),
        (httpx.UnsupportedProtocol("x"), APIConnectionError),
        (httpx.LocalProtocolError("x"), APIConnectionError),
        (httpx.ReadTimeout("x"), APITimeoutError),
        (httpx.WriteTimeout("x"), APITimeoutError),
        (httpx.ReadError("x"), APIConnectionError),
        (httpx.WriteError("x"), APIConnectionError),
        (httpx.CloseError("x"), APIConnectionError),
        (httpx.RemoteProtocolError("x"), APIConnectionError),
        (OSError("x"), APIConnectionError),
        (RuntimeError(), APIConnectionError),
        (asyncio.TimeoutError(), APIConnectionError),
    ],
)
def test_whatever_a_transport_of_the_users_raises_is_a_lost_answer(raised: Exception, kind: type[Exception]) -> None:
    """No exception leaks out, and the message says at least its name. That the request never left is not believed:
    httpx-aiohttp says ConnectTimeout, and pyreqwest ConnectError, of answers that were lost."""

    def handle(request: httpx.Request) -> httpx.Response:
        raise raised

    api = TypingAPI(Credentials(KEY, "http://x"), HTTPSettings(), httpx.MockTransport(handle))
    got = asyncio.run(once(api, Action.START))
    assert (got.outcome, type(got.error)) == (Outcome.NO_ANSWER, kind)
    assert type(raised).__name__ in str(got.error)


@pytest.mark.parametrize(
    "text", ["one\nERROR two", "\x1b[31mred\x1b[0m", "a\r\nb", "nul\0", "\u2028line", "\u202eright", "\ud800"]
)
def test_no_text_of_an_answer_forges_a_log_line(text: str) -> None:
    """Line feeds, escapes and direction marks become blanks, in message, trace id and URL."""
    body = json.dumps({"error": {"message": text, "doc_url": text}, "trace_id": text})
    error = status_error(httpx.Response(500, content=body))
    for said in (str(error), error.message, error.trace_id or "", error.doc_url or ""):
        assert said.isprintable(), said


def test_no_text_of_an_answer_is_without_bounds() -> None:
    """A trace id of 50,000 characters is none, nor is a code of a thousand digits."""
    long = "x" * 50_000
    body = {"error": {"message": long, "doc_url": long, "code": 10**1000}, "trace_id": long}
    error = status_error(httpx.Response(500, json=body, headers={"X-Trace-ID": long}))
    assert len(str(error)) < 500
    assert len(error.doc_url or "") <= 200
    assert error.code is None


# -- The observer


def test_the_observer_gets_each_answer_with_its_body_or_the_exception() -> None:
    """What the commands tell people and `Answer` leaves out."""
    results: list[httpx.Response | Exception] = [httpx.Response(404, text="nobody"), httpx.ReadError("x")]
    waiting, seen = list(results), []

    def handle(request: httpx.Request) -> httpx.Response:
        result = waiting.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def main() -> None:
        transport = httpx.MockTransport(handle)
        api = TypingAPI(Credentials(KEY, "http://x"), HTTPSettings(), transport, lambda *told: seen.append(told))
        for _ in results:
            await api.request(Action.START, CHAT)

    asyncio.run(main())
    assert seen == [(results[0], b"nobody"), (results[1], b"")]
