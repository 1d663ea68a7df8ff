"""The candidates: peers from their packages with the sending stubbed, floors, and linq-typing on a stub transport.

Each peer is a function that gets ``send`` and gives a maker of sessions (asynchronous context managers) by number.
It is called with the event loop running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

Send = Callable[[], Awaitable[object]]
Maker = Callable[[int], AbstractAsyncContextManager[Any]]

NAIVE_INTERVAL = 60.0  # seconds, as the Linq documentation asks for


async def nothing() -> None:
    """Sends nothing."""


def chat_ids(count: int, kind: int = 1) -> list[str]:
    """Chat ids; those of another kind differ."""
    return [str(UUID(int=(kind << 64) + number)) for number in range(count)]


def naive(send: Send) -> Maker:
    """A task that sends and sleeps, cancelled at the end, and a stop: the least that shows an indicator on Linq."""
    return lambda number: _Naive(send)


class _Naive:
    def __init__(self, send: Send) -> None:
        self._send = send

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._repeat())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await self._send()

    async def _repeat(self) -> None:
        while True:
            await self._send()
            await asyncio.sleep(NAIVE_INTERVAL)


def aiogram(send: Send) -> Maker:
    from aiogram import Bot
    from aiogram.client.session.base import BaseSession
    from aiogram.utils.chat_action import ChatActionSender

    class Stub(BaseSession):
        async def make_request(self, *_: object, **__: object) -> Any:
            await send()
            return True

        async def close(self) -> None: ...

        async def stream_content(self, *_: object, **__: object) -> Any:  # pragma: no cover
            yield b""

    bot = Bot(token="42:bench", session=Stub())
    return lambda number: ChatActionSender.typing(chat_id=number, bot=bot)


def discord_py(send: Send) -> Maker:
    from discord.context_managers import Typing
    from discord.http import HTTPClient

    class Stub(HTTPClient):
        async def request(self, *_: object, **__: object) -> Any:
            await send()

    class Channel:
        __slots__ = ("id",)
        _state = SimpleNamespace(loop=asyncio.get_running_loop(), http=Stub(asyncio.get_running_loop()))

        def __init__(self, number: int) -> None:
            self.id = number

        async def _get_channel(self) -> Channel:
            return self

    return lambda number: Typing(Channel(number))  # type: ignore[arg-type]


def hikari(send: Send) -> Maker:
    from hikari.impl.special_endpoints import TypingIndicator

    async def request(*_: object, **__: object) -> None:
        await send()

    closing = asyncio.Event()
    return lambda number: TypingIndicator(request, number, closing)


PEERS: dict[str, Callable[[Send], Maker]] = {
    "naive task": naive,
    "aiogram": aiogram,
    "discord.py": discord_py,
    "hikari": hikari,
}


def peers_of(size: str) -> list[str]:
    """The names of those that are measured. A quick run has no time for aiogram, which takes seconds to import."""
    return [name for name in PEERS if size != "quick" or name != "aiogram"]


def manager(base_url: str | None = None, **settings: Any) -> Any:
    """A manager for a bench server, or with a stub in the place of the network."""
    from linq_typing import TypingManager

    if base_url is None:
        settings.setdefault("transport", stub_transport())
    return TypingManager(api_key="bench-key", base_url=base_url or "http://127.0.0.1:9", **settings)


def stub_transport() -> Any:
    """Answers every request at once, without a network."""
    import httpx

    class Stub(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(204)

    return Stub()
