"""Stand-ins for what lies below the unit under test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from linq_typing._core.indicator import Action, MessageInFlight, SessionState
from linq_typing._engine.answers import Answer
from linq_typing._engine.http import TypingAPI
from linq_typing._engine.waiting import Completion
from linq_typing._session import TypingSession, _innermost_first
from linq_typing._settings import SessionOptions

CHAT = "11111111-2222-4333-8444-555555555555"
OTHER_CHAT = "99999999-8888-4777-8666-555555555555"


def carried() -> list[TypingSession]:
    """The sessions that this context carries, ended ones too, the innermost first."""
    return list(_innermost_first())


Handler = Callable[[socket.socket, bytes], None]


class FakeEngine:
    """Writes down what it is told, and answers a waiting ``leave`` with ``answer`` (None: never)."""

    def __init__(self) -> None:
        self.alive = True
        self.is_own_thread = False
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.answer: bool | None = True
        self.now = monotonic

    @property
    def can_be_waited_for(self) -> bool:
        return self.alive and not self.is_own_thread

    def join(self, chat_id: str, state: SessionState) -> None:
        self.told.append(("join", (chat_id, state)))

    def leave(
        self, chat_id: str, state: SessionState, at: float, linger: float, done: Completion | None = None
    ) -> None:
        self.told.append(("leave", (chat_id, state, at, linger, done)))
        if done is not None and self.answer is not None:
            done.set(self.answer)

    def pause(self, chat_id: str, state: SessionState, at: float) -> None:
        self.told.append(("pause", (chat_id, state, at)))

    def resume(self, chat_id: str, state: SessionState, at: float) -> None:
        self.told.append(("resume", (chat_id, state, at)))

    def send_began(self, chat_id: str, message: MessageInFlight) -> None:
        self.told.append(("send_began", (chat_id, message)))

    def send_ended(self, chat_id: str, message: MessageInFlight, at: float, accepted: bool) -> None:
        self.told.append(("send_ended", (chat_id, message, at, accepted)))

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        self.told.append(("mark_sent", (chat_id, message)))

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of that name."""
        return [args for told, args in self.told if told == name]


class FakeSource:
    """Opens sessions like a manager would, and remembers them."""

    def __init__(self, **options: Any) -> None:
        self._options = SessionOptions(**options)
        self.engine = FakeEngine()
        self.sessions: list[TypingSession] = []
        self.fails_with: Exception | None = None

    def _new_session(self, chat_id: str, given: Mapping[str, Any]) -> TypingSession:
        if self.fails_with is not None:
            raise self.fails_with
        state = SessionState(replace(self._options, **given), 0.0)
        session = TypingSession(chat_id, self.engine, state)
        self.sessions.append(session)
        return session

    @property
    def open_now(self) -> list[TypingSession]:
        return [session for session in self.sessions if session.is_open]

    @property
    def lingers(self) -> list[float]:
        """For each session that has ended, how long its stop is put off."""
        return [args[3] for args in self.engine.calls("leave")]


class TinyServer:
    """A socket on which each connection is handled by a function; knows no HTTP, so that it may break all of it.

    ``wrap`` may put TLS around a connection.
    """

    def __init__(self, handle: Handler, wrap: Callable[[socket.socket], socket.socket] = lambda sock: sock) -> None:
        self._wrap = wrap
        self.heads: list[bytes] = []
        self._handle = handle
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), self._wrap(connection) as connection:
            while head := self._read_head(connection):
                self.heads.append(head)
                self._handle(connection, head)

    @staticmethod
    def _read_head(connection: socket.socket) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = connection.recv(65536)
            if not got:
                return b""
            head += got
        return head

    def close(self) -> None:
        for sock in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(2)


@contextlib.contextmanager
def serving(
    handle: Handler, wrap: Callable[[socket.socket], socket.socket] = lambda sock: sock
) -> Iterator[TinyServer]:
    server = TinyServer(handle, wrap)
    try:
        yield server
    finally:
        server.close()


def answer(status: int = 204, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of an HTTP answer."""
    lines = [f"HTTP/1.1 {status} Status", *headers]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def saying(*parts: bytes) -> Handler:
    """Answers every request with these bytes."""

    def handle(connection: socket.socket, head: bytes) -> None:
        for part in parts:
            connection.sendall(part)

    return handle


async def once(api: TypingAPI, action: Action) -> Answer:
    """The answer to one request; then the connections are closed."""
    try:
        return await api.request(action, CHAT)
    finally:
        await api.aclose()
