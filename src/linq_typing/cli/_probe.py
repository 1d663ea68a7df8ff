"""Single requests, with everything that is known about how they ended."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from linq_typing._core.indicator import Action, Outcome
from linq_typing._engine.http import TypingAPI
from linq_typing._settings import HTTP, Credentials
from linq_typing.errors import LinqTypingError

T = TypeVar("T")

MAY_HAVE_WORKED: Final = (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.NO_ANSWER)


@dataclass(frozen=True, slots=True)
class Probe:
    """How one request ended."""

    outcome: Outcome
    error: LinqTypingError | None
    seconds: float = 0.0
    status: int | None = None
    is_page: bool = False
    """Whether the answer is a web page, and therefore not Linq's."""
    cause: BaseException | None = None
    """The exception, if there is no answer."""


class Prober:
    """Makes requests as the library does."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._api = TypingAPI(credentials, HTTP, observer=self._observe)
        self._result: httpx.Response | BaseException | None = None
        self._body = b""

    async def probe(self, action: Action, chat_id: str) -> Probe:
        """Make one request."""
        self._result = None
        began = time.monotonic()
        outcome, error = await self._api.request(action, chat_id)
        seconds = time.monotonic() - began
        if isinstance(self._result, httpx.Response):
            return Probe(outcome, error, seconds, self._result.status_code, _is_page(self._result, self._body))
        return Probe(outcome, error, seconds, cause=self._result)

    async def chat(self, chat_id: str) -> Mapping[str, Any]:
        """What Linq says about the chat; empty if it says nothing."""
        used = self._credentials
        headers = {**used.headers, "Authorization": f"Bearer {used.api_key}"}
        with suppress(Exception):
            async with httpx.AsyncClient(headers=headers, timeout=HTTP.timeout) as client:
                chat = (await client.get(f"{used.base_url}/v3/chats/{chat_id}")).raise_for_status().json()
                return chat if isinstance(chat, dict) else {}
        return {}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    def _observe(self, result: httpx.Response | BaseException, body: bytes) -> None:
        self._result, self._body = result, body


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
    """As asyncio.run() does since Python 3.11."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError, RuntimeError, ValueError):  # on Windows; outside the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)


def causes(exception: BaseException | None) -> Iterator[BaseException]:
    """The exception and all its causes."""
    while exception is not None:
        yield exception
        for one in getattr(exception, "exceptions", ()):  # an ExceptionGroup: one for each address that was tried
            yield from causes(one)
        exception = exception.__cause__ or exception.__context__


def _is_page(response: httpx.Response, body: bytes) -> bool:
    kind = response.headers.get("Content-Type", "")
    return "html" in kind.lower() or body.lstrip()[:1] == b"<"
