"""The page: one static file, a stream of state changes, and its controls. Plain ASGI, as the API is.

Requests:
    GET /                    the page
    GET /sandbox/state       the whole state, once
    GET /sandbox/events      server-sent events: the whole state, then what changes; resumes after `Last-Event-ID`
    POST /sandbox/<action>   a control (see `_actions`)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from linq_typing.sandbox._actions import ACTIONS, Fields
from linq_typing.sandbox._feed import Feed
from linq_typing.sandbox._http import disconnected
from linq_typing.sandbox._simulation import Simulation

PAGE: Final = Path(__file__).parent / "static" / "index.html"

_POLL_INTERVAL = 0.04  # real seconds
_HEARTBEAT = 10.0  # real seconds
_ROOT = "/sandbox/"

_PAGE_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Page:
    """The page as an ASGI application.

    Parameters:
        simulation: what the controls act on.
        base_url: returns the API's base URL.
    """

    def __init__(self, simulation: Simulation, feed: Feed, base_url: Callable[[], str]) -> None:
        self._simulation = simulation
        self._feed = feed
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "GET" and scope["path"] == "/sandbox/events":
            await self._stream(request.headers.get("last-event-id"), receive, send)
        else:
            response = await self._answer(request, scope["path"])
            await response(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        action = path.removeprefix(_ROOT) if path.startswith(_ROOT) else ""
        if request.method == "POST" and action in ACTIONS:
            return await self._act(action, request)
        if request.method != "GET":
            return _refusal(404, f"no such action: {request.method} {path}")
        if path in ("/", "/index.html"):
            return Response(PAGE.read_bytes(), media_type="text/html", headers=_PAGE_HEADERS)
        if path == "/sandbox/state":
            cursor = self._feed.update()
            return JSONResponse({"cursor": cursor, **self._feed.since(None)})
        return _refusal(404, f"nothing here: {path}; the API is at {self._base_url()}")

    async def _act(self, action: str, request: Request) -> Response:
        # Another site's page cannot send this content type without a preflight request, which is never granted.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refusal(415, "actions need content-type: application/json")
        try:
            result = ACTIONS[action](self._simulation, Fields(await _json(request)))
        except LookupError as error:
            return _refusal(404, str(error.args[0]))
        except (ValueError, ImportError, ClientDisconnect) as error:
            return _refusal(400, str(error))
        return JSONResponse(result or {})

    async def _stream(self, cursor: str | None, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await self._follow(cursor, gone, send)
        finally:
            gone.cancel()

    async def _follow(self, cursor: str | None, gone: asyncio.Future[None], send: Send) -> None:
        loop = asyncio.get_running_loop()
        sent_at = -_HEARTBEAT
        while not gone.done():
            latest = self._feed.update()
            if latest != cursor or loop.time() - sent_at >= _HEARTBEAT:
                data = json.dumps(self._feed.since(cursor))
                event = f"id: {latest}\nretry: 500\ndata: {data}\n\n".encode()
                cursor, sent_at = latest, loop.time()
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.wait([gone], timeout=_POLL_INTERVAL)


async def _json(request: Request) -> object:
    try:
        return await request.json()
    except ValueError:
        raise ValueError("the body is not JSON") from None


def _refusal(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
