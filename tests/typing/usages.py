"""Typed usages of linq_typing. Never run: mypy --strict and pyright read it, see test_static_types.py.

Each expected error carries both checkers' own comments; an error that no longer occurs is an error itself.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
from typing_extensions import assert_type

from linq_typing import (
    LinqTypingError,
    TypingEvent,
    TypingManager,
    TypingSession,
    aflush,
    current_session,
    flush,
    mark_sent,
    typing_while,
    watch,
)

CHAT = "11111111-2222-4333-8444-555555555555"
manager = TypingManager(api_key="k", base_url="https://x", enabled=False)


# -- A block gives a session, and swallows nothing


def sync_block() -> int:
    with typing_while(CHAT) as session:
        assert_type(session, TypingSession)
        return 1  # no checker may think that the block swallows exceptions: there is no return below


async def async_block() -> int:
    async with typing_while(UUID(CHAT), start_delay=1, max_duration=None, wait_on_exit=True) as session:
        assert_type(session, TypingSession)
        return 1


async def managers_block() -> None:
    with manager as entered:
        assert_type(entered, TypingManager)
    async with manager as entered_async:
        assert_type(entered_async, TypingManager)
    with manager.typing_while(CHAT, resume_after=None) as sync_session:
        assert_type(sync_session, TypingSession)
    async with manager.typing_while(CHAT) as async_session:
        assert_type(async_session, TypingSession)


# -- Bare: every kind of function keeps its type


@typing_while
def function(chat_id: str, n: int = 0) -> bytes:
    return b""


@typing_while
async def coroutine(chat_id: str, *, flag: bool) -> bytes:
    return b""


@typing_while
def generator(chat_id: str) -> Generator[int, str, float]:
    yield 1
    return 1.0


@typing_while
async def async_generator(chat_id: str) -> AsyncGenerator[int, str]:
    yield 1


async def bare() -> None:
    assert_type(function(CHAT, 1), bytes)
    assert_type(function(CHAT, n=1), bytes)
    pending: Coroutine[Any, Any, bytes] = coroutine(CHAT, flag=True)
    assert_type(await pending, bytes)
    assert_type(await coroutine(CHAT, flag=True), bytes)
    assert_type(generator(CHAT), Generator[int, str, float])
    assert_type(async_generator(CHAT), AsyncGenerator[int, str])
    assert_type(await async_generator(CHAT).asend("x"), int)

    function()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    function(CHAT, "one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    function(CHAT, m=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await coroutine(CHAT, flag="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await coroutine(CHAT)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    generator(CHAT).send(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    function(CHAT).encode()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


# -- With parentheses, with a chat id, from a manager


@typing_while()
def called(chat_id: str, n: int) -> bytes:
    return b""


@typing_while(CHAT, stop_delay=0.1)
async def fixed(n: int) -> bytes:
    return b""


@typing_while(chat_id_from="event.chat.id")
def by_path(event: dict[str, Any]) -> Iterator[int]:
    yield 1


@typing_while(chat_id_from=("event.chat_id", "event.chat.id"))
async def by_paths(event: SimpleNamespace) -> AsyncIterator[int]:
    yield 1


@typing_while(chat_id_from=lambda event: UUID(event["chat"]))
def by_callable(event: dict[str, str]) -> int:
    return 1


@manager.typing_while
def managers_bare(chat_id: str, n: int) -> bytes:
    return b""


@manager.typing_while(refresh_interval=30)
async def managers_called(chat_id: str, n: int) -> bytes:
    return b""


async def parametrized() -> None:
    assert_type(called(CHAT, 1), bytes)
    assert_type(await fixed(1), bytes)
    assert_type(by_path({}), Iterator[int])
    assert_type(by_paths(SimpleNamespace()), AsyncIterator[int])
    assert_type(by_callable({}), int)
    assert_type(managers_bare(CHAT, 1), bytes)
    assert_type(await managers_called(CHAT, 1), bytes)

    called(CHAT)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called(CHAT, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await fixed("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    by_path(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    managers_bare(CHAT, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await managers_called(CHAT, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- Methods


class Bot:
    @typing_while
    def method(self, chat_id: str, n: int) -> bytes:
        return b""

    @typing_while()
    async def async_method(self, chat_id: str) -> bytes:
        return b""

    @classmethod
    @typing_while
    def make(cls, chat_id: str) -> "Bot":
        return cls()

    @staticmethod
    @typing_while
    def static(chat_id: str) -> bytes:
        return b""

    @typing_while
    def stream(self, chat_id: str) -> Iterator[int]:
        yield 1


async def methods(bot: Bot) -> None:
    assert_type(bot.method(CHAT, 1), bytes)
    assert_type(await bot.async_method(CHAT), bytes)
    assert_type(Bot.make(CHAT), Bot)
    assert_type(Bot.static(CHAT), bytes)
    assert_type(bot.stream(CHAT), Iterator[int])

    bot.method(CHAT, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bot.method(1, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Bot.make(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Bot.static(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def partials() -> None:
    assert_type(typing_while(partial(called, CHAT))(1), bytes)


def _takes(function: Callable[[str, int], bytes]) -> None: ...


def _takes_another(function: Callable[[int], str]) -> None: ...


def handlers() -> None:
    _takes(typing_while(called))
    _takes_another(typing_while(called))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- Bad input


def bad_input() -> None:
    typing_while(CHAT, refresh_intervall=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    typing_while(CHAT, start_delay="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    typing_while(CHAT, stop_delay=None)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    typing_while(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    typing_while(CHAT, "chat_id")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    typing_while(chat_id_from=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    manager.typing_while(CHAT, nonsense=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    typing_while(CHAT)(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    TypingManager(api_kei="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TypingManager("k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TypingManager(on_event=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    mark_sent(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- The session


async def session_methods(session: TypingSession) -> None:
    assert_type(current_session(), TypingSession | None)
    assert_type(session.chat_id, str)
    assert_type(session.error, LinqTypingError | None)
    with session.sending() as send:
        send.failed()
        send.succeeded()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    async with session.sending() as async_send:
        async_send.failed()
    with session.paused() as nothing:
        assert_type(nothing, None)
    async with session.paused() as async_nothing:
        assert_type(async_nothing, None)
    session.mark_sent(CHAT)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def sending_swallows_nothing(session: TypingSession) -> int:
    with session.sending(), session.paused():
        return 1


# -- The rest


def on_event(event: TypingEvent) -> None:
    assert_type(event.error, LinqTypingError | None)
    assert_type(event.attempt, int)
    if event.kind == "startet":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
        pass


async def clients() -> None:
    assert_type(watch(httpx.Client()), httpx.Client)
    assert_type(watch(httpx.AsyncClient()), httpx.AsyncClient)
    assert_type(manager.watch(httpx.AsyncClient()), httpx.AsyncClient)
    assert_type(flush(), bool)
    assert_type(await aflush(1), bool)
    assert_type(manager.flush(1.5), bool)
    assert_type(await manager.aflush(), bool)
    mark_sent(UUID(CHAT))
    TypingManager(on_event=on_event, transport=httpx.AsyncHTTPTransport(), max_duration=None).close()
    await TypingManager(client=httpx.Client()).aclose()
