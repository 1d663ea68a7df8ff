"""What the behaviour tests share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

from linq_typing import TypingEvent, TypingManager
from linq_typing.sandbox import Sandbox
from patience import PATIENCE, PATIENT

MakeManager = Callable[..., TypingManager]


#: Seconds. A message settles in the sandbox well within what the manager allows for it.
SANDBOX_SETTLE, SETTLE, STOP_DELAY = 0.15, 0.5, 0.3


class Asked:
    """What was asked of the API, in short."""

    def __init__(self, linq: Sandbox, managers: list[TypingManager]) -> None:
        self._linq = linq
        self._managers = managers

    def __call__(self, chat: str) -> list[str]:
        """The requests of a chat in order of arrival: start, stop, send."""
        return [request.endpoint for request in self._linq.timeline(chat).requests]

    def soon(self, chat: str, *expected: str, timeout: float = PATIENCE) -> bool:
        """Whether exactly these are asked, and answered, within the timeout."""
        return self._linq.wait_until(lambda: self(chat) == list(expected) and self._all_answered(), timeout)

    def arrives(self, chat: str, *expected: str, timeout: float = PATIENCE) -> bool:
        """Whether exactly these are asked within the timeout; the last may still be in flight."""
        return self._linq.wait_until(lambda: self(chat) == list(expected), timeout)

    def _all_answered(self) -> bool:
        return not any(manager.stats().in_flight for manager in self._managers)

    def at_least(self, chat: str, count: int, endpoint: str = "start", timeout: float = PATIENCE) -> bool:
        return self._linq.wait_until(lambda: self(chat).count(endpoint) >= count, timeout)


class Events(list[TypingEvent]):
    """An ``on_event`` hook that keeps what it is told."""

    __call__ = list.append

    def kinds(self, chat: str | None = None) -> list[str]:
        return [event.kind for event in self if chat in (None, event.chat_id)]


def eventually(predicate: Callable[[], object], timeout: float = PATIENCE) -> bool:
    """Whether it comes true within so many seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def run(linq: Sandbox, code: str, *, host: str = "127.0.0.1", patient: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script in a strict interpreter of its own, pointed at the sandbox.

    Unless it is `patient`, the library has its own time-outs, and is not imported before the script.
    """
    env = {**os.environ, **linq.env(), "LINQ_API_V3_BASE_URL": linq.base_url.replace("127.0.0.1", host)}
    script = (PATIENT if patient else "") + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", script]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=5 * PATIENCE, check=False)
