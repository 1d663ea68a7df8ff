"""The transports that are compared: each a function of the number of connections."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

Maker = Callable[[int], Any]


def built_in(connections: int) -> None:
    """What linq-typing uses by itself: httpx's transports, each with one connection."""


def aiohttp(connections: int) -> Any:
    import httpx
    from httpx_aiohttp import AiohttpTransport

    return AiohttpTransport(limits=httpx.Limits(max_connections=connections))


def pyreqwest(connections: int) -> Any:
    from pyreqwest.compatibility.httpx import HttpxTransport

    return HttpxTransport()


TRANSPORTS: dict[str, Maker] = {"httpx": built_in, "httpx-aiohttp": aiohttp}
if find_spec("pyreqwest"):  # not on Python 3.10
    TRANSPORTS["pyreqwest"] = pyreqwest


def bare_transports(name: str, connections: int) -> list[Any]:
    """For each connection, the transport to use without linq-typing."""
    import httpx

    made = TRANSPORTS[name](connections)
    if made is not None:
        return [made] * connections
    limits, context = httpx.Limits(max_connections=1), httpx.create_ssl_context()
    return [httpx.AsyncHTTPTransport(limits=limits, verify=context) for _ in range(connections)]
