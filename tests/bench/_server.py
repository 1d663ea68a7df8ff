"""A server so small that it isn't the bottleneck, in a process and on a core of its own.

It answers every request with 204 and remembers when each arrived. ``time.monotonic`` is one clock for all processes of
a machine, so that arrivals can be compared with what a client did.

The distance. ``Server(distance=0.15)`` is 150 ms of round trip away: all that is sent takes half of it, in both
directions, and what a client sends first takes a whole one more, for TCP's handshake. So a new connection costs what
it costs at that distance: one round trip for TCP, one for TLS 1.3, one for its first request; each later request costs
one. Not modelled: lost packets, jitter, bandwidth, and that ``connect()`` takes the first of these round trips: here it
returns at once, and the wait comes right after it. ``tc netem`` would delay the packets themselves, but needs root and
a kernel module that many machines lack.

Over TLS the server has a certificate made for the occasion. Entering sets ``SSL_CERT_FILE``, which all transports obey.

It takes about 0.1 ms of its core for a request over TLS at a distance: a third of the core for 3,000 requests a second
over 512 connections. So it is not the bottleneck. ``Server.work`` tells how much it had to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
from collections import deque
from time import monotonic, process_time
from typing import NamedTuple

from ._results import ROOT

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *([1-9]\d*)", re.IGNORECASE)


class Arrival(NamedTuple):
    """A request as the server met it."""

    at: float
    method: str
    path: str

    @property
    def chat_id(self) -> str:
        return self.path.split("/")[3]

    @property
    def is_typing(self) -> bool:
        return self.path.endswith("/typing")


class Work(NamedTuple):
    """What the server has done so far."""

    requests: int
    cpu: float
    """Seconds."""


def pin(*, to_the_last: bool) -> None:
    """Keep this process on the last core, or off it, where there is more than one."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[-1:] if to_the_last else cores[:-1])


class Server:
    """The server's process, as its client sees it. Entering also takes the caller off the server's core."""

    def __init__(self, *, distance: float = 0.0, tls: bool = False) -> None:
        self._arguments = [str(distance), "tls" if tls else "plain"]
        self._scheme = "https" if tls else "http"

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", f"{__package__}._server", *self._arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port, self._control, self._authority = json.loads(self._process.stdout.readline())
        self.base_url = f"{self._scheme}://127.0.0.1:{port}"
        if self._authority:
            os.environ["SSL_CERT_FILE"] = self._authority
        pin(to_the_last=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        if self._authority:
            os.unlink(self._authority)

    def url(self, chat_id: str) -> str:
        return f"{self.base_url}/v3/chats/{chat_id}/typing"

    def count(self) -> int:
        """How many requests have arrived."""
        return self.work().requests

    def work(self) -> Work:
        return Work(*json.loads(self._ask("/work")))

    def arrivals(self) -> list[Arrival]:
        """All requests that have arrived, in order."""
        return [Arrival(at, *line.split(" ", 1)) for at, line in json.loads(self._ask("/log"))]

    def _ask(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._control)
        connection.request("GET", path)
        try:
            return connection.getresponse().read()
        finally:
            connection.close()


# -- The server's process

Log = list[tuple[float, bytes]]


class _Connection(asyncio.Protocol):
    """HTTP/1.1 for requests that ask for little."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answers_to(data))

    def _answers_to(self, data: bytes) -> bytes:
        data = self._unread + data
        answers = b""
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(data, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(data) < whole:
                break
            answers += self._answer_to(data[: data.index(b" HTTP/")])
            data = data[whole:]
        self._unread = data
        return answers

    def _answer_to(self, line: bytes) -> bytes:
        if line.startswith(b"GET"):
            return self._told(line)
        self._log.append((monotonic(), line))
        return _ANSWER

    def _told(self, line: bytes) -> bytes:
        log = self._log
        told = (len(log), process_time()) if line == b"GET /work" else [(at, line.decode()) for at, line in log]
        body = json.dumps(told).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class _DistantConnection(_Connection):
    """The same at a distance: what is sent in either direction takes a while."""

    def __init__(self, log: Log, distance: float) -> None:
        super().__init__(log)
        self._distance = distance
        self._coming: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._loop = asyncio.get_running_loop()
        self._open_at = self._loop.time() + self._distance  # when a distant client would know that it is connected

    def data_received(self, data: bytes) -> None:
        self._coming.append(data)  # timers for the same moment may go off in any order
        self._loop.call_at(max(self._loop.time(), self._open_at) + self._distance / 2, self._arrive)

    def _arrive(self) -> None:
        if going := self._answers_to(self._coming.popleft()):
            self._loop.call_later(self._distance / 2, self._transport.write, going)


class _SecureConnection(_DistantConnection):
    """The same over TLS."""

    def __init__(self, log: Log, distance: float, context: ssl.SSLContext) -> None:
        super().__init__(log, distance)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_open = False

    def _answers_to(self, data: bytes) -> bytes:
        self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while data := self._tls.read(65536):
                if answers := super()._answers_to(data):
                    self._tls.write(answers)
        return self._outgoing.read()


async def serve(distance: float, tls: bool) -> None:
    """Serve until killed. The first line of the output has the port, that for questions, and the authority's file."""
    pin(to_the_last=True)
    log: Log = []
    loop = asyncio.get_running_loop()
    context, authority = _certified() if tls else (None, None)

    def connection() -> _Connection:
        if context is not None:
            return _SecureConnection(log, distance, context)
        return _DistantConnection(log, distance) if distance else _Connection(log)

    def questions() -> _Connection:
        return _Connection(log)

    gc.disable()  # it would stop the server for a while, more often the longer the log
    servers = [await loop.create_server(made, "127.0.0.1", 0, backlog=1024) for made in (connection, questions)]
    print(json.dumps([*(server.sockets[0].getsockname()[1] for server in servers), authority]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def _certified() -> tuple[ssl.SSLContext, str]:
    """A context for 127.0.0.1, and a file with the certificate to trust."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as file:
        file.write(authority.cert_pem.bytes())
    return context, file.name


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), sys.argv[2] == "tls"))
