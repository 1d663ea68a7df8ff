"""The HTTP side: what answers mean, when to try again, and what really happens on a socket."""

import asyncio
import contextlib
import email.utils
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from linq_typing._core.indicator import Action, Outcome
from linq_typing._engine import answers
from linq_typing._engine.answers import Answer, outcome_of
from linq_typing._engine.http import TypingAPI
from linq_typing._engine.transports import BuiltInTransport, proxy_for, ssl_context_for
from linq_typing._settings import Credentials, HTTPSettings
from linq_typing.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    LinqTypingError,
)

from .kit import CHAT, TinyServer, answer, serving

KEY = "secret-key-0123456789"
PATIENCE = 60.0  # seconds that guard against hanging
Handler = Callable[[socket.socket, bytes], None]


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


def test_retry_after_as_a_date() -> None:
    """The time left until then; a past date is now."""
    soon = datetime.now(timezone.utc) + timedelta(seconds=30)
    told = _retry_after(email.utils.format_datetime(soon, usegmt=True))
    assert told is not None
    assert 28 < told <= 30
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_retry_after_as_a_date_without_a_zone_is_utc() -> None:
    """Whatever zone the bot's machine is in."""
    soon = datetime.now(timezone.utc) + timedelta(seconds=30)
    told = _retry_after(soon.strftime("%a, %d %b %Y %H:%M:%S -0000"))
    assert told is not None
    assert 28 < told <= 30


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


# -- On a socket


async def _once(api: TypingAPI, action: Action) -> Answer:
    try:
        return await api.request(action, CHAT)
    finally:
        await api.aclose()


def _request(url: str, action: Action = Action.START, *, key: str = KEY, **settings: Any) -> Answer:
    headers = settings.pop("headers", {})
    api = TypingAPI(Credentials(key, url, headers), HTTPSettings(**{"timeout": PATIENCE, **settings}))
    return asyncio.run(_once(api, action))


def _saying(*parts: bytes) -> Handler:
    def handle(connection: socket.socket, head: bytes) -> None:
        for part in parts:
            connection.sendall(part)

    return handle


def _reset(connection: socket.socket, *_: object) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_start_is_a_post_and_a_stop_is_a_delete_without_body() -> None:
    """The two requests, and the 204 that both get."""
    with serving(_saying(answer(204))) as server:
        assert _request(server.url + "/api/partner") == Answer(Outcome.ACCEPTED, None)
        assert _request(server.url + "/api/partner", Action.STOP) == Answer(Outcome.ACCEPTED, None)
    start, stop = server.heads
    assert start.startswith(f"POST /api/partner/v3/chats/{CHAT}/typing HTTP/1.1\r\n".encode())
    assert stop.startswith(f"DELETE /api/partner/v3/chats/{CHAT}/typing HTTP/1.1\r\n".encode())
    for head in server.heads:
        assert f"\r\nauthorization: bearer {KEY}\r\n".encode() in head.lower()
        assert b"content-type" not in head.lower()
        assert b"transfer-encoding" not in head.lower()


def test_lent_headers_are_sent() -> None:
    """A client's default headers may be what its gateway wants; the names come once each."""
    with serving(_saying(answer(204))) as server:
        _request(server.url, headers={"X-Tenant": "seven", "Accept": "application/vnd.linq"})
    [head] = server.heads
    assert b"\r\nX-Tenant: seven\r\n" in head
    assert head.count(b"\r\nAccept:") == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_accepted(status: int) -> None:
    """204 is documented; nothing hangs on it."""
    with serving(_saying(answer(status))) as server:
        assert _request(server.url).outcome is Outcome.ACCEPTED


def test_a_redirect_is_a_refusal_and_is_not_followed() -> None:
    """A POST that is turned into a GET somewhere else shows nothing."""
    with serving(_saying(answer(302, b"", "Location: /elsewhere"))) as server:
        got = _request(server.url)
    assert got.outcome is Outcome.REFUSED
    assert isinstance(got.error, APIStatusError)
    assert got.error.status_code == 302
    assert len(server.heads) == 1


def test_an_error_answer_is_mapped() -> None:
    """From the bytes on the wire to our own error."""
    body = b'{"error": {"status": 403, "code": 2005, "message": "no"}, "success": false}'
    with serving(_saying(answer(403, body, "X-Trace-ID: t"))) as server:
        got = _request(server.url)
    assert got.outcome is Outcome.REFUSED
    assert str(got.error) == "HTTP 403, code 2005: no (trace t)"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_did_nothing() -> None:
    """It needs no stop, and may be tried again."""
    got = _request(f"http://127.0.0.1:{_free_port()}")
    assert got.outcome is Outcome.NOT_APPLIED
    assert type(got.error) is APIConnectionError


def test_an_unknown_host_did_nothing() -> None:
    """The name does not resolve."""
    got = _request("http://no-such-host.invalid")
    assert got.outcome is Outcome.NOT_APPLIED
    assert type(got.error) is APIConnectionError


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """The URL of a server that completes no more connections."""
    with contextmanager(_full_backlog)() as url:
        yield url


def _full_backlog() -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    clients = [socket.socket() for _ in range(4)]
    try:
        for client in clients:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for sock in (*clients, listener):
            sock.close()


HOUR = 3600.0


class AdjustableLoop(asyncio.SelectorEventLoop):
    """A loop whose clock a test puts forward, so that a time-out of an hour comes when the test says so."""

    def __init__(self, *, on_connect: float = 0.0) -> None:
        super().__init__()
        self._ahead = 0.0
        self._on_connect = on_connect

    def time(self) -> float:
        return super().time() + self._ahead

    def put_forward(self, seconds: float) -> None:
        """From another thread. Waits until the loop has looked at its timers."""
        self._ahead += seconds
        looked = threading.Event()
        with contextlib.suppress(RuntimeError):  # the request has ended, and the loop been closed
            self.call_soon_threadsafe(looked.set)
            while not looked.wait(0.01) and not self.is_closed():
                pass

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._ahead += self._on_connect
        await super().sock_connect(sock, address)


def _request_within_an_hour(loop: AdjustableLoop, url: str) -> Answer:
    api = TypingAPI(Credentials(KEY, url), HTTPSettings(timeout=HOUR))
    guard = threading.Timer(PATIENCE, loop.put_forward, [100 * HOUR])  # or a test that fails would take an hour
    guard.start()
    try:
        with contextlib.closing(loop):
            return loop.run_until_complete(_once(api, Action.START))
    finally:
        guard.cancel()
        guard.join()


def test_a_connection_that_times_out_did_nothing(full_backlog: str) -> None:
    """Known in time to be a connect time-out: nothing was sent, so no stop is needed."""
    got = _request_within_an_hour(AdjustableLoop(on_connect=0.95 * HOUR), full_backlog)
    assert got.outcome is Outcome.NOT_APPLIED
    assert type(got.error) is APITimeoutError


def test_no_answer_in_time_may_still_work() -> None:
    """The server has the request; what it makes of it is not known."""
    loop = AdjustableLoop()
    with serving(lambda *_: loop.put_forward(HOUR)) as server:
        got = _request_within_an_hour(loop, server.url)
    assert got.outcome is Outcome.NO_ANSWER
    assert type(got.error) is APITimeoutError


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_drips_ends_with_the_time_out(status: int) -> None:
    """Each byte comes in time, the whole does not: the time-out is for the attempt."""
    loop = AdjustableLoop()

    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(f"HTTP/1.1 {status} Status\r\nContent-Length: 100\r\n\r\n".encode())
        for _ in range(100):
            connection.sendall(b"x")
            loop.put_forward(HOUR / 50)

    with serving(drip) as server:
        got = _request_within_an_hour(loop, server.url)
    assert got.outcome is Outcome.NO_ANSWER
    assert type(got.error) is APITimeoutError
    assert str(got.error) == "no answer within 3600 s"


@pytest.mark.parametrize(
    "handle",
    [
        pytest.param(_reset, id="before the answer"),
        pytest.param(lambda c, _: (c.sendall(answer(200, b"x" * 99)[:-50]), _reset(c)), id="within the body"),
        pytest.param(lambda c, _: (c.sendall(b"HTTP/1.1 20"), _reset(c)), id="within the status line"),
        pytest.param(lambda c, _: c.shutdown(socket.SHUT_RDWR), id="closed without an answer"),
        pytest.param(_saying(b"HELLO THERE\r\n\r\n"), id="no HTTP"),
    ],
)
def test_a_connection_that_breaks_may_still_work(handle: Handler) -> None:
    """The request was sent: a stop has to settle it."""
    with serving(handle) as server:
        got = _request(server.url)
    assert got.outcome is Outcome.NO_ANSWER
    assert type(got.error) is APIConnectionError
    assert str(got.error)


def test_a_body_that_claims_to_be_compressed_is_not_decoded() -> None:
    """Nothing compressed was asked for; and 64 KB of it could hold 64 MB."""
    with serving(_saying(answer(500, b"no gzip", "Content-Encoding: gzip"))) as server:
        got = _request(server.url)
    assert got.outcome is Outcome.UNKNOWN
    assert str(got.error) == "HTTP 500: no gzip"


def test_the_key_is_not_in_the_message_of_an_error() -> None:
    """An API that echoes the request's headers gives nothing away."""
    for body in (f'{{"error": {{"message": "bad key {KEY}!"}}}}', f"bad key {KEY}!"):
        with serving(_saying(answer(401, body.encode()))) as server:
            got = _request(server.url)
        assert got.error is not None
        assert got.error.message == "bad key ***!"
        assert KEY not in f"{got.error} {got.error!r} {got.error.args} {vars(got.error)}"


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ("x" * 190 + KEY, ""),
        ("", f"X-Trace-ID: {KEY}"),
        (f'{{"error": {{"doc_url": "https://docs/?key={KEY}"}}}}', "X: y"),
    ],
)
def test_the_key_is_nowhere_in_an_error(body: str, header: str) -> None:
    """Not cut in half by the shortening either, nor in another attribute."""
    with serving(_saying(answer(401, body.encode(), header or "X: y"))) as server:
        got = _request(server.url)
    text = f"{got.error} {vars(got.error or 0)}"
    assert KEY[:8] not in text


def test_a_failed_request_does_not_carry_the_key_along() -> None:
    """No cause and no context: httpx's exception holds the request with its headers."""
    got = _request(f"http://127.0.0.1:{_free_port()}")
    assert got.error is not None
    assert (got.error.__cause__, got.error.__context__, got.error.__traceback__) == (None, None, None)


def test_a_cancelled_request_is_cancelled() -> None:
    """The engine's cancellation is no time-out."""

    async def main() -> None:
        arrived, release = threading.Event(), threading.Event()
        with serving(lambda *_: (arrived.set(), release.wait(PATIENCE))) as server:
            api = TypingAPI(Credentials(KEY, server.url), HTTPSettings())
            task = asyncio.create_task(api.request(Action.START, CHAT))
            await asyncio.to_thread(arrived.wait, PATIENCE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await api.aclose()
            release.set()

    asyncio.run(main())


@pytest.mark.parametrize("warm", [False, True])
def test_whenever_a_request_is_cancelled_the_next_one_works(warm: bool) -> None:
    """At each turn of the loop in a request's life: httpcore is not proof against asyncio's cancellation."""
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer(204))
        writer.close()

    async def cancelled_after(turns: int, url: str) -> bool:
        """Whether the request was over before."""
        api = TypingAPI(Credentials(KEY, url), HTTPSettings(timeout=PATIENCE))
        if warm:
            assert (await api.request(Action.START, CHAT)).outcome is Outcome.ACCEPTED
        task = asyncio.create_task(api.request(Action.START, CHAT))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        over = not task.cancelled()
        assert (await api.request(Action.START, CHAT)).outcome is Outcome.ACCEPTED, f"dead after {turns} turns"
        await api.aclose()
        return over

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        turns = 0
        while not await cancelled_after(turns, url):
            turns += 1
        assert turns > 3
        server.close()
        await asyncio.wait([handler for handler in handlers if handler])

    asyncio.run(main())


def test_a_crowd_shares_no_pool_and_uses_its_connections_again() -> None:
    """Each request under way has a transport of one connection; the next ones take those that are idle."""

    async def main(server: TinyServer) -> None:
        api = TypingAPI(Credentials(KEY, server.url), HTTPSettings())
        for _ in range(3):
            answers = await asyncio.gather(*(api.request(Action.START, CHAT) for _ in range(16)))
            assert {a.outcome for a in answers} == {Outcome.ACCEPTED}
        assert isinstance(transport := api._transport, BuiltInTransport)
        assert len(transport._transports) == len(transport._idle) == 16
        await api.aclose()

    with serving(_saying(answer(204))) as server:
        asyncio.run(main(server))
        assert len(server._connections) == 16


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str) -> None:
    """As httpx's clients would; the API's own name is not even looked up."""
    with serving(_saying(answer(204))) as server:
        monkeypatch.setenv(variable, scheme + server.url.removeprefix("http://"))
        assert _request("http://api.example").outcome is Outcome.ACCEPTED
    assert server.heads[0].startswith(f"POST http://api.example/v3/chats/{CHAT}/typing HTTP/1.1".encode())


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


@pytest.mark.parametrize("proxy", ["gopher://proxy", "http://proxy:port"])
def test_a_proxy_that_cannot_be_used_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """And no exception of httpx's."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="proxy"):
        TypingAPI(Credentials(KEY, "http://api.example"), HTTPSettings())


def test_a_tunnel_that_breaks_is_dug_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore would keep the broken one, and refuse all that follows."""

    def open_and_close(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)

    with serving(open_and_close) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)

        async def main() -> None:
            api = TypingAPI(Credentials(KEY, "https://api.example"), HTTPSettings(timeout=PATIENCE))
            for _ in range(3):
                assert (await api.request(Action.START, CHAT)).error is not None
            assert len(proxy.heads) == 3
            await api.aclose()

        asyncio.run(main())


@pytest.mark.parametrize("hosts", ["127.0.0.1", "*", "api.example, 127.0.0.1"])
def test_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    """A base on this machine, say."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{_free_port()}")
    monkeypatch.setenv("NO_PROXY", hosts)
    with serving(_saying(answer(204))) as server:
        assert _request(server.url).outcome is Outcome.ACCEPTED


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
    assert asyncio.run(_once(api, Action.STOP)).outcome is Outcome.ACCEPTED
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

    with serving(_saying(answer(status, b"" if status == 204 else b"body"))) as server:
        api = TypingAPI(Credentials(KEY, server.url), HTTPSettings(timeout=PATIENCE), Reading())
        got = asyncio.run(_once(api, Action.START))
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
    got = asyncio.run(_once(api, Action.START))
    assert (got.outcome, type(got.error)) == (Outcome.NO_ANSWER, kind)
    assert type(raised).__name__ in str(got.error)


# -- What an answer may do to us


def test_an_endless_answer_is_read_up_to_a_limit() -> None:
    """It says 204 or 500 all the same; the rest of it is never asked for."""
    sent = []

    def endless(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 500 Status\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        while True:  # until the connection is closed: OSError
            connection.sendall(block)
            sent.append(len(block))

    with serving(endless) as server:
        got = _request(server.url)
    assert got.outcome is Outcome.UNKNOWN
    assert str(got.error) == "HTTP 500: " + "x" * 200
    assert sum(sent) < 64 * 2**20  # what fits into the buffers of the sockets


async def _twice(url: str) -> tuple[Answer, Answer]:
    api = TypingAPI(Credentials(KEY, url), HTTPSettings(timeout=PATIENCE))
    try:
        return await api.request(Action.START, CHAT), await api.request(Action.START, CHAT)
    finally:
        await api.aclose()


def test_after_a_huge_answer_the_next_request_works() -> None:
    """Over another connection: the first was not read out."""
    body = b"x" * 1_000_000
    with serving(_saying(answer(500, body))) as server:
        first, second = asyncio.run(_twice(server.url))
    assert [first.outcome, second.outcome] == [Outcome.UNKNOWN] * 2


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


def test_the_text_of_a_broken_answer_is_bounded_too() -> None:
    """h11 quotes the line that it did not understand."""
    with serving(_saying(b"HTTP/1.1 \x1b[31m" + b"y" * 5000 + b"\r\n\r\n")) as server:
        got = _request(server.url)
    assert got.error is not None
    assert got.error.message.isprintable()
    assert len(got.error.message) <= 200


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
