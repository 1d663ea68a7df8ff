"""Transports other than the library's own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable

import httpx
import httpx_aiohttp
import pytest
from behaviour_kit import Asked, MakeManager, eventually

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox

CHAT, OTHER = "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"


class Scripted(httpx.AsyncBaseTransport):
    """Accepts everything, after doing what it is told for the first request and for closing."""

    def __init__(self, first: Callable[[], object] | None = None, close: Callable[[], object] | None = None) -> None:
        self.methods: list[str] = []
        self.closed = threading.Event()
        self._first = first
        self._close = close

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.methods.append(request.method)
        if len(self.methods) == 1 and self._first is not None:
            await self._do(self._first)
        return httpx.Response(204)

    async def aclose(self) -> None:
        self.closed.set()
        if self._close is not None:
            await self._do(self._close)

    async def _do(self, what: Callable[[], object]) -> None:
        result = what()
        if asyncio.iscoroutine(result):
            await result


class Failed(BaseException):
    """As pytest.fail() raises."""


def fails() -> None:
    raise Failed


def exits() -> None:
    raise SystemExit


def is_cancelled() -> None:
    raise asyncio.CancelledError


async def ignores_cancellation() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


def scripted(transport: Scripted, **options: float) -> TypingManager:
    return TypingManager(api_key="key-of-a-test", base_url="http://linq.test", transport=transport, **options)


@pytest.mark.parametrize("effect_after", [0.0, 1.0], ids=["it took effect at once", "it takes effect later"])
def test_a_start_whose_answer_aiohttp_lost_leaves_no_ghost(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, effect_after: float
) -> None:
    """httpx-aiohttp reports a server that takes the request and drops the connection as a failure to connect."""
    chat = linq.chat()
    linq.lose("start", effect_after=effect_after)
    manager = make_manager(transport=httpx_aiohttp.AiohttpTransport(), max_retries=0)
    with manager.typing_while(chat, stop_delay=0) as session:
        assert linq.wait_until(lambda: session.error is not None)
    assert asked.soon(chat, "start", "stop", "stop", timeout=20)
    assert not linq.visible(chat)


def test_aiohttp_s_transport_serves_a_manager_that_opens_again(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    """It can't be used once it is closed, so closing the manager leaves it open."""
    manager = make_manager(transport=httpx_aiohttp.AiohttpTransport(), stop_delay=0)
    for chat in (linq.chat(), linq.chat()):
        with manager.typing_while(chat):
            assert asked.soon(chat, "start")
        assert manager.close()
        assert asked(chat) == ["start", "stop"]


def test_a_transport_is_closed_with_a_manager_that_is_dropped() -> None:
    transport = Scripted()
    manager = scripted(transport)
    with manager.typing_while(CHAT):
        pass
    assert manager.close()
    assert not transport.closed.is_set()
    del manager
    gc.collect()
    assert transport.closed.wait(10)


@pytest.mark.parametrize("raised", [fails, exits, is_cancelled])
def test_whatever_a_transport_raises_the_chat_goes_on(raised: Callable[[], object]) -> None:
    """A BaseException used to hold the chat's place for ever; a SystemExit ended the library's thread."""
    transport = Scripted(first=raised)
    manager = scripted(transport, max_connections=1, backoff_max=0.0)
    with manager.typing_while(CHAT), manager.typing_while(OTHER):
        assert eventually(lambda: transport.methods.count("POST") >= 3)
    assert manager.flush()
    assert manager.close()


@pytest.mark.parametrize("closing", [fails, exits, is_cancelled, ignores_cancellation])
def test_whatever_closing_a_transport_does_others_are_not_held_up(closing: Callable[[], object]) -> None:
    transport = Scripted(close=closing)
    manager = scripted(transport)
    with manager.typing_while(CHAT):
        pass
    assert manager.close()
    del manager
    gc.collect()
    assert transport.closed.wait(10)
    other = Scripted()
    with scripted(other).typing_while(CHAT):
        assert eventually(lambda: other.methods == ["POST"])


@pytest.mark.slow
def test_a_request_that_ignores_its_cancellation_does_not_keep_a_manager_closed() -> None:
    transport = Scripted(first=ignores_cancellation)
    manager = scripted(transport, timeout=30.0)
    with manager.typing_while(CHAT):
        assert eventually(lambda: transport.methods == ["POST"])
    assert not manager.close()
    with manager.typing_while(CHAT):
        assert eventually(lambda: transport.methods == ["POST", "POST"])
    assert manager.close()
