"""A sandbox that the environment names, and recipes that talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import linq_typing
from examples.conftest import chat, hold
from linq_typing.sandbox import Sandbox
from linq_typing.testing import sandbox
from patience import be_patient

from .kit import LoadRecipe, loaded

__all__ = ["chat", "hold"]


@pytest.fixture
def linq(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The library talks to it, too. A message settles in it well within what the library allows for it.

    At its end the library waits for the last stops, however long they take on a busy machine.
    """
    be_patient(monkeypatch)
    with sandbox(time_scale=1, settle=0.15) as linq:
        linq_typing.configure(settle=0.5)
        yield linq


@pytest.fixture
def load(linq: Sandbox, monkeypatch: pytest.MonkeyPatch) -> LoadRecipe:
    return partial(loaded, linq=linq, monkeypatch=monkeypatch)


@pytest.fixture
def watching_all(linq: Sandbox) -> Iterator[None]:
    linq_typing.watch_all()
    yield
    linq_typing.unwatch_all()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What frameworks warn of is theirs."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
