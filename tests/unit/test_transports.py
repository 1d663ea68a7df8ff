"""The same behaviour with each of the library's own transports, on real sockets."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from linq_typing._core.indicator import Action, Outcome
from linq_typing._engine import fast, transports
from linq_typing._engine.answers import Answer
from linq_typing._engine.http import TypingAPI
from linq_typing._engine.transports import TransportOption
from linq_typing._settings import Credentials, HTTPSettings
from linq_typing.errors import APIConnectionError, APIStatusError, APITimeoutError, ConfigurationError
from patience import PATIENCE
from ports import reserved_port

from .kit import CHAT, Handler, answer, once, saying, serving

OLD_TLS = sys.version_info < (3, 11)  # there, asyncio closes TLS connections late, and some never
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning" if OLD_TLS else "error")

KEY = "secret-key-0123456789"
_transport: TransportOption = None


@pytest.fixture(autouse=True, params=[None, "fast"], ids=["built-in", "fast"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TransportOption]:
    """What the tests of this file make their requests with."""
    monkeypatch.setitem(globals(), "_transport", request.param)
    yield request.param
    if OLD_TLS:
        gc.collect()


def api_for(url: str, headers: dict[str, str] | None = None, *, key: str = KEY, **settings: Any) -> TypingAPI:
    settings = {"timeout": PATIENCE, **settings}
    return TypingAPI(Credentials(key, url, headers or {}), HTTPSettings(**settings), _transport)


def request(url: str, action: Action = Action.START, **settings: Any) -> Answer:
    return asyncio.run(once(api_for(url, **settings), action))


def _reset(connection: socket.socket, *_: object) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_start_is_a_post_and_a_stop_is_a_delete_without_body() -> None:
    """The two requests, and the 204 that both get."""
    with serving(saying(answer(204))) as server:
        assert request(server.url + "/api/partner") == Answer(Outcome.ACCEPTED, None)
        assert request(server.url + "/api/partner", Action.STOP) == Answer(Outcome.ACCEPTED, None)
    start, stop = server.heads
    assert start.startswith(f"POST /api/partner/v3/chats/{CHAT}/typing HTTP/1.1\r\n".encode())
    assert stop.startswith(f"DELETE /api/partner/v3/chats/{CHAT}/typing HTTP/1.1\r\n".encode())
    for head in server.heads:
        assert f"\r\nauthorization: bearer {KEY}\r\n".encode() in head.lower()
        assert b"content-type" not in head.lower()
        assert b"transfer-encoding" not in head.lower()


def test_copied_headers_are_sent() -> None:
    """A client's default headers may be what its gateway wants; the names come once each."""
    with serving(saying(answer(204))) as server:
        request(server.url, headers={"X-Tenant": "seven", "Accept": "application/vnd.linq"})
    [head] = server.heads
    assert b"\r\nX-Tenant: seven\r\n" in head
    assert head.count(b"\r\nAccept:") == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_accepted(status: int) -> None:
    """204 is documented; nothing hangs on it."""
    with serving(saying(answer(status))) as server:
        assert request(server.url).outcome is Outcome.ACCEPTED


def test_a_redirect_is_a_refusal_and_is_not_followed() -> None:
    """A POST that is turned into a GET somewhere else shows nothing."""
    with serving(saying(answer(302, b"", "Location: /elsewhere", "X-Trace-ID: t"))) as server:
        got = request(server.url)
    assert got.outcome is Outcome.REFUSED
    assert isinstance(got.error, APIStatusError)
    assert (got.error.status_code, got.error.trace_id) == (302, "t")
    assert len(server.heads) == 1


def test_an_error_answer_is_mapped() -> None:
    """From the bytes on the wire to our own error."""
    body = b'{"error": {"status": 403, "code": 2005, "message": "no"}, "success": false}'
    with serving(saying(answer(403, body, "X-Trace-ID: t"))) as server:
        got = request(server.url)
    assert got.outcome is Outcome.REFUSED
    assert str(got.error) == "HTTP 403, code 2005: no (trace t)"


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL that refuses connections."""
    with reserved_port() as port:
        yield f"http://127.0.0.1:{port}"


def test_a_refused_connection_did_nothing(nobody: str) -> None:
    """It needs no stop, and may be tried again."""
    got = request(nobody)
    assert got.outcome is Outcome.NOT_APPLIED
    assert type(got.error) is APIConnectionError


def test_an_unknown_host_did_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name does not resolve. No name server is asked: some take minutes, others know every name."""

    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    got = request("http://no-such-host.invalid")
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
    api = api_for(url, timeout=HOUR)
    guard = threading.Timer(PATIENCE, loop.put_forward, [100 * HOUR])  # or a test that fails would take an hour
    guard.start()
    try:
        with contextlib.closing(loop):
            return loop.run_until_complete(once(api, Action.START))
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
        pytest.param(saying(b"HELLO THERE\r\n\r\n"), id="no HTTP"),
    ],
)
def test_a_connection_that_breaks_may_still_work(handle: Handler) -> None:
    """The request was sent: a stop has to settle it."""
    with serving(handle) as server:
        got = request(server.url)
    assert got.outcome is Outcome.NO_ANSWER
    assert type(got.error) is APIConnectionError
    assert str(got.error)


def test_a_body_that_claims_to_be_compressed_is_not_decoded() -> None:
    """Nothing compressed was asked for; and 64 KB of it could hold 64 MB."""
    with serving(saying(answer(500, b"no gzip", "Content-Encoding: gzip"))) as server:
        got = request(server.url)
    assert got.outcome is Outcome.UNKNOWN
    assert str(got.error) == "HTTP 500: no gzip"


def test_the_key_is_not_in_the_message_of_an_error() -> None:
    """An API that echoes the request's headers gives nothing away."""
    for body in (f'{{"error": {{"message": "bad key {KEY}!"}}}}', f"bad key {KEY}!"):
        with serving(saying(answer(401, body.encode()))) as server:
            got = request(server.url)
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
    with serving(saying(answer(401, body.encode(), header or "X: y"))) as server:
        got = request(server.url)
    text = f"{got.error} {vars(got.error or 0)}"
    assert KEY[:8] not in text


def test_a_failed_request_does_not_carry_the_key_along(nobody: str) -> None:
    """No cause and no context: httpx's exception holds the request with its headers."""
    got = request(nobody)
    assert got.error is not None
    assert (got.error.__cause__, got.error.__context__, got.error.__traceback__) == (None, None, None)


def test_a_cancelled_request_is_cancelled() -> None:
    """The engine's cancellation is no time-out."""

    async def main() -> None:
        arrived, release = threading.Event(), threading.Event()
        with serving(lambda *_: (arrived.set(), release.wait(PATIENCE))) as server:
            api = api_for(server.url)
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
        api = api_for(url)
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


def test_a_crowd_opens_no_more_connections_than_it_needs_and_uses_them_again() -> None:
    with serving(saying(answer(204))) as server:

        async def main() -> None:
            api = api_for(server.url)
            for _ in range(3):
                answers = await asyncio.gather(*(api.request(Action.START, CHAT) for _ in range(16)))
                assert {a.outcome for a in answers} == {Outcome.ACCEPTED}
            await api.aclose()

        asyncio.run(main())
        assert len(server._connections) == 16


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str) -> None:
    """As httpx's clients would; the API's own name is not even looked up."""
    with serving(saying(answer(204))) as server:
        monkeypatch.setenv(variable, scheme + server.url.removeprefix("http://"))
        assert request("http://api.example").outcome is Outcome.ACCEPTED
    assert server.heads[0].startswith(f"POST http://api.example/v3/chats/{CHAT}/typing HTTP/1.1".encode())


@pytest.mark.parametrize("proxy", ["gopher://proxy", "http://proxy:port"])
def test_a_proxy_that_cannot_be_used_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """And no exception of httpx's."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="proxy"):
        api_for("http://api.example")


def test_a_broken_tunnel_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore would keep the broken one, and refuse all that follows."""

    def open_and_close(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)

    with serving(open_and_close) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)

        async def main() -> None:
            api = api_for("https://api.example")
            for _ in range(3):
                assert (await api.request(Action.START, CHAT)).error is not None
            assert len(proxy.heads) == 3
            await api.aclose()

        asyncio.run(main())


@pytest.mark.parametrize("hosts", ["127.0.0.1", "*", "api.example, 127.0.0.1"])
def test_the_variable_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch, hosts: str, nobody: str) -> None:
    """A base on this machine, say."""
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("NO_PROXY", hosts)
    with serving(saying(answer(204))) as server:
        assert request(server.url).outcome is Outcome.ACCEPTED


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
        got = request(server.url)
    assert got.outcome is Outcome.UNKNOWN
    assert str(got.error) == "HTTP 500: " + "x" * 200
    assert sum(sent) < 64 * 2**20  # what fits into the buffers of the sockets


async def _twice(url: str) -> tuple[Answer, Answer]:
    api = api_for(url)
    try:
        return await api.request(Action.START, CHAT), await api.request(Action.START, CHAT)
    finally:
        await api.aclose()


def test_after_a_huge_answer_the_next_request_works() -> None:
    """Over another connection: the first was not read out."""
    body = b"x" * 1_000_000
    with serving(saying(answer(500, body))) as server:
        first, second = asyncio.run(_twice(server.url))
    assert [first.outcome, second.outcome] == [Outcome.UNKNOWN] * 2


def test_the_text_of_a_broken_answer_is_bounded_too() -> None:
    """h11 quotes the line that it did not understand."""
    with serving(saying(b"HTTP/1.1 \x1b[31m" + b"y" * 5000 + b"\r\n\r\n")) as server:
        got = request(server.url)
    assert got.error is not None
    assert got.error.message.isprintable()
    assert len(got.error.message) <= 200


# -- Connections


@pytest.mark.parametrize("action", Action)
def test_a_lost_answer_on_a_used_connection_is_one_request(action: Action) -> None:
    """aiohttp would repeat a DELETE on another connection, although the first may still take effect."""

    def answer_once(connection: socket.socket, head: bytes) -> None:
        if len(server.heads) == 1:
            connection.sendall(answer(204))
        else:
            connection.shutdown(socket.SHUT_RDWR)

    async def main() -> None:
        api = api_for(server.url)
        assert (await api.request(action, CHAT)).outcome is Outcome.ACCEPTED
        assert (await api.request(action, CHAT)).outcome is Outcome.NO_ANSWER
        await api.aclose()

    with serving(answer_once) as server:
        asyncio.run(main())
        assert len(server._connections) == 1
    assert len(server.heads) == 2


@pytest.mark.parametrize("frozen", [False, True], ids=["idle", "the process stood still"])
def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(frozen: bool) -> None:
    """Also where the loop has not looked at its sockets since: after a freeze, its timers come first."""
    closed = threading.Event()

    def answer_and_close(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer(204))
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    async def main() -> None:
        api = api_for(server.url)
        for _ in range(10):
            assert (await api.request(Action.START, CHAT)).outcome is Outcome.ACCEPTED
            assert closed.wait(PATIENCE)
            closed.clear()
            if not frozen:
                await asyncio.sleep(0.01)
        await api.aclose()

    with serving(answer_and_close) as server:
        asyncio.run(main())
    assert len(server.heads) == 10


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transports, fast):
        monkeypatch.setattr(module, "KEEPALIVE_EXPIRY", 0.01)

    async def main() -> None:
        api = api_for(server.url)
        for _ in range(3):
            assert (await api.request(Action.START, CHAT)).outcome is Outcome.ACCEPTED
            await asyncio.sleep(0.02)
        await api.aclose()

    with serving(saying(answer(204))) as server:
        asyncio.run(main())
        assert len(server._connections) == 3


def test_closed_it_opens_again() -> None:
    async def main() -> None:
        api = api_for(server.url)
        for _ in range(3):
            assert (await api.request(Action.START, CHAT)).outcome is Outcome.ACCEPTED
            await api.aclose(for_good=False)

    with serving(saying(answer(204))) as server:
        asyncio.run(main())
        assert len(server._connections) == 3


# -- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def tls(authority: trustme.CA, host: str) -> Iterator[str]:
    """The URL of a server with a certificate for this host, which answers 204."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    with serving(saying(answer(204)), lambda connection: context.wrap_socket(connection, server_side=True)) as server:
        yield server.url.replace("http:", "https:")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_private_authority_of_the_environment_is_trusted(
    authority: trustme.CA, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = tmp_path / _hashed_name(authority)
    certificate.write_bytes(authority.cert_pem.bytes())
    monkeypatch.setenv(variable, str(certificate if variable == "SSL_CERT_FILE" else tmp_path))
    with tls(authority, "127.0.0.1") as url:
        assert request(url).outcome is Outcome.ACCEPTED


def _hashed_name(authority: trustme.CA) -> str:
    """The name under which OpenSSL looks for a certificate in a folder."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(authority.cert_pem.bytes())
        file.flush()
        command = ["openssl", "x509", "-noout", "-subject_hash", "-in", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() + ".0"


@pytest.mark.parametrize(
    ("host", "trusted"), [("127.0.0.1", False), ("api.example", True)], ids=["unknown authority", "another host"]
)
def test_after_a_wrong_certificate_nothing_is_sent(
    authority: trustme.CA, host: str, trusted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So it needs no stop."""
    certificate = tmp_path / "authority.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls(authority, host) as url:
        got = request(url)
    assert got.outcome is Outcome.NOT_APPLIED
    assert type(got.error) is APIConnectionError
    assert "certificate" in str(got.error).lower()


# -- Proxies


def tunnel(connection: socket.socket, head: bytes) -> None:
    """What a proxy does with CONNECT."""
    host, _, port = head.split()[1].decode().rpartition(":")
    with socket.create_connection((host, int(port))) as target:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_copy, args=(target, connection))
        back.start()
        _copy(connection, target)
        back.join(PATIENCE)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("user", ["", "name:secret@"])
def test_https_goes_through_the_environments_proxy(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: str
) -> None:
    """With the name and the password in the proxy's URL. Only the proxy gets those, and only Linq gets our headers."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with tls(authority, "127.0.0.1") as url, serving(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//{user}"))
        api = api_for(url, {"X-Gateway": "hush"})

        async def main() -> None:
            assert (await api.request(Action.START, CHAT)).outcome is Outcome.ACCEPTED
            await api.aclose()

        asyncio.run(main())
    [head] = proxy.heads
    assert head.startswith(b"CONNECT " + url.removeprefix("https://").encode())
    told = f"proxy-authorization: basic {b64encode(b'name:secret').decode()}\r\n"
    assert (told.lower() in head.decode().lower()) is bool(user)
    assert KEY.encode() not in head
    assert b"hush" not in head


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_the_tunnel_passes_nothing_on(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with serving(saying(answer(status, b"no"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//name:secret@"))
        got = request("https://api.example")
    assert got.outcome is Outcome.NOT_APPLIED
    assert type(got.error) is APIConnectionError
    assert str(status) in str(got.error)
    assert "secret" not in str(got.error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_reached_passes_nothing_on(
    monkeypatch: pytest.MonkeyPatch, scheme: str, nobody: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", nobody)
    assert request(f"{scheme}://api.example").outcome is Outcome.NOT_APPLIED


def test_a_proxy_that_dies_within_the_tunnel_may_have_passed_the_request_on(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example").configure_cert(context)

    def die(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as secure:
            assert secure.recv(65536).startswith(b"POST ")

    with serving(die) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert request("https://api.example").outcome is Outcome.NO_ANSWER


# -- Processes


def run(transport: TransportOption, url: str, program: str) -> None:
    """Run the program with an ``api`` in an interpreter of its own, which may print nothing."""
    program = f"""
import asyncio, gc, os, sys
from linq_typing._core.indicator import Action, Outcome
from linq_typing._engine.http import TypingAPI
from linq_typing._settings import Credentials, HTTPSettings
async def request(api):
    assert (await api.request(Action.START, "{CHAT}")).outcome is Outcome.ACCEPTED
async def main():
    api = TypingAPI(Credentials("key", "{url}"), HTTPSettings(timeout={PATIENCE}), {transport!r})
{textwrap.indent(textwrap.dedent(program), "    ")}
asyncio.run(main())
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_first_request_imports_nothing(transport: TransportOption) -> None:
    """On the library's thread that would take seconds, if the caller's thread computes."""
    with serving(saying(answer(204))) as server:
        run(
            transport,
            server.url,
            """
            before = set(sys.modules)
            await request(api)
            assert set(sys.modules) == before, set(sys.modules) - before
            await api.aclose()
            """,
        )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_that_drops_the_parents_transport_does_not_disturb_it(transport: TransportOption) -> None:
    """The child shares the parent's sockets, and what waits for them."""
    with serving(saying(answer(204))) as server:
        run(
            transport,
            server.url,
            """
            await request(api)
            pid = os.fork()
            if pid == 0:
                del api
                gc.collect()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            await request(api)
            await api.aclose()
            """,
        )
        assert len(server._connections) == 1


# -- What is the same with all


def test_the_requests_are_the_same_to_the_byte(transport: TransportOption, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apart from the order of the headers, and their case."""
    with serving(saying(answer(204))) as server:
        for option in (None, transport):
            monkeypatch.setitem(globals(), "_transport", option)
            for action in Action:
                request(f"{server.url}/a%20b", action, headers={"X-Tenant": "seven"})
    start, stop, *others = [
        (line, sorted(header.lower() for header in headers))
        for line, *headers in (head.split(b"\r\n") for head in server.heads)
    ]
    assert [start, stop] == others


def test_a_name_in_the_base_url_is_ignored() -> None:
    """The key identifies the bot."""
    with serving(saying(answer(204))) as server:
        assert request(server.url.replace("//", "//name:secret@")).outcome is Outcome.ACCEPTED
    assert f"Authorization: Bearer {KEY}\r\n".encode() in server.heads[0]


def test_long_headers_of_an_answer_are_no_error() -> None:
    with serving(saying(answer(204, b"", f"X-Policy: {'x' * 20_000}"))) as server:
        assert request(server.url).outcome is Outcome.ACCEPTED


def test_the_reason_of_an_answer_without_a_body_is_told() -> None:
    with serving(saying(b"HTTP/1.1 503 Back At Noon\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n")) as server:
        error = request(server.url).error
    assert isinstance(error, APIStatusError)
    assert (str(error), error.retry_after) == ("HTTP 503: Back At Noon", 7.0)


def test_a_reason_in_any_encoding_is_no_lost_answer() -> None:
    with serving(saying("HTTP/1.1 403 Accès refusé\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))) as server:
        assert request(server.url).outcome is Outcome.REFUSED
