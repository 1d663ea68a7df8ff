"""Starts and stops over HTTP, with httpx's transports and tenacity."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ssl
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import tenacity

from .._core.indicator import Action, Outcome
from .._linq import PUBLIC_BASE_URL, START_METHOD, STOP_METHOD, typing_url
from .._settings import Credentials, HTTPSettings
from ..errors import APIConnectionError, APIStatusError, APITimeoutError, ConfigurationError, LinqTypingError
from .answers import Answer, outcome_of, printable, status_error

KEEPALIVE_EXPIRY: Final = 30.0  # seconds; load balancers drop idle connections after 60
FIRST_BACKOFF: Final = 0.5  # seconds
SHORTEST_KEY: Final = 8  # characters: shorter is too short to redact safely: it would match ordinary words
MAX_BODY: Final = 64 * 1024  # bytes of an answer that are read
LONGEST_JITTER: Final = 0.25  # seconds
CLOSE_TIMEOUT: Final = 1.0  # seconds for dropping connections
METHODS: Final = {Action.START: START_METHOD, Action.STOP: STOP_METHOD}

# Raised by httpx's own transport before the request left, so it did nothing.
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)

#: Called when a request has ended: with the answer and its body, or with the exception and no body.
Observer = Callable[[httpx.Response | BaseException, bytes], object]


class TypingAPI:
    """Starts and stops indicators, one attempt at a time. To be used on one event loop.

    Uses httpx's transports without its clients: what clients add (redirects, cookies, authentication flows) is not
    needed here, and costs a fifth of a request's time.
    """

    def __init__(
        self,
        credentials: Credentials,
        settings: HTTPSettings,
        transport: httpx.AsyncBaseTransport | None = None,
        observer: Observer | None = None,
    ) -> None:
        import_for_requests()
        self.credentials = credentials
        self._base = credentials.base_url or PUBLIC_BASE_URL
        self._key = credentials.api_key or ""
        self.timeout = settings.timeout
        self._headers = httpx.Headers(
            {
                "User-Agent": "linq-typing",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **credentials.headers,
                "Authorization": f"Bearer {self._key}",
            }
        )
        # The built-in transports need only a connect time-out, to tell a request that was never sent from a lost one.
        others = None if transport is None else settings.timeout
        self._timeouts = httpx.Timeout(others, connect=0.9 * settings.timeout).as_dict()
        self._make_transport = _transport_maker(self._base, transport)
        self._transports = [self._first_transport()]  # made now, so that the first request need not wait
        self._idle = list(self._transports)
        self._shared = transport is not None
        self._retrying = _retrying(settings)
        self._observe = observer or (lambda result, body: None)

    async def request(self, action: Action, chat_id: str) -> Answer:
        """Make one attempt. Never raises, except when cancelled."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        overdue = False

        def give_up() -> None:
            nonlocal overdue
            overdue = True
            task.cancel()

        timer = loop.call_later(self.timeout, give_up)
        try:
            return self._answer_to(*await self._send(METHODS[action], typing_url(self._base, chat_id)))
        except asyncio.CancelledError:
            if not overdue:
                raise
            return Answer(Outcome.NO_ANSWER, APITimeoutError(f"no answer within {self.timeout:g} s"))
        except BaseException as exc:  # noqa: BLE001 - the user's transport may raise anything, and end the thread
            return self._failure(exc)
        finally:
            timer.cancel()

    def retry_in(self, attempt: int, error: LinqTypingError) -> float | None:
        """The back-off in seconds after failed attempt number ``attempt``; None: don't retry."""
        state = tenacity.RetryCallState(self._retrying, None, (), {})
        state.attempt_number = attempt
        state.set_exception((type(error), error, None))
        if not self._retrying.retry(state) or self._retrying.stop(state):
            return None
        return float(self._retrying.wait(state))

    async def aclose(self, *, for_good: bool = True) -> None:
        """Close all connections. The next request opens new ones.

        The user's transport may not support reopening (httpx-aiohttp's does not), so it is closed only ``for_good``.
        """
        if self._shared and not for_good:
            return
        transports, self._transports, self._idle = self._transports, [], []
        for transport in transports:
            await transport.aclose()

    async def _send(self, method: str, url: str) -> tuple[httpx.Response, bytes]:
        extensions = {"timeout": self._timeouts.copy()}
        request = httpx.Request(method, url, headers=self._headers, extensions=extensions)
        if self._shared:
            return await _exchange(self._make_transport(), request)
        transport = self._idle.pop() if self._idle else self._another_transport()
        try:
            answer = await _exchange(transport, request)
        except BaseException:  # httpcore may leave a cancelled connection, or a tunnel, marked busy for good
            with contextlib.suppress(ValueError):  # closed in the meantime
                self._transports.remove(transport)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(transport.aclose(), CLOSE_TIMEOUT)
            raise
        self._idle.append(transport)  # the most recently used goes first: its connection is alive
        return answer

    def _first_transport(self) -> httpx.AsyncBaseTransport:
        try:
            return self._make_transport()
        except (ValueError, ImportError, httpx.InvalidURL) as error:  # an unknown scheme, no socksio, ...
            raise ConfigurationError(f"The environment's proxy can't be used: {error}") from None

    def _another_transport(self) -> httpx.AsyncBaseTransport:
        transport = self._make_transport()
        self._transports.append(transport)
        return transport

    def _answer_to(self, response: httpx.Response, body: bytes) -> Answer:
        self._observe(response, body)
        if response.is_success:
            return Answer(Outcome.ACCEPTED)
        error = status_error(response, body, self._without_key)
        return Answer(outcome_of(error), error)

    def _failure(self, exc: BaseException) -> Answer:
        self._observe(exc, b"")
        # The httpx exception is not chained: its request carries the key.
        text = printable(self._without_key(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__))
        # The user's transport may raise these for a lost answer too, so they prove nothing.
        never_sent = isinstance(exc, _NEVER_SENT) and not self._shared
        outcome = Outcome.NOT_APPLIED if never_sent else Outcome.NO_ANSWER
        kind = APITimeoutError if isinstance(exc, httpx.TimeoutException) else APIConnectionError
        return Answer(outcome, kind(text))

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if len(self._key) >= SHORTEST_KEY else text


def import_for_requests() -> None:
    """Import what httpx and httpcore import on demand, in the caller's thread.

    Otherwise the first request imports it, on the library's thread; if the caller's thread is busy, that takes seconds.
    """
    for name in ("httpcore", "anyio._backends._asyncio", "encodings.idna"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    """The answer to the request, and the first ``MAX_BODY`` bytes of its body."""
    response = await transport.handle_async_request(request)
    if response.is_stream_consumed:  # the user's transport has read it, perhaps to log it
        return response, response.content[:MAX_BODY]
    body = bytearray()
    try:
        async for part in cast(httpx.AsyncByteStream, response.stream):  # reading to the end keeps the connection
            body += part[: MAX_BODY - len(body)]
            if len(body) >= MAX_BODY:
                break
    finally:
        await response.aclose()
    return response, bytes(body)


def _transport_maker(base: str, transport: httpx.AsyncBaseTransport | None) -> Callable[[], httpx.AsyncBaseTransport]:
    """A function that makes transports of one connection each, or returns the user's own.

    httpcore scans all connections of a pool for each request, so connections don't share a pool. The engine limits
    their number.
    """
    if transport is not None:
        return lambda: transport
    limits = httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY)
    context, proxy = _ssl_context(base), _proxy(base)
    return lambda: httpx.AsyncHTTPTransport(limits=limits, verify=context, proxy=proxy)


_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _proxy(base: str) -> str | None:
    """The proxy for this base URL, from the environment or the system (``HTTPS_PROXY``, ``NO_PROXY``, ...)."""
    url, proxies = urlsplit(base), getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    host, port = url.hostname or "", url.port or _DEFAULT_PORTS[url.scheme]
    if not proxy or proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _ssl_context(base: str) -> ssl.SSLContext:
    """Shared by all transports: loading the certificates is slow. For plain http, one that trusts no certificate."""
    if not base.lower().startswith("https"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except TimeoutError:  # an OSError too, but raised by a signal handler
        raise
    except OSError as error:  # SSL_CERT_FILE names no certificates, no file can be opened, ...
        raise ConfigurationError(f"The TLS certificates can't be loaded: {error}") from None


def _retrying(settings: HTTPSettings) -> tenacity.Retrying:
    """tenacity's strategies for whether and when to retry. The indicator makes the attempts, and obeys
    ``Retry-After``."""
    jitter = min(LONGEST_JITTER, settings.backoff_max / 5)
    backoff = tenacity.wait_exponential(multiplier=FIRST_BACKOFF, max=settings.backoff_max - jitter)
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(settings.max_retries + 1),
        wait=backoff + tenacity.wait_random(0, jitter),
        retry=tenacity.retry_if_exception(_is_passing),
    )


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, APIConnectionError) or (
        isinstance(error, APIStatusError) and outcome_of(error) is not Outcome.REFUSED
    )
