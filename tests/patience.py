"""Limits for a busy machine: no test may fail because the library gave up there as it should."""

from __future__ import annotations

import pytest

from linq_typing import TypingManager, _manager
from linq_typing._engine import lifecycle, process

PATIENCE = 60.0  # seconds for what takes milliseconds on an idle machine

#: Code that gives the library of a process as much patience.
PATIENT = f"""
from linq_typing import TypingManager, _manager
from linq_typing._engine import lifecycle, process

_manager.EXIT_TIMEOUT = process.EXIT_TIMEOUT = {2 * PATIENCE}
lifecycle.PATIENCE = TypingManager.__init__.__kwdefaults__["timeout"] = {PATIENCE}
TypingManager.flush.__defaults__ = ({PATIENCE},)
"""


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the library of this process as much patience."""
    monkeypatch.setattr(_manager, "EXIT_TIMEOUT", 2 * PATIENCE)
    monkeypatch.setattr(process, "EXIT_TIMEOUT", 2 * PATIENCE)
    monkeypatch.setattr(lifecycle, "PATIENCE", PATIENCE)
    monkeypatch.setattr(TypingManager.flush, "__defaults__", (PATIENCE,))
    monkeypatch.setitem(TypingManager.__init__.__kwdefaults__, "timeout", PATIENCE)
