"""A sandbox for the blocks of pages, and a process that afterwards is as it was."""

from __future__ import annotations

import gc
import signal
import warnings
from collections.abc import Iterator

import pytest

import linq_typing
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import Names, stand_ins

NO_REDIS = "unix:///there/is/no/such/socket"  # a bot goes on without it; for sharing see tests/sharing


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that the environment names."""
    for variable in ("LINQ_API_KEY", "LINQ_TYPING_ENABLED", "LINQ_TYPING_REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    # However busy the machine is, a block's message is soon enough to need no stop.
    monkeypatch.setitem(linq_typing.TypingManager.__init__.__kwdefaults__, "stop_delay", PATIENCE)
    with Sandbox() as made:
        variables = {**made.env(), "LINQ_WEBHOOK_SECRET": made.webhook_secret, "REDIS_URL": NO_REDIS}
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        yield made


@pytest.fixture
def names(sandbox: Sandbox) -> Iterator[Names]:
    """The names that a block finds."""
    linq_typing.configure()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    names: Names = {"__name__": "page", "sandbox": sandbox}
    names.update(stand_ins(names))
    yield names
    signal.signal(signal.SIGTERM, on_sigterm)
    linq_typing.unwatch_all()
    linq_typing.configure()
    linq_typing.close()
    names.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of clients that a block leaves open, as short programs do
        gc.collect()
