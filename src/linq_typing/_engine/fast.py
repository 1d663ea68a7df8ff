"""``transport="fast"``: requests over aiohttp (3.12 or newer), which takes less processor time than httpx.

aiohttp runs on the library's loop, as httpx does: no further thread, nothing that a fork or the exit could break.
"""

from __future__ import annotations

import asyncio
import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Final

import aiohttp
import httpx
from aiohttp import ClientHandlerType  # since 3.12
from yarl import URL

from .transports import CONNECT_SHARE, KEEPALIVE_EXPIRY, MAX_BODY, checked_proxy, proxy_for, ssl_context_for

_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # aiohttp would add those
_READ: Final = httpx.ByteStream(b"")  # as the stream of an answer: httpx need not read it, which takes long
_LONGEST_LINE: Final = 64 * 1024  # bytes of an answer's header


class _Connector(aiohttp.TCPConnector):
    """Closes nothing, and doesn't warn, when collected in a forked child or after its loop's thread has died: there the
    sockets aren't its own, or the loop no longer runs."""

    @property
    def closed(self) -> bool:
        return super().closed or asyncio._get_running_loop() is not self._loop  # noqa: SLF001 - it does not raise

    def __del__(self, *_: object) -> None:
        pass


class FastTransport:
    """Requests over aiohttp's connections. Its session is made at the first request, on the loop that makes it."""

    tells_unsent = True

    def __init__(self, base: str, headers: Mapping[str, str], timeout: float) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._proxy: URL | None = None
        self._proxy_headers: dict[str, str] = {}
        proxy = proxy_for(base)
        with checked_proxy():
            if proxy is not None:
                self._proxy, self._proxy_headers = _split(proxy)
        self._context = ssl_context_for(proxy if proxy and proxy.startswith("https") else base)
        self._context.set_alpn_protocols(["http/1.1"])
        self._headers = headers
        self._connect_timeout = CONNECT_SHARE * timeout

    async def exchange(self, method: str, url: str) -> tuple[httpx.Response, bytes]:
        for _ in range(2):  # let the loop notice first which idle connections the server has closed
            await asyncio.sleep(0)
        session = self._session or self._open()
        target = URL(url).with_user(None)  # aiohttp would make a header of it
        # The headers are not the session's: aiohttp would send those, and so the key, to the proxy, too.
        async with session.request(
            method,
            target,
            allow_redirects=False,
            headers=self._headers,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers,
        ) as response:
            body = bytearray()
            while len(body) < MAX_BODY and (part := await response.content.read(MAX_BODY - len(body))):
                body += part
            if 200 <= response.status < 300:
                return httpx.Response(response.status, stream=_READ), bytes(body)  # only errors need the headers
            reason = {"reason_phrase": (response.reason or "").encode(errors="surrogateescape")}
            return httpx.Response(response.status, headers=response.raw_headers, extensions=reason), bytes(body)

    async def aclose(self, *, for_good: bool) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=0,  # the engine limits the connections
            keepalive_timeout=KEEPALIVE_EXPIRY,
            resolver=aiohttp.ThreadedResolver(),  # the loop's
            ssl=self._context,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=_LONGEST_LINE,
            max_line_size=_LONGEST_LINE,
            middlewares=[_send_once],
            skip_auto_headers=_AUTOMATIC,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout, ceil_threshold=math.inf),
        )
        return self._session


def _split(proxy: str) -> tuple[URL, dict[str, str]]:
    """The proxy's URL without user and password, and the headers that tell it those."""
    url = URL(proxy)
    if url.scheme not in ("http", "https"):
        raise ValueError(f'transport="fast" can\'t use a proxy of the scheme {url.scheme!r}')
    user = f"{url.user or ''}:{url.password or ''}"
    headers = {} if user == ":" else {"Authorization": f"Basic {b64encode(user.encode()).decode()}"}
    return url.with_user(None), headers  # aiohttp renames that header to Proxy-Authorization


async def _send_once(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
    """Raise httpx's exceptions instead of aiohttp's. aiohttp then doesn't repeat a DELETE whose answer was lost and
    which may still take effect."""
    if request.method == "DELETE":
        request.headers.pop("Content-Length", None)  # httpx sends none
    try:
        return await send(request)
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except aiohttp.ClientHttpProxyError as error:  # it refused the tunnel
        raise httpx.ProxyError(f"{error.status} {error.message}") from error  # str() shows the proxy's password
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.ReadError(str(error)) from error
