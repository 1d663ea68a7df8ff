"""A reply in server-sent events, served by uvicorn."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from docs.kit import work_async
from examples.kit import assert_shown_until_the_message, settled, shape
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import LoadRecipe, need

need("fastapi", "fastapi.sse", "linq")

import uvicorn

Stream = Callable[[str], AsyncIterator[str]]
Serve = Callable[[Stream], int]

#: Of a stream that nobody reads: one in the socket, one in each of FastAPI's two buffers, and one that waits for them.
PIECES_UNDER_WAY = 4


@pytest.fixture
def serve(load: LoadRecipe) -> Iterator[Serve]:
    """Serves the recipe with the stream of a model; returns the port."""
    servers = []

    def serve(stream: Stream) -> int:
        server = uvicorn.Server(uvicorn.Config(load("sse_stream", stream=stream).app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        servers.append((server, thread))
        thread.start()
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive()
        port: int = server.servers[0].sockets[0].getsockname()[1]
        return port

    yield serve
    for server, thread in servers:
        server.should_exit = True
        thread.join(PATIENCE)


@contextmanager
def reading(port: int, chat: str) -> Iterator[Iterator[str]]:
    """The events that the browser gets."""
    url = f"http://127.0.0.1:{port}/reply/{chat}?text=hello"
    with httpx.stream("GET", url, timeout=PATIENCE, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (line for line in answer.iter_lines() if line.startswith("data:"))


def test_the_browser_reads_while_the_chat_shows_the_indicator(serve: Serve, linq: Sandbox, chat: str) -> None:
    go_on = threading.Event()

    async def stream(text: str) -> AsyncIterator[str]:
        await work_async(linq)
        yield "It is "
        await asyncio.to_thread(go_on.wait)
        yield "on its way."

    with reading(serve(stream), chat) as events:
        assert next(events) == 'data: "It is "'
        assert linq.visible(chat)
        go_on.set()
        assert [*events] == ['data: "on its way."']
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send"
    assert timeline.messages[0].text == "It is on its way."
    assert_shown_until_the_message(timeline)


def test_a_browser_that_goes_away_ends_the_indicator(serve: Serve, linq: Sandbox, chat: str) -> None:
    async def stream(text: str) -> AsyncIterator[str]:
        await work_async(linq)
        yield "It is "
        await asyncio.Event().wait()

    with reading(serve(stream), chat) as events:
        assert next(events)
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_slow_browser_that_goes_away_ends_the_indicator(serve: Serve, linq: Sandbox, chat: str) -> None:
    """FastAPI abandons a generator that waits for its reader, until the garbage collector finds it."""
    pieces: list[str] = []

    async def stream(text: str) -> AsyncIterator[str]:
        while True:
            pieces.append("word " * 2_000_000)
            yield pieces[-1]

    port = serve(stream)
    with no_garbage_collection():
        with socket.create_connection(("127.0.0.1", port)) as browser:
            browser.sendall(f"GET /reply/{chat}?text=hello HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            assert linq.wait_until(lambda: linq.visible(chat) and len(pieces) == PIECES_UNDER_WAY)
        assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_reply_that_fails_leaves_nothing(serve: Serve, linq: Sandbox, chat: str) -> None:
    async def stream(text: str) -> AsyncIterator[str]:
        await work_async(linq)
        yield "It is "

    linq.fail("send", status=400)
    with reading(serve(stream), chat) as events, suppress(httpx.RemoteProtocolError):  # FastAPI may end the answer
        assert [*events] == ['data: "It is "']
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start send stop")


def test_an_id_that_is_none_is_answered_422(serve: Serve) -> None:
    port = serve(lambda text: iter(()))  # type: ignore[arg-type, return-value]
    url = f"http://127.0.0.1:{port}/reply/nonsense?text=hello"
    assert httpx.get(url, timeout=PATIENCE, trust_env=False).status_code == 422


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
