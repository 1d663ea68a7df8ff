"""Virtual time: the engine, its event loop and the simulated Linq on one clock, which jumps to the next timer.

Nothing sleeps and no other thread runs, so a test takes milliseconds and every moment in it is exact. Time passes only
while a test waits, and a request takes no time unless a fault says so. The managers, sessions, httpx clients and the
simulation are the real ones. Between them there is no socket: requests go straight to the simulation's application.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from math import inf
from typing import Any, TypeVar

import httpx

from linq_typing import TypingEvent, TypingManager
from linq_typing.sandbox._app import create_app
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._fault_player import CONNECTION
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._simulation import Simulation
from linq_typing.sandbox._webhooks import WebhookSender

T = TypeVar("T")

MakeManager = Callable[..., TypingManager]

KEY = "key-of-the-virtual-linq"
BASE = "http://linq.virtual/api/partner"
MESSAGE: Any = {"message": {"parts": [{"type": "text", "value": "Hello!"}]}}

LONG = 1000.0  #: seconds: longer than anything in the library waits
MOST_TURNS = 10_000  #: turns of the loop at one moment: more is an endless loop


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, moves the clock on by as much."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def jump(self, to: float) -> None:
        if to > self.now:
            self.now, self._turns = to, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the loop would wait for ever: nothing is scheduled")
        self._turns += 1
        self.jump(self.now + timeout)
        if self._turns > MOST_TURNS:
            raise AssertionError(f"the loop spins at {self.now} s")
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
        """Let so much time pass, and everything happen that is due by then."""
        end = self.time() + seconds
        while self._step(end):
            pass
        self._jumping.jump(end)

    def block(self, seconds: float) -> None:
        """Let so much time pass, and nothing happen: whoever calls this takes that long."""
        self._jumping.jump(self.time() + seconds)

    def run_until(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Let time pass until the predicate is true, for at most so many seconds. Returns whether it was."""
        end = self.time() + timeout
        while not predicate():
            if not self._step(end):
                self._jumping.jump(end)
                return False
        return True

    def _step(self, end: float) -> bool:
        """Run what comes next, if it comes by ``end``. Returns whether it does."""
        timers = (timer.when() for timer in self._scheduled if not timer.cancelled())  # type: ignore[attr-defined]
        due = self.time() if self._ready else min(timers, default=inf)  # type: ignore[attr-defined]
        if due > end or due == inf:
            return False
        self._jumping.jump(due)
        self.stop()  # after one turn
        self.run_forever()
        return True


class VirtualClock(Clock):
    """Shows the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def __call__(self) -> float:
        return self._loop.time()


class VirtualThread:
    """Stands for the library's thread: its calls are made when the test lets time pass."""

    is_current = False

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.dead = False
        self.now = loop.time
        self._residents: weakref.WeakSet[Any] = weakref.WeakSet()

    def post(self, call: Callable[..., object], *args: Any) -> None:
        if not self.dead:
            self.loop.call_soon(call, *args)

    def add_resident(self, resident: object) -> None:
        self._residents.add(resident)

    def end_process(self) -> bool:
        """What the library does as the process exits. Returns whether all went well."""
        return all(done.wait(5.0) for done in [resident.begin_exit() for resident in self._residents])


class _Connection:
    """One request and its answer, between a client and the application."""

    def __init__(self, request: httpx.Request) -> None:
        self.answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        self.on_lost: Callable[[], None] | None = None
        self.scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "root_path": "",
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "state": {CONNECTION: self},
        }
        self._request = request
        self._body: bytes | None = request.read()
        self._start: dict[str, Any] = {}
        self._closed = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._body is None:
            await self._closed.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif not self.answer.done():
            status, headers = self._start["status"], self._start["headers"]
            self.answer.set_result(httpx.Response(status, headers=headers, stream=httpx.ByteStream(message["body"])))

    def drop(self) -> None:
        """The server closes it without an answer."""
        if not self.answer.done():
            self.answer.set_exception(httpx.RemoteProtocolError("Server disconnected without sending a response."))

    def close(self) -> None:
        """The client closes it: it has its answer, or does not wait any longer."""
        if self.on_lost is not None:
            self.on_lost()
        self._closed.set()


class VirtualWebhooks(WebhookSender):
    """Delivers in virtual time, to a function: ``linq.set_webhook(manager.observe)``."""

    def __init__(self, model: Model, faults: Faults, loop: VirtualLoop) -> None:
        self._loop = loop
        self._timer: asyncio.Handle | None = None
        super().__init__(model, faults=faults)

    def _wake(self) -> None:
        self._loop.call_soon(self._run)

    def _run(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self.run_due()
        self._timer = None if due is None else self._loop.call_at(due, self._run)


class VirtualLinq(Simulation):
    """The sandbox's simulation without a server: requests come through :meth:`answer`."""

    api_key, base_url = KEY, BASE

    def __init__(self, loop: VirtualLoop) -> None:
        clock, faults = VirtualClock(loop), Faults(0)
        model = Model(clock=clock)
        super().__init__(clock, model, faults, VirtualWebhooks(model, faults, loop))
        self.loop = loop
        self.reachable = True  #: whether anybody listens at its address
        self._app = create_app(model, faults=faults, api_key=KEY)
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to a client. What the server does goes on even if the client no longer waits."""
        if not self.reachable:
            raise httpx.ConnectError("All connection attempts failed")
        connection = _Connection(request)
        task = self.loop.create_task(self._app(connection.scope, connection.receive, connection.send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.wait_for(connection.answer, request.extensions["timeout"]["read"])
        except asyncio.TimeoutError:
            raise httpx.ReadTimeout("timed out", request=request) from None
        finally:
            connection.close()

    def env(self) -> dict[str, str]:
        return {"LINQ_API_V3_API_KEY": KEY, "LINQ_API_V3_BASE_URL": BASE}

    # Time

    def sleep(self, seconds: float = 0.0) -> None:
        """Let so much time pass. 0: what is due now, happens."""
        self.loop.run_for(seconds)

    def wait_until(self, predicate: Callable[[], object], timeout: float = LONG) -> bool:
        return self.loop.run_until(predicate, timeout)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that goes on while the test lets time pass. The test has to see to its end."""
        return self.loop.create_task(work)

    # What happened

    def asked(self, chat: str) -> list[str]:
        """The requests of a chat in order of arrival: start, stop, send."""
        return [request.endpoint for request in self.timeline(chat).requests]

    def log(self, chat: str) -> list[tuple[float, str]]:
        """The same with the moments of their arrival."""
        return [(round(request.received_at, 6), request.endpoint) for request in self.timeline(chat).requests]

    def moments(self, chat: str, endpoint: str = "start") -> list[float]:
        """When the requests of that kind arrived."""
        return [moment for moment, asked in self.log(chat) if asked == endpoint]


class Transport(httpx.AsyncBaseTransport):
    """A transport of the user's: to the simulation, with a note of when it was closed."""

    def __init__(self, linq: VirtualLinq) -> None:
        self.closed_at: list[float] = []
        self._linq = linq

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._linq.answer(request)

    async def aclose(self) -> None:
        self.closed_at.append(self._linq.now)


class Events(list[TypingEvent]):
    """An ``on_event`` hook that keeps what it is told."""

    __call__ = list.append

    def kinds(self, chat: str | None = None) -> list[str]:
        return [event.kind for event in self if chat in (None, event.chat_id)]


def say(client: httpx.Client | httpx.AsyncClient, chat: str) -> Any:
    """Send a message; through an async client: a coroutine that does."""
    return client.post(f"/v3/chats/{chat}/messages", json=MESSAGE)


def elsewhere(call: Callable[..., T], *args: Any) -> T:
    """The call, made in a context without sessions, as in a plain thread."""
    return contextvars.Context().run(call, *args)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
