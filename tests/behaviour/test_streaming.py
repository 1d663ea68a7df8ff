"""A streamed answer of a web server whose reader goes away."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox

from .kit import Asked, eventually


def test_a_decorated_async_generator_ends_when_the_client_disconnects(
    linq: Sandbox, manager: TypingManager, asked: Asked
) -> None:
    """As the docs say of streaming responses: no garbage collector is needed."""
    chat = linq.chat()

    @manager.typing_while
    async def words(chat_id: str) -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0.01)
            yield "word "

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(words(chat))

    app = Starlette(routes=[Route("/", stream)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert asked.soon(chat, "start")
        assert asked.soon(chat, "start", "stop")
    finally:
        server.should_exit = True
        thread.join(30)
