"""The model served over ASGI: who is let in, what goes wrong on purpose, how the answer goes out.

Requests are dispatched here and not by Starlette's router: a crowd of typing requests may share its cores
with the client. An effect happens in one go, without an `await` inside, so that effects are in one order:
that of the server's event loop.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from linq_typing.sandbox._endpoints import Call, Route, find_chat, find_route
from linq_typing.sandbox._errors import ApiError
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._mishap import CONNECTION, Mishap
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._requests import Exchange
from linq_typing.sandbox._wire import Wire, accepted, refused

DEFAULT_API_KEY = "sandbox-key"

BASE_PATH = "/api/partner"

_CHATS = "/v3/chats/"


class _ClientGoneError(Exception):
    """The client closed the connection in the middle of its request."""


def create_app(
    model: Model, *, faults: Faults | None = None, api_key: str = DEFAULT_API_KEY, page: ASGIApp | None = None
) -> Starlette:
    """An ASGI application that serves `model` under `/api/partner`.

    Parameters:
        faults: what goes wrong on purpose; default: nothing.
        api_key: the bearer token that is let in.
        page: what is served everywhere else; default: nothing.
    """
    routes = [Mount(BASE_PATH, app=PartnerApi(model, faults or Faults(), api_key))]
    if page is not None:
        routes.append(Mount("/", app=page))
    return Starlette(routes=routes)


class PartnerApi:
    """The Partner API as a plain ASGI application, without a base path."""

    def __init__(self, model: Model, faults: Faults, api_key: str) -> None:
        self._model = model
        self._log = model.log
        self._faults = faults
        self._authorization = f"Bearer {api_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))
        route, target = find_route(method, path)
        exchange = self._arrive(method, path, route, target)
        try:
            answer = await self._serve(exchange, route, target, scope, receive)
        except ApiError as error:
            answer = refused(error, exchange.trace_id)
        except _ClientGoneError:
            self._log.end(exchange, "abandoned")
            return
        if answer is not None:
            await self._answer(exchange, answer, send)

    def _arrive(self, method: str, path: str, route: Route | None, target: str) -> Exchange:
        chat = self._model.get(target) if path.startswith(_CHATS) else None
        endpoint = route.endpoint if route else "other"
        return self._log.arrive(method, path, endpoint, chat.id if chat else None)

    async def _serve(
        self, exchange: Exchange, route: Route | None, target: str, scope: Scope, receive: Receive
    ) -> Wire | None:
        """The answer; None when there is to be none."""
        headers = dict(scope["headers"])
        self._admit(exchange, target, headers)
        if route is None:
            raise ApiError(404, 1005, f"No such endpoint: {exchange.method} {exchange.path}")
        call = await self._read(exchange, route, target, headers, receive)
        perform = partial(self._perform, exchange, route, call)
        plan = self._faults.pick(exchange.endpoint, exchange.chat_id)
        if plan is None:
            return perform()
        mishap = Mishap(plan, perform, partial(self._log.end, exchange), exchange.trace_id)
        return await mishap.play(scope.get("state", {}).get(CONNECTION), receive)

    async def _read(
        self, exchange: Exchange, route: Route, target: str, headers: dict[bytes, bytes], receive: Receive
    ) -> Call:
        body = await _read_json(receive) if route.has_body else {}
        key = headers.get(b"idempotency-key", b"").decode("latin-1") or None
        call = Call(self._model, target, body, key, exchange.trace_id)
        if exchange.chat_id is None and (chat := find_chat(call)) is not None:
            self._log.join(exchange, chat.id)
        return call

    def _admit(self, exchange: Exchange, target: str, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"authorization") != self._authorization:
            raise ApiError(401)
        if exchange.chat_id is None and exchange.path.startswith(_CHATS):
            self._model.chat(target)

    def _perform(self, exchange: Exchange, route: Route, call: Call) -> Wire:
        """The request takes effect now."""
        try:
            reply = route.handle(call)
        except ApiError as error:
            return refused(error, call.trace_id)
        if reply.effect is not None:
            self._log.affect(exchange, reply.effect)
        return accepted(reply)

    async def _answer(self, exchange: Exchange, answer: Wire, send: Send) -> None:
        # Before the first byte: the client may act on it before this task runs again.
        self._log.end(exchange, "answered", answer.status, answer.code)
        headers = [(b"x-trace-id", exchange.trace_id.encode()), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


async def _read_json(receive: Receive) -> dict[str, Any]:
    raw, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        raw += message.get("body", b"")
        more = message.get("more_body", False)
    return _parse(raw)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, 1003)
    return body
