"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from linq_typing.sandbox import Model, Sandbox, _fault_player

from .kit import FakeClock, client


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def model(clock: FakeClock) -> Model:
    return Model(clock=clock)


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    """A sandbox that serves, in real time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def http(linq: Sandbox) -> Iterator[httpx.Client]:
    with client(linq) as made:
        yield made


@pytest.fixture
def delay_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Requests with a `slow` fault are delayed until this is set, instead of for its seconds."""
    over = threading.Event()

    async def pause(seconds: float) -> None:
        while seconds and not over.is_set():  # noqa: ASYNC110 - an asyncio.Event would need the server's loop
            await asyncio.sleep(0.001)

    monkeypatch.setattr(_fault_player, "_pause", pause)
    yield over
    over.set()
