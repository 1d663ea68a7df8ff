"""A simulated Linq in virtual time, managers and clients that talk to it, and ways to ask what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import linq_typing
from linq_typing import TypingManager, _default
from linq_typing._engine import source
from linq_typing._engine.loop import LoopThread
from linq_typing._engine.waiting import Completion

from .kit import BASE, KEY, LONG, Events, MakeManager, VirtualLinq, VirtualLoop, VirtualThread


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualThread]:
    """What the library runs on, instead of a thread of its own."""
    loop = VirtualLoop()
    thread = VirtualThread(loop)

    def wait(done: Completion, timeout: float) -> bool:
        loop.run_until(lambda: done.result is not None, timeout)
        return bool(done.result)

    monkeypatch.setattr(source, "loop_thread", lambda: thread)
    monkeypatch.setattr(LoopThread, "now", staticmethod(loop.time))
    monkeypatch.setattr(Completion, "wait", wait)
    yield thread
    loop.run_for(LONG)
    thread.dead = True
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_for(LONG)
    loop.close()
    assert left == set()
    assert loop.errors == []


@pytest.fixture
def linq(thread: VirtualThread, monkeypatch: pytest.MonkeyPatch) -> VirtualLinq:
    """Answers the requests of all managers and httpx clients."""
    linq = VirtualLinq(thread.loop)
    for kind, method, answer in (
        (httpx.AsyncHTTPTransport, "handle_async_request", linq.answer),
        (httpx.HTTPTransport, "handle_request", lambda request: linq.run(linq.answer(request))),
    ):
        monkeypatch.setattr(kind, method, lambda transport, request, answer=answer: answer(request))
    return linq


@pytest.fixture
def make_manager(linq: VirtualLinq) -> Iterator[MakeManager]:
    """Makes managers for the simulation; closes them at the end, and finds no ghost and no overlap then."""
    managers: list[TypingManager] = []

    def make(**settings: Any) -> TypingManager:
        managers.append(TypingManager(**{"api_key": KEY, "base_url": BASE, **settings}))
        return managers[-1]

    yield make
    for manager in managers:
        manager.close()
    linq.sleep(6.0)  # until lost requests can take no effect any more, and all messages have landed
    assert linq.ghosts() == ()
    for chat in {request.chat_id for request in linq.requests if request.chat_id}:
        assert linq.timeline(chat).max_typing_in_flight <= 1


@pytest.fixture
def manager(make_manager: MakeManager) -> TypingManager:
    return make_manager()


@pytest.fixture
def configure(linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """``linq_typing.configure``; until it is called, the process-wide manager is one of the environment."""
    monkeypatch.setattr(_default, "_manager", None)
    for name, value in linq.env().items():
        monkeypatch.setenv(name, value)
    yield linq_typing.configure
    linq_typing.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A bot's client. Nobody watches it yet."""
    with httpx.Client(base_url=BASE, headers={"Authorization": f"Bearer {KEY}"}, verify=False) as client:
        yield client


@pytest.fixture
def async_client(linq: VirtualLinq) -> Iterator[httpx.AsyncClient]:
    client = httpx.AsyncClient(base_url=BASE, headers={"Authorization": f"Bearer {KEY}"}, verify=False)
    yield client
    linq.run(client.aclose())


@pytest.fixture
def events() -> Events:
    return Events()
