"""A server so small that it isn't the bottleneck, in a process and on a core of its own.

It answers every request with 204, at once or after a while, and remembers when each arrived. ``time.monotonic`` is
one clock for all processes of a machine, so that arrivals can be compared with what a client did.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import NamedTuple

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *([1-9]\d*)", re.IGNORECASE)
_ROOT = Path(__file__).parents[2]


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


def pin(*, to_the_last: bool) -> None:
    """Keep this process on the last core, or off it, where there is more than one."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[-1:] if to_the_last else cores[:-1])


class Server:
    """The server's process, as its client sees it. Entering also takes the caller off the server's core."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", f"{__package__}._server", str(self._delay)]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        pin(to_the_last=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, chat_id: str) -> str:
        return f"{self.base_url}/v3/chats/{chat_id}/typing"

    def count(self) -> int:
        """How many requests have arrived."""
        return int(json.loads(self._ask("/count")))

    def arrivals(self) -> list[Arrival]:
        """All requests that have arrived, in order."""
        return [Arrival(at, *line.split(" ", 1)) for at, line in json.loads(self._ask("/log"))]

    def _ask(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path)
        try:
            return connection.getresponse().read()
        finally:
            connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self, log: list[tuple[float, bytes]], delay: float) -> None:
        self._log = log
        self._delay = delay
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(data, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(data) < whole:
                break
            self._meet(data[: data.index(b" HTTP/")])
            data = data[whole:]
        self._unread = data

    def _meet(self, line: bytes) -> None:
        if line.startswith(b"GET"):
            self._tell(line)
        else:
            self._log.append((monotonic(), line))
            if self._delay:
                self._loop.call_later(self._delay, self._transport.write, _ANSWER)
            else:
                self._transport.write(_ANSWER)

    def _tell(self, line: bytes) -> None:
        told = len(self._log) if line == b"GET /count" else [(at, line.decode()) for at, line in self._log]
        body = json.dumps(told).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def serve(delay: float) -> None:
    """Serve until killed; the port is the first line of the output."""
    pin(to_the_last=True)
    log: list[tuple[float, bytes]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(log, delay), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
