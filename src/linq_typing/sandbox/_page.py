"""The page: one static file, a stream of what changes, and its controls. Plain ASGI, as the API is.

Requests:
    GET /                    the page
    GET /sandbox/state       all there is, once
    GET /sandbox/events      the same as server-sent events: all there is, then what changes; resumes after
                             `Last-Event-ID`
    POST /sandbox/<action>   a control (see `_actions`)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from linq_typing.sandbox._actions import ACTIONS, Asked
from linq_typing.sandbox._feed import Feed
from linq_typing.sandbox._http import disconnected
from linq_typing.sandbox._simulation import Simulation

PAGE: Final = Path(__file__).parent / "static" / "index.html"

_LOOK_EVERY = 0.04  # real seconds
_HEARTBEAT = 10.0  # real seconds
_ROOT = "/sandbox/"

_PAGE_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


class Page:
    """The page as a plain ASGI application.

    Parameters:
        simulation: what the controls act on.
        base_url: gives the API's address.
    """

    def __init__(self, simulation: Simulation, feed: Feed, base_url: Callable[[], str]) -> None:
        self._simulation = simulation
        self._feed = feed
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        if method == "GET" and path == "/sandbox/events":
            await self._stream(headers, receive, send)
            return
        await (await self._answer(method, path, headers, scope, receive))(scope, receive, send)

    async def _answer(
        self, method: str, path: str, headers: dict[bytes, bytes], scope: Scope, receive: Receive
    ) -> Response:
        action = path.removeprefix(_ROOT) if path.startswith(_ROOT) else ""
        if method == "POST" and action in ACTIONS:
            return await self._act(action, headers, scope, receive)
        if method != "GET":
            return _refusal(404, f"no such action: {method} {path}")
        if path in ("/", "/index.html"):
            return Response(PAGE.read_bytes(), media_type="text/html", headers=_PAGE_HEADERS)
        if path == "/sandbox/state":
            cursor = self._feed.look()
            return JSONResponse({"cursor": cursor, **self._feed.since(None)})
        return _refusal(404, f"nothing here: {path}; the API is at {self._base_url()}")

    async def _act(self, action: str, headers: dict[bytes, bytes], scope: Scope, receive: Receive) -> Response:
        # A page of another site cannot send this content type without asking first, which is never granted.
        if headers.get(b"content-type", b"").partition(b";")[0].strip() != b"application/json":
            return _refusal(415, "actions need content-type: application/json")
        try:
            result = ACTIONS[action](self._simulation, Asked(await _json(Request(scope, receive))))
        except LookupError as error:
            return _refusal(404, str(error.args[0]))
        except (ValueError, ImportError, ClientDisconnect) as error:
            return _refusal(400, str(error))
        return JSONResponse(result)

    async def _stream(self, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        cursor: str | None = headers.get(b"last-event-id", b"").decode("latin-1") or None
        await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await self._follow(cursor, gone, send)
        finally:
            gone.cancel()

    async def _follow(self, cursor: str | None, gone: asyncio.Future[None], send: Send) -> None:
        loop = asyncio.get_running_loop()
        sent_at = -_HEARTBEAT
        while not gone.done():
            latest = self._feed.look()
            if latest != cursor or loop.time() - sent_at >= _HEARTBEAT:
                event = _event(latest, self._feed.since(cursor))
                cursor, sent_at = latest, loop.time()
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.wait([gone], timeout=_LOOK_EVERY)


_EVENT_STREAM: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def _event(cursor: str, data: dict[str, Any]) -> bytes:
    return f"id: {cursor}\nretry: 500\ndata: {json.dumps(data)}\n\n".encode()


def _refusal(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


async def _json(request: Request) -> object:
    try:
        return await request.json()
    except ValueError:
        raise ValueError("the body is not JSON") from None
