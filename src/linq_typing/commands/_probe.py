"""Single requests, and all that can be known of how they ended."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from linq_typing._core.indicator import Action, Outcome
from linq_typing._engine.http import Answer, TypingAPI
from linq_typing._settings import Credentials, HTTPSettings
from linq_typing.errors import LinqTypingError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probe:
    """How one request ended."""

    outcome: Outcome
    error: LinqTypingError | None
    seconds: float = 0.0
    status: int | None = None
    is_page: bool = False
    """The answer is a web page: not Linq's."""
    cause: BaseException | None = None
    """What kept the request from an answer."""

    @property
    def did_something(self) -> bool:
        """Whether it may have taken effect."""
        return self.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.NO_ANSWER)


class Prober(TypingAPI):
    """`TypingAPI` that remembers what the library has no use for."""

    def __init__(self, credentials: Credentials, settings: HTTPSettings | None = None) -> None:
        self._settings = settings or HTTPSettings()
        super().__init__(credentials, self._settings)
        self._response: httpx.Response | None = None
        self._body = b""
        self._exception: BaseException | None = None

    async def probe(self, action: Action, chat_id: str) -> Probe:
        """Make one request."""
        self._response = self._exception = None
        began = time.monotonic()
        outcome, error = await self.request(action, chat_id)
        seconds, response = time.monotonic() - began, self._response
        if response is None:
            return Probe(outcome, error, seconds, cause=self._exception)
        return Probe(outcome, error, seconds, response.status_code, _is_page(response, self._body))

    async def chat(self, chat_id: str) -> Mapping[str, Any]:
        """What Linq knows of the chat; empty if it does not tell."""
        with suppress(Exception):
            request = self._send("GET", f"{self._base}/v3/chats/{chat_id}")
            response, body = await asyncio.wait_for(request, self._settings.timeout)
            chat = json.loads(body) if response.is_success else {}
            return chat if isinstance(chat, dict) else {}
        return {}

    def _answer_to(self, response: httpx.Response, body: bytes) -> Answer:
        self._response, self._body = response, body
        return super()._answer_to(response, body)

    def _failure(self, exc: BaseException) -> Answer:
        self._exception = exc
        return super()._failure(exc)


def ask(credentials: Credentials, work: Callable[[Prober], Awaitable[T]]) -> T:
    """Run `work` with a prober. Ctrl-C cancels it, so that it can still stop what it has started."""

    async def asking() -> T:
        _cancel_on_ctrl_c()
        prober = Prober(credentials)
        try:
            return await work(prober)
        finally:
            await prober.aclose()

    try:
        return asyncio.run(asking())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _cancel_on_ctrl_c() -> None:
    """As asyncio.run() does by itself, from Python 3.11 on."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)


def causes(exception: BaseException | None) -> Iterator[BaseException]:
    """It, what it came from, and so on."""
    while exception is not None:
        yield exception
        for one in getattr(exception, "exceptions", ()):  # an ExceptionGroup: one for each address that was tried
            yield from causes(one)
        exception = exception.__cause__ or exception.__context__


def _is_page(response: httpx.Response, body: bytes) -> bool:
    kind = response.headers.get("Content-Type", "")
    return "html" in kind.lower() or body.lstrip()[:1] == b"<"
