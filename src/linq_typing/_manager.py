"""``TypingManager``: puts the parts together."""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload
from uuid import UUID

import httpx

from . import _sends, webhooks
from ._chat_id import ChatIdFrom
from ._clients import credentials_of
from ._core.indicator import MessageInFlight, SessionState
from ._engine.http import fast_transport
from ._engine.interface import Engine
from ._engine.lifecycle import Life
from ._engine.process import EXIT_TIMEOUT, process_lock
from ._engine.runner import Runner
from ._engine.source import EngineSettings, EngineSource
from ._engine.transports import TransportOption
from ._engine.waiting import Completion, wait_for_async
from ._linq import SETTLE
from ._session import TypingSession, sender_in_context
from ._settings import (
    HTTP,
    OPTIONS,
    REDIS_URL_VARIABLE,
    Credentials,
    GivenOptions,
    HTTPSettings,
    SessionOptions,
    check_flag,
    check_seconds,
    normalized_base_url,
    parse_chat_id,
    without_password,
)
from ._typing_while import TypingWhile, make_typing_while, show_options
from .errors import ConfigurationError
from .events import EventHook, Stats

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["TypingManager"]

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])


class ManagerSettings(GivenOptions, total=False):
    """The keyword arguments of ``TypingManager`` and ``configure``."""

    api_key: str | None
    base_url: str | httpx.URL | None
    client: object
    timeout: float
    max_retries: int
    backoff_max: float
    max_connections: int
    settle: float
    transport: TransportOption
    redis: object
    on_event: EventHook | Sequence[EventHook] | None
    enabled: bool | None


_managers: weakref.WeakSet[TypingManager] = weakref.WeakSet()
_MARGIN = 1.5  # seconds: the library's thread enforces the time-outs itself; this is for when it can't


def _checked_hooks(on_event: object) -> tuple[EventHook, ...]:
    if on_event is None:
        return ()
    hooks: tuple[Any, ...] = (
        (on_event,) if callable(on_event) or not isinstance(on_event, Sequence) else tuple(on_event)
    )
    for hook in hooks:
        if not callable(hook):
            raise TypeError(f"on_event must be callable, or a sequence of callables, got {type(hook).__name__}")
        if inspect.iscoroutinefunction(hook):
            raise TypeError("on_event must be a plain function: it is called on the library's thread, not awaited")
    return hooks


def managers_from_environment() -> list[TypingManager]:
    """The existing managers whose key or base URL comes from the environment."""
    return [manager for manager in _living_managers() if manager._is_from_environment]


def managers_with(hook: EventHook) -> list[TypingManager]:
    """The existing managers that call this hook, or one equal to it."""
    return [manager for manager in _living_managers() if hook in manager._engines.settings.hooks]


def _living_managers() -> list[TypingManager]:
    with process_lock():  # a set can't be read while another thread adds to it
        return list(_managers)


class TypingManager:
    """Owns its connections and its chats. Most bots never create one.

    The module's functions (``typing_while``, ``watch``, ...) use a manager that is created from the environment at
    first use. Create your own for another key (a tenant), for other options, or to choose when it is closed.
    All methods may be called from any thread and event loop, except from ``on_event``.

    Args:
        api_key: Linq API key. Default: the client's, else ``LINQ_API_V3_API_KEY``, else ``LINQ_API_KEY``.
        base_url: root of the Partner API, with or without ``/v3``. Default: the client's, else
            ``LINQ_API_V3_BASE_URL``, else ``https://api.linqapp.com/api/partner``.
        client: a client of the official SDK, an ``httpx.Client`` or an ``httpx.AsyncClient`` (or httpx2's).
            Its key, base URL and default headers are used, and its messages are noticed. It never carries typing
            requests.
        timeout: seconds for one attempt of a request. Default 5.
        max_retries: attempts after a failed one, with exponential backoff and jitter (0.5 s, 1 s, 2 s, ...);
            ``Retry-After`` is obeyed; permanent errors are not retried. Default 4.
        backoff_max: longest backoff in seconds. Default 8.
        max_connections: the maximum number of requests at the same time. Default 64, enough for 20,000 chats at
            150 ms from the API. On average ``chats / refresh_interval * latency`` are in use (both times in seconds):
            set a quarter more. If refreshes wait too long for a connection, one WARNING says how many are needed.
        settle: seconds after its acceptance in which a message may still clear the indicator. Default 3: a
            message is actually sent about 1 s after the API accepted it (p90 2.6 s).
        transport: ``"fast"``: make requests with aiohttp, which takes less processor time: up to 2.5 times as many
            requests a second, where ``max_connections`` isn't the limit. Proxies must be ``http`` or ``https``. Needs
            ``pip install "linq-typing[fast]"``. Or an ``httpx.AsyncBaseTransport`` of your own, for example a mock.
            Yours is used on the library's own event loop, and not in a forked child. :meth:`close` leaves it open,
            since not every transport can be reopened; it is closed when the manager is garbage-collected, and when
            the process exits. Proxies and a private CA need neither: ``HTTPS_PROXY``, ``NO_PROXY``,
            ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are obeyed.
        redis: shares the chats with all processes and machines that have the same API key, as if they were one process:
            a URL (``redis://``, ``rediss://``, ``unix://``), a sync or async redis-py client, whose settings are
            copied, or a function that makes an async client, called on the library's own event loop (for clusters and
            sentinels). Needs ``pip install "linq-typing[redis]"``, and Redis 6.2, Valkey 7.2 or newer. Default:
            ``LINQ_TYPING_REDIS_URL``, else not shared. While Redis does not answer, each process works alone.
        on_event: a function, or several, called with each :class:`TypingEvent` on the library's thread, so it must not
            block; its exceptions are logged. Events are also logged, to ``linq_typing``.
        enabled: False: sessions work, but nothing is sent and no key is needed. Default: True, unless
            ``LINQ_TYPING_ENABLED`` is ``0``.
        start_delay, stop_delay, refresh_interval, max_duration, resume_after, wait_on_exit: defaults for
            :meth:`typing_while`, which explains them.

    Raises:
        ValueError: a negative or NaN duration, a base_url that is not an http(s) URL.
        TypeError: an argument of the wrong type.
        ConfigurationError: an API key with characters that are not allowed in an HTTP header, a proxy or TLS
            certificates of the environment that can't be used, a Redis URL that can't be used, or ``redis`` or
            ``transport="fast"`` without their package. (A missing key is not an error here: it may be set later. Until
            then, blocks run without an indicator, and one ERROR is logged.)
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | httpx.URL | None = None,
        client: object = None,
        timeout: float = HTTP.timeout,
        max_retries: int = HTTP.max_retries,
        backoff_max: float = HTTP.backoff_max,
        max_connections: int = HTTP.max_connections,
        settle: float = SETTLE,
        transport: TransportOption = None,
        redis: object = None,
        on_event: EventHook | Sequence[EventHook] | None = None,
        enabled: bool | None = None,
        start_delay: float = OPTIONS.start_delay,
        stop_delay: float = OPTIONS.stop_delay,
        refresh_interval: float = OPTIONS.refresh_interval,
        max_duration: float | None = OPTIONS.max_duration,
        resume_after: float | None = OPTIONS.resume_after,
        wait_on_exit: bool = OPTIONS.wait_on_exit,
    ) -> None:
        check_seconds("settle", settle)
        if isinstance(transport, str) and transport == "fast":
            fast_transport()
        elif transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
            raise TypeError(f'transport must be "fast" or an httpx.AsyncBaseTransport, got {transport!r}')
        if api_key is not None and not isinstance(api_key, str):
            raise TypeError(f"api_key must be a str, got {type(api_key).__name__}")  # not its value
        if enabled is not None:
            check_flag("enabled", enabled)
        if isinstance(base_url, httpx.URL):
            base_url = str(base_url)
        self._options = SessionOptions(
            start_delay, stop_delay, refresh_interval, max_duration, resume_after, wait_on_exit
        )
        given = Credentials(api_key, normalized_base_url(base_url) if base_url is not None else None)
        if client is not None:
            given = given.or_else(credentials_of(client))
        self._is_from_environment = not (given.api_key and given.base_url)
        self._engines = EngineSource(
            EngineSettings(
                given,
                HTTPSettings(timeout, max_retries, backoff_max, max_connections),
                settle,
                transport,
                _checked_hooks(on_event),
                enabled,
                self._runner_maker(redis if redis is not None else os.environ.get(REDIS_URL_VARIABLE) or None),
            )
        )
        self._prepare()
        with process_lock():
            _managers.add(self)
        _sends.add_listener(self)
        if client is not None:
            self.watch(client)

    def _runner_maker(self, redis: Any) -> Callable[..., Runner]:
        if redis is None:
            return Runner
        try:
            from .redis import runner_maker
        except ImportError:
            raise ConfigurationError('redis= needs another package: pip install "linq-typing[redis]"') from None
        return runner_maker(redis)

    def _prepare(self) -> None:
        self._engines.prepare()

    def __repr__(self) -> str:
        life = self._engines.life
        state = "" if life is Life.OPEN else f" {life.value}"
        return f"<TypingManager base_url={without_password(self._engines.base_url)!r}{state}>"

    @overload
    def typing_while(self, function: F, /) -> F: ...

    @overload
    def typing_while(
        self,
        chat_id: str | UUID | None = None,
        *,
        chat_id_from: ChatIdFrom = "chat_id",
        **options: Unpack[GivenOptions],
    ) -> TypingWhile: ...

    @show_options(inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD))
    def typing_while(self, chat_id: Any = None, **options: Any) -> Any:
        """As :func:`linq_typing.typing_while`, on this manager and with its defaults."""
        return make_typing_while(self, chat_id, **options)

    def _new_session(self, chat_id: str, given: GivenOptions) -> TypingSession:
        state = SessionState(replace(self._options, **given) if given else self._options, 0.0)
        engine = self._engines.get(state)
        if engine is not None:
            state.joined_at = engine.now()
        return TypingSession(chat_id, engine, state)

    # -- Messages

    def mark_sent(self, chat_id: str | UUID) -> None:
        """Report that a message went out to ``chat_id`` in a way that the library can't detect.

        The time of the call counts as the time of the message, so call it right after the send. The message is
        attributed to the calling context's session of that chat, else to one that has just ended, else to the oldest
        open one. Ignored in a chat without a session. Never blocks.

        Raises:
            ValueError: ``chat_id`` is not a UUID (TypeError: neither text nor a ``UUID``).
        """
        chat_id, engine = parse_chat_id(chat_id), self._engines.get_for_marking()
        if engine is not None:
            engine.mark_sent(chat_id, MessageInFlight(engine.now(), sender_in_context(chat_id, engine)))

    def watch(self, client: C) -> C:
        """Notice the messages that go out through ``client``, and return it.

        ``client`` is a client of the official SDK, an ``httpx.Client`` or an ``httpx.AsyncClient`` (or httpx2's).
        After a message no stop is needed; failed, timed-out or cancelled sends don't count. No request is altered.
        Idempotent.

        Raises:
            TypeError: ``client`` is something else.
        """
        return _sends.watch(client, self)

    def observe(self, event: object) -> None:
        """Learn from a Linq webhook what became of a message. Pass every webhook; irrelevant ones are ignored.

        ::

            @app.post("/webhook")
            async def webhook(request: Request):
                event = standardwebhooks.Webhook(secret).verify(await request.body(), request.headers)
                manager.observe(event)

        Args:
            event: the webhook's JSON, parsed or not (text or bytes), or the object that the SDK's ``unwrap`` returns,
                in either payload version. Verify the signature first, or anyone could forge a webhook.

        Your message that was *delivered* has cleared the indicator, and one that was *sent* will clear it within half a
        second, so the next start need not wait for ``settle``. One that *failed* has cleared nothing: if no session
        wants the indicator any more, it is stopped. Someone else's message (a colleague's, another program's) counts as
        with :meth:`mark_sent`. If the person *read* a message, and so opened the chat, their device may have dropped an
        indicator that was up for 3 s: a stop and a start bring it back, at most once a minute. Repeated webhooks, and
        those over a minute old, are ignored. Messages that were sent before the first call are not known.

        May be called from any thread, returns at once, and never raises, whatever the argument. Has no effect while the
        manager is closed, disabled or not yet in use (with ``redis=``, the other processes are still told).
        """
        self._engines.observe(webhooks.read(event, datetime.now(timezone.utc)))

    @property
    def _observes(self) -> bool:
        return self._engines.observes or self._engines.is_shared  # another process may receive the webhooks

    def _now(self) -> float:
        return self._engines.now()

    def _engine_to_tell(self) -> Engine | None:
        return self._engines.get_for_message()

    # -- Ends

    def flush(self, timeout: float = 5.0) -> bool:
        """Send the stops that are delayed, or that wait for a message to settle, now, and wait for their answers.

        Open sessions continue. Blocks for at most ``timeout`` seconds.

        Returns:
            Whether every stop was accepted in time.

        Raises:
            RuntimeError: called from ``on_event``, where it would wait for itself.
        """
        return self._begin_flush(timeout).wait(timeout)

    async def aflush(self, timeout: float = 5.0) -> bool:
        """:meth:`flush` without blocking the event loop (asyncio's or trio's)."""
        return await wait_for_async(self._begin_flush(timeout), timeout)

    def close(self) -> bool:
        """End all sessions, send the remaining stops, close the connections. Blocks for about 5 s at most.

        The next use reopens the manager with the same settings. Idempotent.

        Returns:
            Whether every stop was accepted in time.

        Raises:
            RuntimeError: called from ``on_event``, where it would wait for itself.
        """
        return self._begin_close().wait(EXIT_TIMEOUT + _MARGIN)

    async def aclose(self) -> bool:
        """:meth:`close` without blocking the event loop (asyncio's or trio's)."""
        return await wait_for_async(self._begin_close(), EXIT_TIMEOUT + _MARGIN)

    def _retire(self) -> None:
        """Close once the open sessions have ended and their stops are out. Returns at once."""
        if self._engines.engine is not None:
            self._engines.engine.retire(self)

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
        """Statistics: sessions, chats, requests by outcome, and whether starts are suspended."""
        engine = self._engines.engine
        return Stats() if engine is None or not engine.alive else engine.stats()

    def _begin_flush(self, timeout: float) -> Completion:
        check_seconds("timeout", timeout)
        engine = self._engines.get_for_waiting()
        return Completion(True) if engine is None else engine.flush()

    def _begin_close(self) -> Completion:
        return self._engines.begin_close()

    # -- For linq_typing.testing

    @contextmanager
    def _pointed_at(self, credentials: Credentials, time_scale: float) -> Iterator[None]:
        """Use these credentials inside the block, with all durations divided by ``time_scale``."""
        options, settings = self._options, self._engines.settings
        http, settle = settings.http.scaled(time_scale), settings.settle / time_scale
        meanwhile = settings._replace(credentials=credentials, http=http, settle=settle, enabled=True)
        with self._engines.replaced(meanwhile, self):
            self._options = options.scaled(time_scale)
            try:
                yield
            finally:
                self.close()
                self._options = options
