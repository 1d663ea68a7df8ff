"""Notices messages that go out through httpx clients, the official SDK's included.

A request is watched around ``client.send``: every request of a client passes there, and only there can those
be seen too that time out, are refused or cancelled (httpx's response hooks don't run for them). Retries of the
SDK are requests of their own.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, Protocol, TypeVar, cast

import httpx

from ._process import process_lock
from ._settings import Credentials, parse_chat_id

logger = logging.getLogger("linq_typing")

C = TypeVar("C")
HTTPXClient = httpx.Client | httpx.AsyncClient

_CHAT_IN_PATH: Final = re.compile(rb"(?s).*/v3/chats/([^/]+)/(?:messages|voicememo|polls)/?")
_CHAT_IN_BODY: Final = re.compile(rb"(?s).*/v3/(?:chats|messages|messages/[^/]+/update)/?")

# What a client says of itself, or of its bodies, does not hold for our requests.
_NOT_LENT: Final = frozenset(
    ["accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "user-agent"]
)


class Listener(Protocol):
    """Who wants to know of messages: a manager. Called in the sender's thread and context."""

    def _message_began(self, chat_id: str) -> Callable[[bool], object]:
        """A message is on its way. What is returned is called with whether it was accepted."""
        ...

    def _message_sent(self, chat_id: str, began_at: float) -> None:
        """A message was accepted whose chat only the answer tells."""
        ...


_listeners: tuple[weakref.ref[Listener], ...] = ()
_watching: weakref.WeakKeyDictionary[HTTPXClient, tuple[weakref.ref[Listener], ...]] = weakref.WeakKeyDictionary()
_patched: dict[type[HTTPXClient], tuple[Any, Any]] = {}  # class -> its own send, and ours


def add_listener(listener: Listener) -> None:
    """Tell it of the messages that ``watch_all`` notices."""
    global _listeners
    with process_lock():
        _listeners = (*_alive(_listeners), weakref.ref(listener))


def watch(client: C, listener: Listener) -> C:
    """Tell ``listener`` of the messages that go out through ``client``. TypeError for another type of client."""
    http_client = _http_client_of(client)
    with process_lock():
        watchers = _alive(_watching.get(http_client, ()))
        if not any(ref() is listener for ref in watchers):
            watchers = (*watchers, weakref.ref(listener))
        if http_client not in _watching:
            _patch_instance(http_client)
        _watching[http_client] = watchers
    return client


def hand_over(old: Listener, new: Listener) -> None:
    """Let ``new`` watch what ``old`` watches."""
    with process_lock():
        watched = [client for client, refs in _watching.items() if any(ref() is old for ref in refs)]
    for client in watched:
        watch(client, new)


def watch_all() -> None:
    """Notice messages through every httpx client of the process, present and future.

    For bots that make clients per call: the official SDK's clients count, and one-off ``httpx.post(...)`` too.
    Every manager of the process is told. Idempotent; may be called from any thread. Undone by
    :func:`unwatch_all`.
    """
    with process_lock():
        for kind in (httpx.Client, httpx.AsyncClient):
            if kind not in _patched:
                _patch_class(kind)


def unwatch_all() -> None:
    """Undo :func:`watch_all`. Clients given to ``watch`` stay watched. May be called from any thread."""
    with process_lock():
        for kind, (original, ours) in list(_patched.items()):
            del _patched[kind]  # which leaves ours without effect, should somebody have wrapped it
            if kind.send is ours:
                kind.send = original  # type: ignore[method-assign]


def lent_by(client: object) -> Credentials:
    """The key, base URL and default headers that a client was made with. TypeError for another type."""
    http_client = _http_client_of(client)
    owner: Any = client
    if owner is http_client:
        headers, key = dict(http_client.headers), _bearer(http_client.headers.get("Authorization"))
    else:
        headers, key = dict(getattr(owner, "default_headers", {})), getattr(owner, "api_key", None)
    lent = {
        name: value
        for name, value in headers.items()
        if isinstance(value, str) and name.lower() not in _NOT_LENT and not name.lower().startswith("x-stainless-")
    }
    return Credentials(key, str(owner.base_url) or None, lent)


def _http_client_of(client: object) -> HTTPXClient:
    for candidate in (client, getattr(client, "_client", None)):  # the official SDK keeps its own there
        if isinstance(candidate, (httpx.Client, httpx.AsyncClient)):
            return candidate
    raise TypeError(
        "client must be an httpx.Client, an httpx.AsyncClient or a client of the official SDK (linq-python), "
        f"got {type(client).__name__}"
    )


def _bearer(authorization: str | None) -> str | None:
    kind, _, key = (authorization or "").partition(" ")
    return key if kind.lower() == "bearer" and key else None


def _alive(refs: tuple[weakref.ref[Listener], ...]) -> tuple[weakref.ref[Listener], ...]:
    return tuple(ref for ref in refs if ref() is not None)


# -- Around ``send``. Only what the request itself raises reaches the caller.


@contextmanager
def _quietly() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("linq-typing: could not watch a message")


class _Exchange:
    """One request and its answer, which may be a message."""

    def __init__(self, request: httpx.Request | None, audience: tuple[weakref.ref[Listener], ...]) -> None:
        self._began_at = monotonic()
        self._listeners = [listener for ref in audience if (listener := ref()) is not None]
        self._ends: list[Callable[[bool], object]] = []
        self._chat_in_body = False
        with _quietly():
            if request is not None and request.method == "POST" and self._listeners:
                self._begin(request)

    def _begin(self, request: httpx.Request) -> None:
        path = request.url.raw_path.partition(b"?")[0]  # url.path is decoded
        if match := _CHAT_IN_PATH.fullmatch(path):
            try:
                chat_id = parse_chat_id(match[1].decode("ascii"))
            except ValueError:
                return  # the API will refuse it
            for listener in self._listeners:
                with _quietly():  # one that fails must not leave the windows of others open
                    self._ends.append(listener._message_began(chat_id))
        else:
            self._chat_in_body = _CHAT_IN_BODY.fullmatch(path) is not None

    def wants_body(self, response: httpx.Response) -> bool:
        """Whether the answer's body is needed and was not read yet: the caller streams it.

        Only what may be JSON: another service's path may look the same, and its event stream must keep streaming.
        """
        is_json = "json" in response.headers.get("Content-Type", "json")
        return self._chat_in_body and response.is_success and is_json and not response.is_stream_consumed

    def ended(self, response: httpx.Response | None) -> None:
        """The request was answered, or (None) was not."""
        accepted = response is not None and response.is_success
        for end in self._ends:
            with _quietly():
                end(accepted)
        if self._chat_in_body and accepted:
            with _quietly():
                chat_id = _chat_in(cast(httpx.Response, response))
                for listener in self._listeners if chat_id else ():
                    with _quietly():
                        listener._message_sent(chat_id, self._began_at)


def _chat_in(response: httpx.Response) -> str:
    """The chat that the answer names; empty if it names none, as another service's answer would not."""
    try:
        body = json.loads(_content(response))
        return parse_chat_id(body["chat"]["id"] if "chat" in body else body["chat_id"])
    except (ValueError, TypeError, LookupError, httpx.HTTPError, httpx.StreamError):
        logger.debug("no chat in the answer to %s", response.request.url.path)
        return ""


def _content(response: httpx.Response) -> bytes:
    """The body, whether it was read or only buffered for a caller that streams it."""
    if response.is_stream_consumed or not isinstance(response.stream, httpx.ByteStream):
        return response.content
    return httpx.Response(200, headers=response.headers, content=b"".join(response.stream)).content


def _watched(exchange: _Exchange, send: Callable[[], httpx.Response]) -> httpx.Response:
    response = None
    try:
        response = send()
        if exchange.wants_body(response):
            _buffer(response)
        return response
    except BaseException:
        response = None
        raise
    finally:
        exchange.ended(response)


async def _watched_async(exchange: _Exchange, send: Callable[[], Any]) -> httpx.Response:
    response = None
    try:
        response = await send()
        if exchange.wants_body(response):
            await _buffer_async(response)
        return cast(httpx.Response, response)
    except BaseException:
        response = None
        raise
    finally:
        exchange.ended(response)


def _buffer(response: httpx.Response) -> None:
    """Read the raw body and put it back, so that the caller can stream it in every way."""
    stream = cast(httpx.SyncByteStream, response.stream)
    try:
        raw = b"".join(stream)
    finally:
        stream.close()
    response.stream = httpx.ByteStream(raw)


async def _buffer_async(response: httpx.Response) -> None:
    stream = cast(httpx.AsyncByteStream, response.stream)
    try:
        raw = b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()
    response.stream = httpx.ByteStream(raw)


def _around(original: Any, is_async: bool, audience: Callable[..., tuple[weakref.ref[Listener], ...]]) -> Any:
    """A ``send`` that watches the original, which is called with the very same arguments."""

    def exchange_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Exchange:
        request = next((arg for arg in (*args, kwargs.get("request")) if isinstance(arg, httpx.Request)), None)
        return _Exchange(request, audience(*args))

    if is_async:

        @functools.wraps(original)
        async def send_async(*args: Any, **kwargs: Any) -> httpx.Response:
            return await _watched_async(exchange_of(args, kwargs), functools.partial(original, *args, **kwargs))

        return send_async

    @functools.wraps(original)
    def send(*args: Any, **kwargs: Any) -> httpx.Response:
        return _watched(exchange_of(args, kwargs), functools.partial(original, *args, **kwargs))

    return send


def _patch_instance(client: HTTPXClient) -> None:
    ref = weakref.ref(client)  # a cycle would put off the closing of clients that nobody holds any more
    theirs = vars(client).get("send")

    @functools.wraps(cast(Any, type(client)).send)
    def original(*args: Any, **kwargs: Any) -> Any:
        return theirs(*args, **kwargs) if theirs else type(client_of()).send(client_of(), *args, **kwargs)

    def client_of() -> Any:
        client = ref()
        if client is None:
            raise RuntimeError("the client of this send() is gone: keep it in a variable")
        return client

    client_send = _around(original, isinstance(client, httpx.AsyncClient), lambda *args: _watching.get(client_of(), ()))
    vars(client)["send"] = client_send


def _patch_class(kind: type[HTTPXClient]) -> None:
    original = kind.send

    def audience(client: HTTPXClient, *args: Any) -> tuple[weakref.ref[Listener], ...]:
        if _patched.get(kind, (None, None))[1] is not ours:
            return ()
        told_already = _watching.get(client, ())
        return tuple(ref for ref in _listeners if ref not in told_already)

    ours = _around(original, issubclass(kind, httpx.AsyncClient), audience)
    _patched[kind] = (original, ours)
    kind.send = ours  # type: ignore[method-assign]
