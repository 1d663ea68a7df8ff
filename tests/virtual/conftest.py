"""A simulated Linq in virtual time, managers that talk to it, and ways to ask what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from linq_typing import TypingManager, _manager
from linq_typing._engine.waiting import Completion

from .kit import BASE, KEY, Events, MakeManager, VirtualLinq, VirtualLoop, VirtualThread


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    assert loop.errors == []
    loop.close()


@pytest.fixture
def linq(loop: VirtualLoop) -> VirtualLinq:
    return VirtualLinq(loop)


@pytest.fixture
def make_manager(linq: VirtualLinq, loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeManager]:
    """Makes managers for the simulation; closes them at the end, and finds no ghost and no overlap then."""
    thread, managers = VirtualThread(loop), list[TypingManager]()
    monkeypatch.setattr(_manager, "loop_thread", lambda: thread)

    def wait(done: Completion, timeout: float) -> bool:
        loop.run_until(lambda: done.result is not None, timeout)
        return bool(done.result)

    monkeypatch.setattr(Completion, "wait", wait)

    def make(**settings: Any) -> TypingManager:
        settings = {"api_key": KEY, "base_url": BASE, "transport": linq.transport(), **settings}
        managers.append(TypingManager(**settings))
        return managers[-1]

    yield make
    for manager in managers:
        manager.close()
    linq.sleep(5.0)
    assert linq.ghosts() == ()
    for chat in {request.chat_id for request in linq.requests if request.chat_id}:
        assert linq.timeline(chat).max_typing_in_flight <= 1
    thread.dead = True


@pytest.fixture
def manager(make_manager: MakeManager) -> TypingManager:
    return make_manager()


@pytest.fixture
def events() -> Events:
    return Events()
