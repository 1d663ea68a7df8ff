"""Notices messages that go out through httpx clients, the official SDK's included.

A request is watched around ``client.send``: every request of a client passes there, and only there can those
be seen too that time out, are refused or cancelled (httpx's response hooks don't run for them). Retries of the
SDK are requests of their own.

The watching runs inside the caller's call, so an exception that has nothing to do with it may be raised at any point
of this module: by a signal handler (KeyboardInterrupt, Celery's SoftTimeLimitExceeded), by another thread, by a full
stack. Such an exception reaches the caller, and the message in flight ends all the same: see ``wrap_send``. Errors of
the watching itself are logged, see ``_contained``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
import types
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from time import monotonic
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

import httpx

from ._core.indicator import MessageInFlight
from ._engine.interface import Engine
from ._engine.process import process_lock
from ._linq import CHAT_IN_BODY, CHAT_IN_PATH
from ._settings import Credentials, parse_chat_id

logger = logging.getLogger("linq_typing")

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")
HTTPXClient = httpx.Client | httpx.AsyncClient

_MAX_BODY: Final = 65_536  #: bytes of an answer that are looked at; Linq's have some hundred

# What a client says of itself, or of its bodies, does not hold for our requests.
_NOT_LENT: Final = frozenset(
    ["accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "user-agent"]
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Listener(Protocol):
    """Who wants to know of messages: a manager. Called in the sender's thread and context."""

    def _message_in_flight(self, chat_id: str, began_at: float) -> WatchedMessage | None:
        """A message that the engine has not been told of yet. None: nobody would want to know."""
        ...


class WatchedMessage:
    """Tells an engine of a message. An exception may interrupt either method; ``ended`` is then called again."""

    def __init__(self, engine: Engine, chat_id: str, message: MessageInFlight) -> None:
        self._engine = engine
        self._chat_id = chat_id
        self._message = message

    def began(self) -> None:
        self._engine.send_began(self._chat_id, self._message)

    def ended(self, at: float, accepted: bool) -> None:
        """It was answered. One that is known only by its answer has not begun before."""
        self._engine.send_ended(self._chat_id, self._message, at, accepted)


Refs = tuple["weakref.ref[Listener]", ...]

_listeners: Refs = ()
_watching: dict[int, tuple[weakref.ref[HTTPXClient], Refs]] = {}  # by id(): a client may define __eq__ and no __hash__
_watched_classes: dict[type, type] = {}  # class -> its subclass, whose send is watched
_patched: dict[type[HTTPXClient], tuple[Any, Any]] = {}  # class -> its own send, and ours


def add_listener(listener: Listener) -> None:
    """Tell it of the messages that ``watch_all`` notices."""
    global _listeners
    with process_lock():
        _listeners = (*_alive(_listeners), weakref.ref(listener))


def watch(client: C, listener: Listener) -> C:
    """Tell ``listener`` of the messages that go out through ``client``. TypeError for another type of client."""
    http_client = _http_client_of(client)
    key = id(http_client)
    with process_lock():
        if key not in _watching:
            _patch_instance(http_client)
            forget = functools.partial(_watching.pop, key)  # runs no Python code, so no signal handler either
            _watching[key] = (weakref.ref(http_client, forget), ())
        ref, watchers = _watching[key]
        if not any(watcher() is listener for watcher in watchers):
            _watching[key] = (ref, (*_alive(watchers), weakref.ref(listener)))
    return client


def transfer(old: Listener, new: Listener) -> None:
    """Let ``new`` watch what ``old`` watches."""
    with process_lock():
        for ref, watchers in list(_watching.values()):
            client = ref()
            if client is not None and any(watcher() is old for watcher in watchers):
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


def credentials_of(client: object) -> Credentials:
    """The key, base URL and default headers that a client was made with; those that can't be used are left out.

    TypeError for another type of client.
    """
    if _http_client_of(client) is client:
        given = _attribute(client, "headers")
        raw = given.raw if isinstance(given, httpx.Headers) else []  # httpx can't decode odd bytes
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
        key: object = _bearer(headers.get("authorization", ""))
    else:
        given = _attribute(client, "default_headers")
        headers = dict(given) if isinstance(given, Mapping) else {}
        key = _attribute(client, "api_key")
    base_url = _attribute(client, "base_url")
    return Credentials(
        key if isinstance(key, str) else None,
        str(base_url) or None if isinstance(base_url, (str, httpx.URL)) else None,
        {name: value for name, value in headers.items() if _is_lent(name, value)},
    )


def _attribute(client: object, name: str) -> object:
    try:
        return getattr(client, name, None)
    except Exception:  # a property of somebody else's
        logger.debug("could not read %s of a %s", name, type(client).__name__, exc_info=True)
        return None


def _is_lent(name: object, value: object) -> bool:
    """Whether our requests are to carry the header too."""
    if not (isinstance(name, str) and isinstance(value, str) and _HEADER_NAME.fullmatch(name)):
        return False
    if name.lower() in _NOT_LENT or name.lower().startswith("x-stainless-"):
        return False
    return value.isascii() and value.isprintable() and value == value.strip()


def _http_client_of(client: object) -> HTTPXClient:
    for candidate in (client, getattr(client, "_client", None)):  # the official SDK keeps its own there
        if isinstance(candidate, (httpx.Client, httpx.AsyncClient)):
            return candidate
    raise TypeError(
        "client must be an httpx.Client, an httpx.AsyncClient or a client of the official SDK (linq-python), "
        f"got {type(client).__name__}"
    )


def _bearer(authorization: str) -> str | None:
    kind, _, key = authorization.partition(" ")
    return key if kind.lower() == "bearer" and key else None


def _alive(refs: Refs) -> Refs:
    return tuple(ref for ref in refs if ref() is not None)


# -- One request


#: What a mistake in the watching raises. Not Exception: what a signal handler raises, and RecursionError, are the
#: caller's. Nor RuntimeError and OSError (TimeoutError is one), which signal handlers often raise.
_OUR_ERRORS: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError,
)  # fmt: skip


def _contained(function: Callable[P, T]) -> Callable[P, T | None]:
    """Logs the function's own errors, and returns None then. Whatever else is raised reaches the caller."""

    @functools.wraps(function)
    def contained(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except _OUR_ERRORS:
            logger.exception("linq-typing: could not watch a message")
            return None

    return contained


class _Exchange:
    """The request of a message, and its answer."""

    def __init__(self, listeners: list[Listener], chat_id: str | None) -> None:
        self._listeners = listeners
        self._chat_id = chat_id  # None: only the answer tells
        self._began_at = monotonic()
        self._messages: list[WatchedMessage] = []  # one for each listener

    def begin(self) -> None:
        """The request is about to go out."""
        if self._chat_id is not None:
            for listener in self._listeners:
                self._begin_for(listener, self._chat_id)

    @_contained
    def _begin_for(self, listener: Listener, chat_id: str) -> None:
        message = listener._message_in_flight(chat_id, self._began_at)
        if message is not None:
            self._messages.append(message)  # first, so that nothing can keep it from ending
            message.began()

    def end(self, answer: object) -> None:
        """The request was answered, or (None) was not. May be called again, should an exception have interrupted it."""
        accepted = bool(_is_accepted(answer))
        for message in self._messages:
            _end_one(message, accepted)

    @_contained
    def look_into(self, answer: object, body: type[_Body]) -> None:
        """Find the chat, if only the answer names it: now, or when a caller who streams the answer closes it."""
        if self._chat_id is not None or not isinstance(answer, httpx.Response) or not answer.is_success:
            return
        if answer.is_stream_consumed:
            self.tell(answer, monotonic())
        else:
            answer.stream = cast(Any, body(answer.stream, self, answer.headers))

    def tell(self, answer: httpx.Response, at: float) -> None:
        """Tell the listeners of the message, if the answer that came at that time names its chat."""
        chat_id = _chat_in(answer)
        for listener in self._listeners if chat_id else ():
            self._tell_one(listener, chat_id, at)

    @_contained
    def _tell_one(self, listener: Listener, chat_id: str, at: float) -> None:
        message = listener._message_in_flight(chat_id, self._began_at)
        if message is not None:
            message.ended(at, accepted=True)


@_contained
def _is_accepted(answer: object) -> bool:
    return isinstance(answer, httpx.Response) and answer.is_success


@_contained
def _end_one(message: WatchedMessage, accepted: bool) -> None:
    message.ended(monotonic(), accepted)


def _chat_in(answer: httpx.Response) -> str:
    """The chat that the answer names; empty if it names none, as another service's answer would not."""
    try:
        content = answer.read()
        body = _parsed(content) if len(content) <= _MAX_BODY else {}
        return parse_chat_id(body["chat"]["id"] if "chat" in body else body["chat_id"])
    except (ValueError, TypeError, LookupError, httpx.HTTPError, httpx.StreamError):
        logger.debug("no chat in the answer to what may have been a message")
        return ""


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        if content.count(b"[") + content.count(b"{") < 100:
            raise  # the body's nesting is not the cause
        return {}


# -- An answer that the caller streams


class _Body:
    """An answer's body, observed as the caller reads it. Closing it tells the listeners of its chat."""

    def __init__(self, stream: Any, exchange: _Exchange, headers: httpx.Headers) -> None:
        self._stream = stream
        self._exchange = exchange
        self._headers = headers
        self._answered_at = monotonic()
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_read = False

    def _saw(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= _MAX_BODY:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    @_contained
    def _done(self) -> None:
        chunks, self._chunks = self._chunks, []  # only once
        if chunks:
            stream = httpx.ByteStream(b"".join(chunks))
            self._exchange.tell(httpx.Response(200, headers=self._headers, stream=stream), self._answered_at)

    def _is_short_and_unread(self) -> bool:
        """Whether the caller closes a short answer, as Linq's are, without having read any of it. Then it is read."""
        length = self._headers.get("Content-Length", "")
        is_json = "json" in self._headers.get("Content-Type", "json")
        return is_json and not self._is_read and length.isdecimal() and len(length) <= 5 and int(length) <= _MAX_BODY


class _SyncBody(_Body, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        self._is_read = True
        for chunk in self._stream:
            self._saw(chunk)
            yield chunk

    def close(self) -> None:
        try:
            if self._is_short_and_unread():
                for _ in self:
                    pass
        except httpx.HTTPError:
            pass
        finally:
            self._stream.close()
        self._done()


class _AsyncBody(_Body, httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._is_read = True
        async for chunk in self._stream:
            self._saw(chunk)
            yield chunk

    async def aclose(self) -> None:
        try:
            if self._is_short_and_unread():
                async for _ in self:
                    pass
        except httpx.HTTPError:
            pass
        finally:
            await self._stream.aclose()
        self._done()


# -- Around ``send``


def wrap_send(original: Any, is_async: bool, audience: Callable[..., Refs]) -> Any:
    """A ``send`` that watches the original, which is called with the very same arguments.

    The message begins inside of both ``try`` blocks. An exception anywhere in the inner one, its ``finally`` included,
    ends the message in the outer one; ending it twice is ending it once.
    """
    if is_async:

        @functools.wraps(original)
        async def send_async(*args: Any, **kwargs: Any) -> Any:
            exchange = _exchange_of(audience, args, kwargs)
            if exchange is None:
                return await original(*args, **kwargs)
            answer = None
            try:
                try:
                    exchange.begin()
                    answer = await original(*args, **kwargs)
                    exchange.look_into(answer, _AsyncBody)
                    return answer
                finally:
                    exchange.end(answer)
            except BaseException:
                exchange.end(answer)
                raise

        return send_async

    @functools.wraps(original)
    def send(*args: Any, **kwargs: Any) -> Any:
        exchange = _exchange_of(audience, args, kwargs)
        if exchange is None:
            return original(*args, **kwargs)
        answer = None
        try:
            try:
                exchange.begin()
                answer = original(*args, **kwargs)
                exchange.look_into(answer, _SyncBody)
                return answer
            finally:
                exchange.end(answer)
        except BaseException:
            exchange.end(answer)
            raise

    return send


@_contained
def _exchange_of(audience: Callable[..., Refs], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Exchange | None:
    """What to watch of a call of ``send``; None if it sends no message, or if nobody would want to know."""
    requests = [arg for arg in (*args, kwargs.get("request")) if isinstance(arg, httpx.Request)]
    if not requests or requests[0].method != "POST":
        return None
    path = requests[0].url.raw_path.partition(b"?")[0]  # url.path is decoded
    chat_id = None
    if match := CHAT_IN_PATH.fullmatch(path):
        try:
            chat_id = parse_chat_id(match[1].decode("ascii"))
        except ValueError:
            return None  # the API will refuse it
    elif not CHAT_IN_BODY.fullmatch(path):
        return None
    listeners = [listener for ref in audience(*args) if (listener := ref()) is not None]
    return _Exchange(listeners, chat_id) if listeners else None


def _patch_instance(client: HTTPXClient) -> None:
    """Watch the ``send`` of one client.

    It becomes a method of a subclass: a function on the instance would either keep the client from being freed or
    fail without it, while a bound ``client.send`` has to keep its client alive as ever.
    """
    kind: Any = type(client)
    if kind in _watched_classes.values():  # a copy of a watched client
        return
    if not issubclass(kind, (httpx.Client, httpx.AsyncClient)):  # a mock of a client, whose send is its test's affair
        return
    if "send" not in vars(client):
        with contextlib.suppress(TypeError, ValueError, AttributeError):  # its class may admit no subclass
            client.__class__ = _watched_class(kind)
            return
    # That, or a stub on the instance: here what ``client.send`` is now stays what is called.
    ref = weakref.ref(client)
    vars(client)["send"] = wrap_send(client.send, isinstance(client, httpx.AsyncClient), lambda *_: _watchers(ref()))


def _watched_class(kind: Any) -> Any:
    if kind not in _watched_classes:

        @functools.wraps(kind.send)
        def original(self: Any, *args: Any, **kwargs: Any) -> Any:
            return super(watched, self).send(*args, **kwargs)

        names = {
            "send": wrap_send(original, issubclass(kind, httpx.AsyncClient), lambda client, *_: _watchers(client)),
            "__class__": property(lambda self: kind),  # the == of dataclasses looks at it
            **{name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")},
        }
        watched: Any = types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(names))
        _watched_classes[kind] = watched
    return _watched_classes[kind]


def _watchers(client: object) -> Refs:
    watching = _watching.get(id(client))
    return watching[1] if watching else ()


def _patch_class(kind: type[HTTPXClient]) -> None:
    original = kind.send

    def audience(client: HTTPXClient, *args: Any) -> Refs:
        if _patched.get(kind, (None, None))[1] is not ours:
            return ()
        told_already = _watchers(client)
        return tuple(ref for ref in _listeners if ref not in told_already)

    ours = wrap_send(original, issubclass(kind, httpx.AsyncClient), audience)
    _patched[kind] = (original, ours)
    kind.send = ours  # type: ignore[method-assign]
