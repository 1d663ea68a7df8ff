"""Serves an ASGI application on a thread of its own. The only module that imports uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from linq_typing.sandbox._fault_player import CONNECTION

_KEEP_ALIVE = 600  # seconds; so long that clients close idle connections: closing one here could meet a new request
_ACCEPT_TURNS = 5  # turns of the event loop until an accepted socket is a connection


class _Connection(H11Protocol):
    """uvicorn's connection, which also reports its loss and can be dropped."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, CONNECTION: self}, _loop)
        self.access_log = False
        self.on_lost: Callable[[], None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close the socket at once, even if a forked child has a copy of it."""
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self.transport.abort()


class Server:
    """Serves `app` on a daemon thread between `start()` and `stop()`, any number of times.

    Parameters:
        port: 0: a free port, which is kept from then on.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self.port = port
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None

    @property
    def running(self) -> bool:
        """Whether it is serving."""
        return self._thread is not None

    def start(self) -> None:
        """Start serving. Returns when connections are accepted. Idempotent."""
        with self._lock:
            if self._thread is not None:
                return
            sock = self._bind()
            ready: Future[Callable[[], object]] = Future()
            thread = threading.Thread(target=self._run, args=(sock, ready), name="linq-sandbox", daemon=True)
            try:
                thread.start()
                self._stop = ready.result()
            except BaseException:  # including Ctrl-C
                _abort(sock, ready)
                raise
            self._thread = thread

    def stop(self) -> None:
        """Close all connections and stop. Returns when the thread has ended. Idempotent."""
        with self._lock:
            if self._thread is None or self._stop is None:
                return
            self._stop()
            self._thread.join()
            self._thread = self._stop = None

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self.port))
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        return sock

    def _run(self, sock: socket.socket, ready: Future[Callable[[], object]]) -> None:
        # debug=False: under -X dev asyncio would log each step that is slow on a busy machine.
        asyncio.run(self._serve(sock, ready), debug=False)

    async def _serve(self, sock: socket.socket, ready: Future[Callable[[], object]]) -> None:
        if not ready.set_running_or_notify_cancel():
            return
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        state = ServerState()
        try:
            config = _config(_ignore_cancelled_once(stopping, self._app))
            server = await loop.create_server(
                lambda: _Connection(config, state, {}, loop), sock=sock, backlog=config.backlog
            )
        except BaseException as error:  # noqa: BLE001 - raised by start()
            sock.close()
            ready.set_exception(error)
            return
        ready.set_result(partial(loop.call_soon_threadsafe, stopping.set))
        await stopping.wait()
        # Stop accepting, but let sockets that were just accepted become connections: a closed server would leak them.
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(sock)
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        server.close()
        await _drop_all(state)


def _abort(sock: socket.socket, ready: Future[Callable[[], object]]) -> None:
    """Start-up was interrupted: close the socket, or stop the server."""
    if ready.cancel():
        sock.close()
    else:
        ready.add_done_callback(lambda done: None if done.exception() else done.result()())


def _config(app: ASGIApp) -> uvicorn.Config:
    """Leaves logging to the process, and disables what a local API does not need."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    config.load()
    return config


def _ignore_cancelled_once(stopping: asyncio.Event, app: ASGIApp) -> ASGIApp:
    """`app`, but requests that are cancelled once the server stops end silently: uvicorn would log them as errors."""

    async def ignoring(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if not stopping.is_set():
                raise

    return ignoring


async def _drop_all(state: ServerState) -> None:
    for connection in list(state.connections):
        assert isinstance(connection, _Connection)
        connection.drop()
    await asyncio.sleep(0)  # lets the connections notice
    tasks = list(state.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
