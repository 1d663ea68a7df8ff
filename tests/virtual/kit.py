"""Virtual time: the engine, its event loop and the simulated Linq on one clock, which jumps to the next timer.

Nothing sleeps and no other thread runs, so a test takes milliseconds, and every moment in it is exact. The manager, the
sessions and the simulation are the real ones; between them is a transport that calls the simulation's application.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from math import inf
from typing import Any

import httpx

from linq_typing import TypingEvent, TypingManager
from linq_typing.sandbox._app import create_app
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._simulation import Simulation
from linq_typing.sandbox._webhooks import DEFAULT_SECRET, DEFAULT_VERSION, WebhookSender

MakeManager = Callable[..., TypingManager]

KEY = "key-of-the-virtual-linq"
BASE = "http://linq.virtual/api/partner"
SETTLE = 1.0  #: seconds that a message of the simulation takes to clear the indicator


class VirtualClock(Clock):
    """Shows the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def __call__(self) -> float:
        return self._loop.time()


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, moves the clock on by as much."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the loop would wait for ever: nothing is scheduled")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. It runs only while a test waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.set_debug(False)
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda loop, context: self.errors.append(context))

    def time(self) -> float:
        return self._jumping.now

    def run_for(self, seconds: float) -> None:
        """Let so much time pass, and all that happens in it happen."""
        self.call_later(seconds, self.stop)
        self.run_forever()

    def run_until(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Let time pass until the predicate is true, for at most so many seconds. Returns whether it was."""
        end = self.time() + timeout
        while not predicate():
            if self.time() >= end:
                return False
            self._run_to_next_event(end)
        return True

    def _run_to_next_event(self, end: float) -> None:
        due = min((timer.when() for timer in self._scheduled if not timer.cancelled()), default=inf)  # type: ignore[attr-defined]
        if self._ready:  # type: ignore[attr-defined]
            self.run_for(0.0)
        else:
            self.run_for(max(min(due, end) - self.time(), 0.0))


class VirtualThread:
    """Stands for the library's thread: its calls are made when the test lets time pass."""

    is_current = False

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.dead = False
        self.now = loop.time

    def post(self, call: Callable[..., object], *args: Any) -> None:
        if not self.dead:
            self.loop.call_soon(call, *args)

    def add_resident(self, resident: object) -> None:
        """Nobody shuts this thread down."""


class VirtualLinq(Simulation):
    """The sandbox's simulation, without a server: requests come through ``transport``."""

    api_key, base_url = KEY, BASE

    def __init__(self, loop: VirtualLoop, **options: Any) -> None:
        clock, faults = VirtualClock(loop), Faults(0)
        model = Model(clock=clock, settle=SETTLE, **options)
        super().__init__(clock, model, faults, WebhookSender(model, None, DEFAULT_SECRET, DEFAULT_VERSION))
        self.loop = loop
        self.app = create_app(model, faults=faults, api_key=KEY)

    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self.app)

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.loop.run_for(seconds)

    def wait_until(self, predicate: Callable[[], object], timeout: float = 60.0) -> bool:
        return self.loop.run_until(predicate, timeout)

    def asked(self, chat: str) -> list[str]:
        """The requests of a chat in order of arrival: start, stop, send."""
        return [request.endpoint for request in self.timeline(chat).requests]

    def moments(self, chat: str, endpoint: str = "start") -> list[float]:
        """When the requests of that kind arrived."""
        return [round(r.received_at, 6) for r in self.timeline(chat).requests if r.endpoint == endpoint]


class Events(list[TypingEvent]):
    """An ``on_event`` hook that keeps what it is told."""

    __call__ = list.append

    def kinds(self, chat: str | None = None) -> list[str]:
        return [event.kind for event in self if chat in (None, event.chat_id)]
