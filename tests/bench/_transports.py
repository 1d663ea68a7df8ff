"""The transports that are compared: what to give to linq-typing, and the same without it, as the floor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

HEADERS = {"Authorization": "Bearer bench-key"}

Post = Callable[[str], Awaitable[object]]


class Transport(NamedTuple):
    """Both are functions of the number of connections."""

    option: Callable[[int], Any]
    """``transport=`` of a manager."""
    alone: Callable[[int], list[Post]]
    """For each connection, a function that makes one request over it."""


def _httpx_alone(connections: int) -> list[Post]:
    """In its best shape, which is the library's too: a transport for each connection."""
    import httpx

    limits, context = httpx.Limits(max_connections=1), httpx.create_ssl_context()
    transports = [httpx.AsyncHTTPTransport(limits=limits, verify=context) for _ in range(connections)]
    return [_post_over(transport) for transport in transports]


def _httpx_aiohttp(connections: int) -> Any:
    import httpx
    from httpx_aiohttp import AiohttpTransport

    return AiohttpTransport(limits=httpx.Limits(max_connections=connections))


def _pyreqwest(connections: int) -> Any:
    from pyreqwest.compatibility.httpx import HttpxTransport

    return HttpxTransport()


def _of_httpx(option: Callable[[int], Any]) -> Transport:
    """A transport with a pool, which httpx's interface makes usable for both."""
    return Transport(option, lambda connections: [_post_over(option(connections))] * connections)


def _post_over(transport: Any) -> Post:
    import httpx

    headers = httpx.Headers(HEADERS)

    async def post(url: str) -> None:
        response = await transport.handle_async_request(httpx.Request("POST", url, headers=headers))
        await response.aread()

    return post


def _aiohttp_alone(connections: int) -> list[Post]:
    """One session for all. Called with the event loop running."""
    import aiohttp
    import httpx

    connector = aiohttp.TCPConnector(limit=connections, ssl=httpx.create_ssl_context())
    session = aiohttp.ClientSession(connector=connector, headers=HEADERS)

    async def post(url: str) -> None:
        async with session.post(url) as response:
            await response.read()

    return [post] * connections


TRANSPORTS = {
    "httpx": Transport(lambda connections: None, _httpx_alone),
    "httpx-aiohttp": _of_httpx(_httpx_aiohttp),
    "fast": Transport(lambda connections: "fast", _aiohttp_alone),
}
if find_spec("pyreqwest"):  # not on Python 3.10
    TRANSPORTS["pyreqwest"] = _of_httpx(_pyreqwest)
