"""The Partner API over ASGI: authentication, routing, faults, responses.

Requests are routed here rather than by Starlette, for speed: under load, the server may share its cores with the
client. An effect is applied without an `await`, so that all effects are in the order of the server's event loop.
"""

from __future__ import annotations

from functools import partial

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from linq_typing.sandbox._endpoints import Call, Route, find_chat, find_route
from linq_typing.sandbox._fault_player import CONNECTION, FaultPlayer
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._http import ApiError, Response, response
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._request_log import Exchange

DEFAULT_API_KEY = "sandbox-key"

BASE_PATH = "/api/partner"

_CHATS = "/v3/chats/"


def create_app(
    model: Model, *, faults: Faults | None = None, api_key: str = DEFAULT_API_KEY, page: ASGIApp | None = None
) -> Starlette:
    """An ASGI application that serves `model` under `/api/partner`.

    Parameters:
        faults: what fails on purpose; default: nothing.
        api_key: the bearer token to accept.
        page: what to serve under all other paths; default: nothing.
    """
    routes = [Mount(BASE_PATH, app=PartnerApi(model, faults or Faults(), api_key))]
    if page is not None:
        routes.append(Mount("/", app=page))
    return Starlette(routes=routes)


class PartnerApi:
    """The Partner API as a plain ASGI application, without the base path."""

    def __init__(self, model: Model, faults: Faults, api_key: str) -> None:
        self._model = model
        self._log = model.log
        self._faults = faults
        self._authorization = f"Bearer {api_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))
        route, target = find_route(method, path)
        chat = self._model.get(target) if path.startswith(_CHATS) else None
        endpoint = route.endpoint if route else "other"
        exchange = self._log.arrive(method, path, endpoint, chat.id if chat else None)
        try:
            answer = await self._answer(exchange, route, target, scope, receive)
        except ApiError as error:
            answer = error.response(exchange.trace_id)
        except ClientDisconnect:
            self._log.end(exchange, "abandoned")
            return
        if answer is not None:
            await self._send(exchange, answer, send)

    async def _answer(
        self, exchange: Exchange, route: Route | None, target: str, scope: Scope, receive: Receive
    ) -> Response | None:
        headers = dict(scope["headers"])
        if headers.get(b"authorization") != self._authorization:
            raise ApiError(401)
        request = exchange.request
        if request.chat_id is None and request.path.startswith(_CHATS):
            self._model.chat(target)
        if route is None:
            raise ApiError(404, 1005, f"No such endpoint: {request.method} {request.path}")
        body = await _json(Request(scope, receive)) if route.has_body else {}
        key = headers.get(b"idempotency-key", b"").decode("latin-1") or None
        call = Call(self._model, target, body, key, exchange.trace_id, self._faults)
        if exchange.chat_id is None and (chat := find_chat(call)) is not None:
            self._log.join(exchange, chat.id)
        perform = partial(self._perform, exchange, route, call)
        plan = self._faults.pick(route.endpoint, exchange.chat_id)
        if plan is None:
            return perform()
        player = FaultPlayer(plan, perform, partial(self._log.end, exchange), exchange.trace_id)
        return await player.play(scope.get("state", {}).get(CONNECTION), receive)

    def _perform(self, exchange: Exchange, route: Route, call: Call) -> Response:
        """Apply the request's effect."""
        try:
            reply = route.handle(call)
        except ApiError as error:
            return error.response(call.trace_id)
        if reply.effect is not None:
            self._log.affect(exchange, reply.effect)
        return response(reply.status, reply.body)

    async def _send(self, exchange: Exchange, answer: Response, send: Send) -> None:
        # Logged before the first byte: the client may react to it before this task runs again.
        self._log.end(exchange, "answered", answer.status, answer.code)
        headers = [(b"x-trace-id", exchange.trace_id.encode()), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


async def _json(request: Request) -> dict[str, object]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, 1003)
    return body
