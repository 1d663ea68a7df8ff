"""One request that sends a message, and its answer, observed around a client's ``send``.

This runs inside the caller's call, so an unrelated exception may be raised at any point of this module: by a signal
handler (KeyboardInterrupt, Celery's SoftTimeLimitExceeded), by another thread, by a stack overflow. Such an exception
reaches the caller, and the message in flight still ends: see :func:`wrap_send`. Errors of this module itself are
logged: see ``_contained``.
"""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import httpx

from ._clients import classes
from ._core.indicator import MessageInFlight
from ._engine.interface import Engine
from ._json import parsed
from ._linq import CHAT_IN_BODY, CHAT_IN_PATH, MESSAGE_IN_BODY
from ._session import sender_in_context
from ._settings import parse_chat_id
from ._streams import MAX_BODY, AsyncBody, Body, SyncBody, observed

logger = logging.getLogger("linq_typing")

P = ParamSpec("P")
T = TypeVar("T")


class Listener(Protocol):
    """A manager, as something to tell about messages. Called in the sender's thread and context."""

    def _now(self) -> float:
        """The time, on the clock of its engine."""
        ...

    @property
    def _observes(self) -> bool:
        """Whether webhooks are observed, which needs the ids of messages."""
        ...

    def _engine_to_tell(self) -> Engine | None:
        """The engine to tell about a message. None: it would do nothing."""
        ...


Refs = tuple["weakref.ref[Listener]", ...]


#: What a bug in this module raises. Not Exception: what a signal handler raises, and RecursionError, must reach the
#: caller. Nor RuntimeError and OSError (which includes TimeoutError): signal handlers often raise them.
_OUR_ERRORS: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError,
)  # fmt: skip


def _contained(function: Callable[P, T]) -> Callable[P, T | None]:
    """Logs the function's own errors and returns None. Any other exception reaches the caller."""

    @functools.wraps(function)
    def contained(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except _OUR_ERRORS:
            logger.exception("linq-typing: could not watch a message")
            return None

    return contained


class _Report:
    """Tells one listener's engine about one message."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._began_at = listener._now()
        self._answered_at = self._began_at
        self._in_flight: tuple[Engine, str, MessageInFlight] | None = None

    @_contained
    def began(self, chat_id: str) -> None:
        if (found := self._message(chat_id)) is not None:
            engine, message = found
            self._in_flight = engine, chat_id, message  # first, so that ended() will end it even if this fails
            engine.send_began(chat_id, message)

    @_contained
    def ended(self, accepted: bool) -> None:
        """The request was answered, or never will be. May be called again if an exception interrupted it."""
        if self._in_flight is not None:
            engine, chat_id, message = self._in_flight
            engine.send_ended(chat_id, message, engine.now(), accepted)

    @property
    def wants_id(self) -> bool:
        return self._in_flight is not None and self._listener._observes

    @_contained
    def has_id(self, message_id: str) -> None:
        if self._in_flight is not None:
            self._in_flight[2].id = message_id

    @_contained
    def answered(self) -> None:
        self._answered_at = self._listener._now()

    @_contained
    def was_sent(self, chat_id: str, message_id: str) -> None:
        """The message was accepted, and only the answer names its chat."""
        if (found := self._message(chat_id)) is not None:
            engine, message = found
            message.id = message_id
            engine.send_ended(chat_id, message, self._answered_at, accepted=True)

    def _message(self, chat_id: str) -> tuple[Engine, MessageInFlight] | None:
        engine = self._listener._engine_to_tell()
        if engine is None:
            return None
        return engine, MessageInFlight(self._began_at, sender_in_context(chat_id, engine))


class _Exchange:
    """A request that sends a message, and its answer."""

    def __init__(self, listeners: list[Listener], chat_id: str | None) -> None:
        self._chat_id = chat_id  # None: only the answer names it
        self._reports = [_Report(listener) for listener in listeners]

    def begin(self) -> None:
        """The request is about to go out."""
        if self._chat_id is not None:
            for report in self._reports:
                report.began(self._chat_id)

    def end(self, answer: object) -> None:
        """The request was answered, or was not (None). May be called again if an exception interrupted it."""
        accepted = bool(_is_accepted(answer))
        for report in self._reports:
            report.ended(accepted)

    @_contained
    def look_into(self, answer: Any, body: type[Body]) -> None:
        """Read the chat from the answer if the path does not name it: now, or when the caller closes a streamed answer.
        If the path names it, read the message's id for listeners that observe webhooks, unless it is streamed."""
        if not isinstance(answer, classes("Response")) or not answer.is_success:
            return
        if self._chat_id is not None:
            if answer.is_stream_consumed and any(report.wants_id for report in self._reports):
                self._has_id(_message_in(_body_of(answer)))
            return
        for report in self._reports:
            report.answered()
        if answer.is_stream_consumed:
            self.tell(answer)
        else:
            answer.stream = observed(answer, body, self._streamed(answer.headers))

    def _streamed(self, headers: httpx.Headers) -> Callable[[list[bytes]], object]:
        @_contained
        def tell(chunks: list[bytes]) -> None:
            self.tell(httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"".join(chunks))))

        return tell

    def _has_id(self, message_id: str) -> None:
        for report in self._reports:
            report.has_id(message_id)

    def tell(self, answer: httpx.Response) -> None:
        """Tell the listeners about the message, if the answer names its chat."""
        body = _body_of(answer)
        chat_id = _chat_in(body)
        for report in self._reports if chat_id else ():
            report.was_sent(chat_id, _message_in(body))


@_contained
def _is_accepted(answer: Any) -> bool:
    return isinstance(answer, classes("Response")) and answer.is_success


def _body_of(answer: httpx.Response) -> Any:
    """The JSON of an answer; None if it is not JSON, since it may come from another service."""
    try:
        return parsed(answer.read(), MAX_BODY)
    except (ValueError, *classes("HTTPError", "StreamError")):
        return None


def _chat_in(body: Any) -> str:
    """The chat that the answer names; empty if it names none."""
    try:
        return parse_chat_id(body["chat"]["id"] if "chat" in body else body["chat_id"])
    except (ValueError, TypeError, LookupError):
        logger.debug("no chat in the answer to what may have been a message")
        return ""


def _message_in(body: Any) -> str:
    """Linq's id of the message that the answer is about; empty if it names none."""
    for path in MESSAGE_IN_BODY:
        found = body
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found
    return ""


# -- Around ``send``


def wrap_send(original: Any, is_async: bool, audience: Callable[..., Refs]) -> Any:
    """A ``send`` that watches the original, which is called with exactly the same arguments.

    The message begins inside both ``try`` blocks. An exception anywhere in the inner one, even in its ``finally``, ends
    the message in the outer one. Ending it is idempotent.
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
                    exchange.look_into(answer, AsyncBody)
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
                exchange.look_into(answer, SyncBody)
                return answer
            finally:
                exchange.end(answer)
        except BaseException:
            exchange.end(answer)
            raise

    return send


@_contained
def _exchange_of(audience: Callable[..., Refs], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Exchange | None:
    """The exchange to watch in a call of ``send``; None if it sends no message, or if there is no listener."""
    requests: list[Any] = [arg for arg in (*args, kwargs.get("request")) if isinstance(arg, classes("Request"))]
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
