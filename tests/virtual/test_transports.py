"""Transports of the user's, which may do anything."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest

from linq_typing import TypingManager

from .kit import KEY, Events, MakeManager, Transport, VirtualLinq, VirtualThread


class Failed(BaseException):
    """As pytest.fail() raises."""


async def fails() -> None:
    raise Failed


async def exits() -> None:
    raise SystemExit


async def is_cancelled() -> None:
    raise asyncio.CancelledError


async def ignores_cancellation() -> None:
    end = asyncio.get_running_loop().time() + 30.0
    while (now := asyncio.get_running_loop().time()) < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(end - now)


Deed = Callable[[], Awaitable[None]]


async def does_nothing() -> None:
    pass


class Scripted(Transport):
    """Does something else before it answers its first request, and while it is closed."""

    def __init__(self, linq: VirtualLinq, *, first: Deed = does_nothing, close: Deed = does_nothing) -> None:
        super().__init__(linq)
        self._before = first
        self._close = close

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        before, self._before = self._before, does_nothing
        await before()
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        await super().aclose()
        await self._close()


@pytest.mark.parametrize("raised", [fails, exits, is_cancelled])
def test_whatever_a_transport_raises_the_chat_goes_on(
    linq: VirtualLinq, make_manager: MakeManager, events: Events, raised: Deed
) -> None:
    """A BaseException used to hold the only connection for ever; a SystemExit ended the library's thread."""
    manager = make_manager(transport=Scripted(linq, first=raised), max_connections=1, on_event=events)
    first, second = linq.chat(), linq.chat()
    with manager.typing_while(first), manager.typing_while(second):
        linq.sleep(1.0)
        assert linq.moments(second) == [0.0]
        assert len(linq.moments(first)) == 1
    assert events.kinds(first) == ["failed", "started", "recovered"]
    assert manager.close()


@pytest.mark.parametrize("closing", [fails, exits, is_cancelled, ignores_cancellation])
def test_whatever_closing_a_transport_does_others_are_not_held_up(
    linq: VirtualLinq, make_manager: MakeManager, closing: Deed
) -> None:
    transport, chat = Scripted(linq, close=closing), linq.chat()
    manager = TypingManager(api_key=KEY, base_url=linq.base_url, transport=transport)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    assert manager.close()
    assert linq.now == 1.0  # a transport of the user's is closed only for good
    assert transport.closed_at == []
    del manager
    gc.collect()
    linq.sleep()
    assert transport.closed_at == [1.0]
    with make_manager().typing_while(chat):
        linq.sleep(1.0)
    assert linq.moments(chat) == [1.0]


def test_a_request_that_ignores_its_cancellation_does_not_keep_a_manager_closed(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    chat, transport = linq.chat(), Scripted(linq, first=ignores_cancellation)
    manager = make_manager(timeout=60.0, transport=transport)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert not manager.close()
    assert linq.now == 6.5  # twice 2.25 s for the stops, and a second for giving up the request
    with manager.typing_while(chat):
        linq.sleep(1.0)
        assert linq.visible(chat)
    assert manager.close()


def test_a_transport_that_hangs_as_it_is_closed_holds_up_the_end_of_the_process_for_a_second(
    linq: VirtualLinq, thread: VirtualThread
) -> None:
    transport = Scripted(linq, close=ignores_cancellation)
    with TypingManager(api_key=KEY, base_url=linq.base_url, transport=transport).typing_while(linq.chat()):
        linq.sleep(1.0)
        assert thread.end_process()
    assert linq.now == 2.0


def test_a_transport_is_closed_with_a_manager_that_is_dropped(linq: VirtualLinq) -> None:
    """It sends what is left first."""
    transport, chat = Transport(linq), linq.chat()
    manager = TypingManager(api_key=KEY, base_url=linq.base_url, transport=transport)
    with manager.typing_while(chat, stop_delay=30.0):
        linq.sleep(1.0)
    del manager
    gc.collect()
    linq.sleep(29.0)
    assert transport.closed_at == []
    linq.sleep(10.0)
    assert linq.log(chat) == [(0.0, "start"), (31.0, "stop")]
    assert transport.closed_at == [31.0]


def test_a_refused_connection_of_a_transport_of_the_users_counts_as_a_lost_answer(
    linq: VirtualLinq, make_manager: MakeManager
) -> None:
    """Not every transport tells the two apart."""

    async def refuse() -> None:
        raise httpx.ConnectError("refused, it says")

    chat, manager = linq.chat(), make_manager(transport=Scripted(linq, first=refuse), max_retries=0)
    with manager.typing_while(chat, stop_delay=0.0):
        linq.sleep(1.0)
    linq.sleep(100.0)
    assert linq.log(chat) == [(1.0, "stop"), (5.0, "stop")]


def test_a_manager_that_starts_afresh_with_another_key_goes_on_using_its_transport(
    linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed, the environment's key changed, used again: many a transport can't be used once it is closed."""
    monkeypatch.delenv("LINQ_API_V3_API_KEY", raising=False)
    monkeypatch.setenv("LINQ_API_KEY", "another-key-of-a-test")
    transport, chat = Transport(linq), linq.chat()
    manager = TypingManager(base_url=linq.base_url, transport=transport)
    with manager.typing_while(chat):
        linq.sleep(0.1)
    assert manager.close()
    old = manager._engines.engine
    monkeypatch.setenv("LINQ_API_KEY", KEY)
    with manager.typing_while(chat):
        linq.sleep(5.0)
        assert manager._engines.engine is not old
        assert linq.visible(chat)
        assert transport.closed_at == []
    assert manager.close()
