"""``TypingManager``: the one place where the parts are put together."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload
from uuid import UUID

import httpx

from . import _sends
from ._indicator import Window, Wish
from ._process import EXIT_TIMEOUT, is_fit, loop_thread, process_lock
from ._session import TypingSession, sender_in_context
from ._settings import (
    Credentials,
    HTTPSettings,
    SessionOptions,
    check_flag,
    check_seconds,
    enabled_by_environment,
    from_environment,
    normalized_base_url,
    parse_chat_id,
)
from ._typing_while import ChatIdFrom, TypingWhile, import_machinery, make_typing_while
from ._waiting import wait_for, wait_for_async
from .events import EventHook, Stats

if TYPE_CHECKING:
    from ._api import TypingAPI
    from ._driver import Driver

__all__ = ["TypingManager"]

logger = logging.getLogger("linq_typing")

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])

_MARGIN = 1.5  # seconds: the library's thread keeps the time-outs itself, this is for when it can't


class TypingManager:
    """Owns its connections and one registry of chats; most bots never make one.

    The functions of the module (``typing_while``, ``watch``, ...) use a manager that is made from the environment
    at first use. Make your own for another key (a tenant), for options of your own, or to close it when you like.
    All methods may be called from any thread and event loop, except from ``on_event``.

    Args:
        api_key: Linq API key. Default: the client's, else ``LINQ_API_V3_API_KEY``, else ``LINQ_API_KEY``.
        base_url: root of the Partner API, with or without ``/v3``. Default: the client's, else
            ``LINQ_API_V3_BASE_URL``, else ``https://api.linqapp.com/api/partner``.
        client: a client of the official SDK, an ``httpx.Client`` or an ``httpx.AsyncClient``: lends its key, base
            URL and default headers, and is watched for messages. It never carries typing requests.
        timeout: seconds for one attempt of a request. Default 5.
        max_retries: attempts after a failed one, with exponential backoff and jitter (0.5 s, 1 s, 2 s, ...);
            ``Retry-After`` is obeyed; answers that will never change are not retried. Default 4.
        backoff_max: longest backoff in seconds. Default 8.
        max_connections: most requests at the same time. Default 64.
        settle: seconds after its acceptance for which a message may still clear the indicator. Default 3: a
            message is really sent about 1 s after the API accepted it (p90 2.6 s).
        transport: an ``httpx.AsyncBaseTransport`` to use instead of the built-in ones: a private CA, a mock,
            ``httpx-aiohttp`` for speed. (Proxies: ``HTTPS_PROXY`` and ``NO_PROXY`` are heeded anyway.) It is used on
            the library's own event loop, and closed with the manager.
        on_event: called with each :class:`TypingEvent` on the library's thread, so it must not block; what it
            raises is logged. The ``linq_typing`` logger is told in any case.
        enabled: False: sessions work, nothing is sent and no key is needed. Default: unless
            ``LINQ_TYPING_ENABLED`` is ``0``.
        start_delay, stop_delay, refresh_interval, max_duration, resume_after, wait_on_exit: defaults for
            :meth:`typing_while`, which explains them.

    Raises:
        ValueError: a negative or NaN duration, a base_url that is no http(s) URL.
        TypeError: an argument of the wrong type.
        ConfigurationError: an API key that no HTTP header can carry. (None at all: when a block is entered.)
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | httpx.URL | None = None,
        client: object = None,
        timeout: float = 5.0,
        max_retries: int = 4,
        backoff_max: float = 8.0,
        max_connections: int = 64,
        settle: float = 3.0,
        transport: httpx.AsyncBaseTransport | None = None,
        on_event: EventHook | None = None,
        enabled: bool | None = None,
        start_delay: float = 0.0,
        stop_delay: float = 0.5,
        refresh_interval: float = 60.0,
        max_duration: float | None = 600.0,
        resume_after: float | None = None,
        wait_on_exit: bool = False,
    ) -> None:
        check_seconds("settle", settle)
        if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
            raise TypeError(f"transport must be an httpx.AsyncBaseTransport, got {type(transport).__name__}")
        if on_event is not None and not callable(on_event):
            raise TypeError(f"on_event must be callable, got {type(on_event).__name__}")
        if inspect.iscoroutinefunction(on_event):
            raise TypeError("on_event must be a plain function: it is called on the library's thread, not awaited")
        if api_key is not None and not isinstance(api_key, str):
            raise TypeError(f"api_key must be a str, got {type(api_key).__name__}")  # not its value
        if enabled is not None:
            check_flag("enabled", enabled)
        if isinstance(base_url, httpx.URL):
            base_url = str(base_url)
        self._options = SessionOptions(
            start_delay, stop_delay, refresh_interval, max_duration, resume_after, wait_on_exit
        )
        self._http = HTTPSettings(timeout, max_retries, backoff_max, max_connections)
        self._settle = settle
        self._transport = transport
        self._on_event = on_event
        self._enabled = enabled_by_environment() if enabled is None else enabled
        given = Credentials(api_key, normalized_base_url(base_url) if base_url is not None else None)
        self._credentials = given.or_else(_sends.credentials_of(client)) if client is not None else given
        self._driver: Driver | None = None
        self._closed = False
        # Loading certificates is slow: better now than when the first session waits for it.
        self._api = self._make_api() if self._enabled and self._known_credentials().api_key and is_fit() else None
        _sends.add_listener(self)
        if client is not None:
            self.watch(client)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._enabled else "disabled"
        return f"<TypingManager base_url={self._known_credentials().base_url!r} {state}>"

    @overload
    def typing_while(self, function: F, /) -> F: ...

    @overload
    def typing_while(
        self,
        chat_id: str | UUID | None = None,
        *,
        chat_id_from: ChatIdFrom = "chat_id",
        start_delay: float = ...,
        stop_delay: float = ...,
        refresh_interval: float = ...,
        max_duration: float | None = ...,
        resume_after: float | None = ...,
        wait_on_exit: bool = ...,
    ) -> TypingWhile: ...

    def typing_while(self, chat_id: Any = None, **options: Any) -> Any:
        """As :func:`linq_typing.typing_while`, on this manager and with its defaults."""
        return make_typing_while(self, chat_id, **options)

    def _open(self, chat_id: str, given: Mapping[str, Any]) -> TypingSession:
        if self._closed:
            raise RuntimeError("this TypingManager is closed: make another one")
        driver = self._live_driver() if self._enabled else None
        wish = Wish(replace(self._options, **given) if given else self._options, monotonic())
        session = TypingSession(chat_id, driver, wish)
        if driver is not None:
            driver.post(driver.join, chat_id, wish)
        return session

    # -- Messages

    def mark_sent(self, chat_id: str | UUID) -> None:
        """Say that a message has gone out to ``chat_id`` by a road that the library can't see.

        Counts at the moment of the call, so call it right after the send. It is taken for the message of the
        calling context's session of that chat, else of one that has just ended, else of the oldest open one; in a
        chat without a session it means nothing. Never blocks.

        Raises:
            ValueError: ``chat_id`` is no UUID (TypeError: neither text nor a ``UUID``).
        """
        chat_id, driver = parse_chat_id(chat_id), self._driver
        if driver is not None:
            driver.post(driver.mark_sent, chat_id, Window(monotonic(), sender_in_context(chat_id, driver)))

    def watch(self, client: C) -> C:
        """Notice the messages that go out through ``client``, and return it.

        ``client`` is a client of the official SDK, an ``httpx.Client`` or an ``httpx.AsyncClient``. A message that
        was sent makes the stop needless; one that was refused, timed out or was cancelled changes nothing. No
        request is altered. Watching twice is watching once.

        Raises:
            TypeError: ``client`` is something else.
        """
        return _sends.watch(client, self)

    def _message_in_flight(self, chat_id: str, began_at: float) -> _sends.WatchedMessage | None:
        """A message that a watched client is sending, or of which it has learnt by the answer."""
        driver = self._listening_driver()
        if driver is None:
            return None
        return _sends.WatchedMessage(driver, chat_id, Window(began_at, sender_in_context(chat_id, driver)))

    # -- Ends

    def flush(self, timeout: float = 5.0) -> bool:
        """Send the stops that are delayed or wait for a message to settle, now, and wait for them.

        Open sessions go on. Blocks for at most ``timeout`` seconds.

        Returns:
            Whether every stop was accepted in time.

        Raises:
            RuntimeError: called from ``on_event``, where it would wait for itself.
        """
        return wait_for(self._begin_flush(timeout), timeout)

    async def aflush(self, timeout: float = 5.0) -> bool:
        """:meth:`flush` without blocking the event loop (asyncio's or trio's)."""
        return await wait_for_async(self._begin_flush(timeout), timeout)

    def close(self) -> None:
        """End all sessions, send the stops that are left, drop the connections. Blocks for at most 5 s or so.

        A closed manager opens no more sessions (RuntimeError). Closing twice is closing once.

        Raises:
            RuntimeError: called from ``on_event``, where it would wait for itself.
        """
        wait_for(self._begin_close(), EXIT_TIMEOUT + _MARGIN)

    async def aclose(self) -> None:
        """:meth:`close` without blocking the event loop (asyncio's or trio's)."""
        await wait_for_async(self._begin_close(), EXIT_TIMEOUT + _MARGIN)

    def _retire(self) -> None:
        """Close once the open sessions have ended and their stops are out. Returns at once."""
        self._refuse_new_sessions()
        if self._driver is not None:
            self._driver.post(self._driver.retire, self)

    def __enter__(self) -> TypingManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> TypingManager:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def stats(self) -> Stats:
        """The manager in numbers: sessions, chats, requests by outcome, and whether starts are suspended."""
        driver = self._driver
        return Stats() if driver is None or not driver.alive else driver.stats()

    # -- Machinery

    def _begin_flush(self, timeout: float) -> Future[bool]:
        check_seconds("timeout", timeout)
        driver, done = self._driver_to_wait_for(), Future[bool]()
        if driver is None:
            done.set_result(True)
        else:
            driver.post(driver.flush, done)
        return done

    def _begin_close(self) -> Future[bool]:
        self._driver_to_wait_for()  # which may refuse
        self._refuse_new_sessions()
        driver = self._driver_to_wait_for()
        if driver is not None:
            return driver.begin_close()
        done = Future[bool]()
        done.set_result(True)
        return done

    def _refuse_new_sessions(self) -> None:
        with process_lock():  # so that no session makes a driver after we have looked for one
            self._closed = True

    def _driver_to_wait_for(self) -> Driver | None:
        """The driver, if it was ever needed in this process. RuntimeError where waiting for it would dead-lock."""
        driver = self._driver
        if driver is None or not driver.alive:
            return None
        if driver.thread.is_current:
            raise RuntimeError("flush() and close() can't be called from on_event: they would wait for themselves")
        return driver

    def _listening_driver(self) -> Driver | None:
        """The driver to tell of a message. None where that helps nobody: closed, disabled or without a key."""
        if self._driver is not None and self._driver.alive:
            return self._driver
        if self._closed or not self._enabled or not self._known_credentials().api_key:
            return None
        return self._live_driver()

    def _live_driver(self) -> Driver | None:
        """The driver, made at first use and again after a fork. None once the interpreter exits."""
        driver = self._driver
        if driver is not None and driver.alive:
            return driver
        with process_lock():
            if self._closed:
                raise RuntimeError("this TypingManager is closed: make another one")
            if self._driver is None or not self._driver.alive:
                self._driver = self._make_driver(forked=self._driver is not None)
            return self._driver

    def _make_driver(self, forked: bool) -> Driver | None:
        if forked and self._transport is not None:
            self._disable("a transport can't be shared with the parent; make a TypingManager after the fork")
            return None
        if not is_fit():
            self._disable("it was forked while another thread imported what they need")
            return None
        try:
            thread = loop_thread()
        except RuntimeError as error:
            logger.debug("no typing indicators any more: %s", error)
            return None
        from ._driver import Driver

        if self._api is None or forked:
            self._api = self._make_api()  # connections must not be shared with the parent process
        driver = Driver(
            thread,
            self._api,
            settle=self._settle,
            max_connections=self._http.max_connections,
            on_event=self._on_event,
        )
        weakref.finalize(self, driver.post, driver.retire).atexit = False  # a manager that was dropped, not closed
        return driver

    def _disable(self, why: str) -> None:
        logger.warning("no typing indicators in this process: %s", why)
        self._enabled = False

    def _make_api(self) -> TypingAPI:
        import_machinery()
        from ._api import TypingAPI

        with process_lock():  # httpx imports, too
            return TypingAPI(self._known_credentials().checked(), self._http, self._transport)

    def _known_credentials(self) -> Credentials:
        """What was given, else what the environment says now: a .env file may be loaded late."""
        return self._credentials.or_else(from_environment())
