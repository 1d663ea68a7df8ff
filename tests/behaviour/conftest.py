"""A sandbox on a real socket, managers that point at it, and ways to ask what happened."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox
from patience import be_patient

from .kit import SANDBOX_SETTLE, SETTLE, STOP_DELAY, Asked, Events


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    with Sandbox(settle=SANDBOX_SETTLE) as sandbox:
        yield sandbox


@pytest.fixture
def managers() -> list[TypingManager]:
    return []


@pytest.fixture
def make_manager(
    linq: Sandbox, managers: list[TypingManager], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., TypingManager]]:
    """Makes managers for the sandbox with short delays, but patience with a busy machine; closes them, and finds no
    ghost and no overlap then."""
    be_patient(monkeypatch)
    defaults = {
        "api_key": linq.api_key,
        "base_url": linq.base_url,
        "settle": SETTLE,
        "stop_delay": STOP_DELAY,
    }

    def make(**settings: Any) -> TypingManager:
        managers.append(TypingManager(**{**defaults, **settings}))
        return managers[-1]

    yield make
    for manager in managers:
        manager.close()
    assert linq.wait_until(lambda: not linq.ghosts())
    for chat in {request.chat_id for request in linq.requests if request.chat_id}:
        assert linq.timeline(chat).max_typing_in_flight <= 1


@pytest.fixture
def manager(make_manager: Callable[..., TypingManager]) -> TypingManager:
    return make_manager()


@pytest.fixture
def asked(linq: Sandbox, managers: list[TypingManager]) -> Asked:
    return Asked(linq, managers)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """Garbage is collected before the test, and not in it: finalizers close managers, and swallow what a signal handler
    raises in them."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
