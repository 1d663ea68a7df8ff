"""What makes the HTTP requests: the built-in transport over httpx, one of the user's, or :mod:`.fast` over aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ssl
from collections.abc import Iterator, Mapping
from typing import Final, Literal, Protocol, TypeAlias, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import ConfigurationError

KEEPALIVE_EXPIRY: Final = 30.0  # seconds; load balancers drop idle connections after 60
MAX_BODY: Final = 64 * 1024  # bytes of an answer that are read
CLOSE_TIMEOUT: Final = 1.0  # seconds for dropping connections
CONNECT_SHARE: Final = 0.9  # of the time-out: a connection that takes longer fails before the request is sent

#: What users choose; None: built in.
TransportOption: TypeAlias = httpx.AsyncBaseTransport | Literal["fast"] | None


class Transport(Protocol):
    """Carries requests on one event loop."""

    tells_unsent: bool
    """Whether httpx's exceptions for requests that were never sent can be believed."""

    async def exchange(self, method: str, url: str) -> tuple[httpx.Response, bytes]:
        """The answer to a request, and the first ``MAX_BODY`` bytes of its body. May raise anything."""
        ...

    async def aclose(self, *, for_good: bool) -> None:
        """Close all connections. The next request opens new ones, unless it was ``for_good``."""
        ...


class BuiltInTransport:
    """httpx's transports, without its clients: what clients add (redirects, cookies, authentication flows) is not
    needed here, and costs a fifth of a request's time.

    Each has one connection: httpcore scans all connections of a pool for each request. The engine limits their number.
    """

    tells_unsent = True

    def __init__(self, base: str, headers: Mapping[str, str], timeout: float) -> None:
        self._headers = httpx.Headers(headers)
        # Only a connect time-out is needed, to tell a request that was never sent from a lost one.
        self._timeouts = httpx.Timeout(None, connect=CONNECT_SHARE * timeout).as_dict()
        self._context, self._proxy = ssl_context_for(base), proxy_for(base)
        with checked_proxy():
            self._transports = [self._make()]  # made now, so that the first request need not wait
        self._idle = list(self._transports)

    async def exchange(self, method: str, url: str) -> tuple[httpx.Response, bytes]:
        transport = self._idle.pop() if self._idle else self._another()
        try:
            answer = await _exchange(transport, _request(method, url, self._headers, self._timeouts))
        except BaseException:  # httpcore may leave a cancelled connection, or a tunnel, marked busy for good
            with contextlib.suppress(ValueError):  # closed in the meantime
                self._transports.remove(transport)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(transport.aclose(), CLOSE_TIMEOUT)
            raise
        self._idle.append(transport)  # the most recently used goes first: its connection is alive
        return answer

    async def aclose(self, *, for_good: bool) -> None:
        transports, self._transports, self._idle = self._transports, [], []
        for transport in transports:
            await transport.aclose()

    def _another(self) -> httpx.AsyncBaseTransport:
        transport = self._make()
        self._transports.append(transport)
        return transport

    def _make(self) -> httpx.AsyncBaseTransport:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY)
        return httpx.AsyncHTTPTransport(limits=limits, verify=self._context, proxy=self._proxy)


class UsersTransport:
    """A transport of the user's. It may report a lost answer as a request that was never sent, so it isn't believed."""

    tells_unsent = False

    def __init__(self, transport: httpx.AsyncBaseTransport, headers: Mapping[str, str], timeout: float) -> None:
        self._transport = transport
        self._is_closed = False
        self._headers = httpx.Headers(headers)
        self._timeouts = httpx.Timeout(timeout, connect=CONNECT_SHARE * timeout).as_dict()

    async def exchange(self, method: str, url: str) -> tuple[httpx.Response, bytes]:
        return await _exchange(self._transport, _request(method, url, self._headers, self._timeouts))

    async def aclose(self, *, for_good: bool) -> None:
        if for_good and not self._is_closed:  # it may not support reopening: httpx-aiohttp's does not
            self._is_closed = True
            await self._transport.aclose()


def import_for_requests() -> None:
    """Import what httpx and httpcore import on demand, in the caller's thread.

    Otherwise the first request imports it, on the library's thread; if the caller's thread is busy, that takes seconds.
    """
    for name in ("httpcore", "anyio._backends._asyncio", "encodings.idna"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _request(method: str, url: str, headers: httpx.Headers, timeouts: dict[str, float | None]) -> httpx.Request:
    return httpx.Request(method, url, headers=headers, extensions={"timeout": timeouts.copy()})


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> tuple[httpx.Response, bytes]:
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


_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def proxy_for(base: str) -> str | None:
    """The proxy for this base URL, from the environment or the system (``HTTPS_PROXY``, ``NO_PROXY``, ...)."""
    url, proxies = urlsplit(base), getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    host, port = url.hostname or "", url.port or _DEFAULT_PORTS[url.scheme]
    if not proxy or proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@contextlib.contextmanager
def checked_proxy() -> Iterator[None]:
    """What making a transport raises for a proxy becomes a ConfigurationError."""
    try:
        yield
    except (ValueError, ImportError, httpx.InvalidURL) as error:  # an unknown scheme, no socksio, ...
        raise ConfigurationError(f"The environment's proxy can't be used: {error}") from None


def ssl_context_for(base: str) -> ssl.SSLContext:
    """Shared by all connections: loading the certificates is slow. For plain http, one that trusts no certificate."""
    if not base.lower().startswith("https"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except TimeoutError:  # an OSError too, but raised by a signal handler
        raise
    except OSError as error:  # SSL_CERT_FILE names no certificates, no file can be opened, ...
        raise ConfigurationError(f"The TLS certificates can't be loaded: {error}") from None
