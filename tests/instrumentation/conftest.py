"""A sandbox on a real socket, managers that point at it, and a message to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox
from patience import PATIENCE, be_patient


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    with Sandbox(settle=0.15) as sandbox:
        yield sandbox


@pytest.fixture
def make_manager(linq: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TypingManager]]:
    be_patient(monkeypatch)
    managers = []

    def make(**settings: Any) -> TypingManager:
        defaults = {"settle": 0.5, "stop_delay": 0.3, "backoff_max": 0.05}
        managers.append(TypingManager(api_key=linq.api_key, base_url=linq.base_url, **{**defaults, **settings}))
        return managers[-1]

    yield make
    for manager in managers:
        manager.close()


@pytest.fixture
def manager_events(linq: Sandbox, make_manager: Callable[..., TypingManager]) -> Callable[[Any], str]:
    """Lets a manager with the hook live through a failed start, an accepted one, a stop, and a refusal; returns the
    chat's id."""

    def live(hook: Any) -> str:
        manager = make_manager(on_event=hook)
        chat, refused = linq.chat(), linq.chat()
        linq.fail("start", status=503, times=1)
        with manager.typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
        manager.flush(PATIENCE)
        linq.fail("start", status=403, times=1)
        with manager.typing_while(refused):
            assert linq.wait_until(lambda: manager.stats().requests.get("refused"))
        manager.flush(PATIENCE)
        return chat

    return live
