"""``typing_while``: the context manager and decorator, over anything that opens sessions."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, cast
from uuid import UUID

from ._process import is_fit, process_lock
from ._session import Stack, TypingSession, push, remove, stack
from ._settings import OPTION_NAMES, SessionOptions, parse_chat_id
from ._waiting import wait_for, wait_for_async

logger = logging.getLogger("linq_typing")

EXIT_WAIT: Final = 5.0  #: seconds that ``wait_on_exit`` waits at most

F = TypeVar("F", bound=Callable[..., Any])
ChatIdFrom = str | tuple[str, ...] | Callable[..., str | UUID]
#: Reads the chat id from a call's positional and keyword arguments.
Resolver = Callable[[tuple[Any, ...], dict[str, Any]], object]
#: Opens the session of a call with those arguments.
Beginner = Callable[[tuple[Any, ...], dict[str, Any]], TypingSession | None]


_DEFAULT_PATHS: Final = ("chat_id",)
_NOTHING: Final[dict[str, Any]] = {}  # shared: there are as many typing_while objects as chats


class SessionSource(Protocol):
    """What opens sessions: a manager, or whichever is the process's."""

    def _open(self, chat_id: str, given: Mapping[str, Any]) -> TypingSession:
        """A fresh session, not yet in the context; ``given`` are its options, where they differ."""
        ...


class TypingWhile:
    """What ``typing_while(...)`` gives: a context manager, sync and async, and a decorator."""

    __slots__ = ("_chat_id", "_chat_id_from", "_free", "_given", "_session", "_source")

    def __init__(
        self,
        source: SessionSource,
        chat_id: str | UUID | None,
        chat_id_from: ChatIdFrom,
        **given: Any,
    ) -> None:
        self._source = source
        self._chat_id = None if chat_id is None else parse_chat_id(chat_id)
        self._chat_id_from = _DEFAULT_PATHS if chat_id_from == "chat_id" else _checked(chat_id_from)
        self._given = _NOTHING
        if given:
            self._given = given
            SessionOptions(**given)  # bad input is told here, not when the block is entered
        self._session: TypingSession | None = None
        self._free = True

    def __repr__(self) -> str:
        return f"<typing_while chat_id={self._chat_id!r}{' entered' if self._session else ''}>"

    def __enter__(self) -> TypingSession:
        if self._chat_id is None:
            raise TypeError("typing_while needs a chat_id when it is used in a with statement")
        self._claim()
        try:
            session = self._session = self._source._open(self._chat_id, self._given)
        except BaseException:
            self._free = True
            raise
        push(session)
        return session

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (done := self._leave(failed=kind is not None)) is not None:
            wait_for(done, EXIT_WAIT)

    async def __aenter__(self) -> TypingSession:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (done := self._leave(failed=kind is not None)) is not None:
            await wait_for_async(done, EXIT_WAIT, shield=True)

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator or async generator function."""
        plain = _without_partial(function)
        if not (inspect.isfunction(plain) or inspect.ismethod(plain) or inspect.isbuiltin(plain)):
            raise TypeError(
                f"typing_while decorates functions, not {type(function).__name__}: put @typing_while underneath "
                "the other decorators, directly above def"
            )
        # Better now, at start-up, than when the first message waits for it. (But who decorates may hold other locks.)
        import_machinery(timeout=1.0)
        wrapper: Any = functools.wraps(function)(self._wrapper(function))
        wrapper.__name__ = getattr(plain, "__name__", wrapper.__name__)
        wrapper.__qualname__ = getattr(plain, "__qualname__", wrapper.__qualname__)
        return wrapper  # type: ignore[no-any-return]  # the same signature, which no checker can see

    def _claim(self) -> None:
        try:
            del self._free  # in one step: of several threads only one can
        except AttributeError:
            if self._session is not None and self._session._is_inherited:
                return  # it was entered before a fork, in the parent
            raise RuntimeError("this typing_while is entered already: make another one, it is cheap") from None

    def _leave(self, *, failed: bool) -> Future[bool] | None:
        """Returns what to wait for, if it is to wait."""
        session, self._session = self._session, None
        if session is None:
            raise RuntimeError("this typing_while was left without having been entered")
        self._free = True
        remove(session)
        return session._end(failed)

    def _wrapper(self, function: Callable[..., Any]) -> Any:
        begin = self._beginner(function)
        if inspect.iscoroutinefunction(function):
            return _around_coroutine(function, begin)
        if inspect.isasyncgenfunction(function):
            return _around_async_generator(function, begin)
        if inspect.isgeneratorfunction(function):
            return _around_generator(function, begin)
        return _around_function(function, begin)

    def _beginner(self, function: Callable[..., Any]) -> Beginner:
        """What opens the session of one call; None if the call has no good chat id."""
        if self._chat_id is not None:
            chat_id = self._chat_id
            return lambda args, kwargs: self._source._open(chat_id, self._given)
        resolve = _resolver(self._chat_id_from, function)

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypingSession | None:
            try:
                chat_id = parse_chat_id(resolve(args, kwargs))
            except Exception as exc:
                name = getattr(function, "__qualname__", function)
                logger.warning("no typing indicator for this call of %s: %s", name, exc)
                return None
            return self._source._open(chat_id, self._given)

        return begin


class _Block:
    """One call's passage through a session: on the context's stack from its beginning to its end."""

    __slots__ = ("session",)

    def __init__(self, session: TypingSession) -> None:
        self.session = session

    def __enter__(self) -> None:
        push(self.session)

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        remove(self.session)
        _end(self.session, failed=kind is not None)

    async def __aenter__(self) -> None:
        push(self.session)

    async def __aexit__(self, kind: object, exc: object, trace: object) -> None:
        remove(self.session)
        await _end_async(self.session, failed=kind is not None)


def _end(session: TypingSession | None, *, failed: bool) -> None:
    if session is not None and (done := session._end(failed)) is not None:
        wait_for(done, EXIT_WAIT)


async def _end_async(session: TypingSession | None, *, failed: bool) -> None:
    if session is not None and (done := session._end(failed)) is not None:
        await wait_for_async(done, EXIT_WAIT, shield=True)


def make_typing_while(
    source: SessionSource, chat_id: Any, *, chat_id_from: ChatIdFrom = "chat_id", **options: Any
) -> Any:
    """``typing_while`` in all its forms: a function in the place of the chat id is to be decorated."""
    if options and (unknown := options.keys() - OPTION_NAMES):
        raise TypeError(f"typing_while has no option {', '.join(sorted(unknown))}; it has {', '.join(OPTION_NAMES)}")
    if callable(chat_id) or isinstance(chat_id, (classmethod, staticmethod)):
        return TypingWhile(source, None, chat_id_from, **options)(cast(Any, chat_id))
    return TypingWhile(source, chat_id, chat_id_from, **options)


def import_machinery(timeout: float = -1) -> None:
    """Import what sessions need beyond this: asyncio, tenacity and the like.

    ``timeout`` is for how many seconds to wait for another thread that does so; negative: for ever.
    """
    lock = process_lock()  # a fork must not fall into an import
    if is_fit() and lock.acquire(timeout=timeout):
        try:
            from . import _driver  # noqa: F401
        finally:
            lock.release()


# -- One wrapper for each kind of function


def _around_function(function: Callable[..., Any], begin: Beginner) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        session = begin(args, kwargs)
        if session is None:
            return function(*args, **kwargs)
        with _Block(session):
            return function(*args, **kwargs)

    return wrapper


def _around_coroutine(function: Callable[..., Any], begin: Beginner) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        session = begin(args, kwargs)
        if session is None:
            return await function(*args, **kwargs)
        async with _Block(session):
            return await function(*args, **kwargs)

    return wrapper


class _Steps:
    """Keeps a generator's session on the stack while the generator runs, and only then.

    What the generator itself puts on the stack comes back at its next step, and does not leak between steps.
    """

    __slots__ = ("_begun", "_session", "_within")

    def __init__(self, session: TypingSession | None) -> None:
        self._session = session
        self._begun = False
        self._within: Stack = None

    @contextmanager
    def running(self) -> Iterator[None]:
        outside = stack.get()
        if not self._begun:
            self._begun = True
            self._within = outside if self._session is None else (self._session, outside)
        stack.set(self._within)
        try:
            yield
        finally:
            self._within = stack.get()
            stack.set(outside)


def _around_generator(function: Callable[..., Any], begin: Beginner) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        session = begin(args, kwargs)
        steps, step, failed = _Steps(session), functools.partial(next, generator), True
        try:
            while True:
                try:
                    with steps.running():
                        item = step()
                except StopIteration as stop:
                    failed = False
                    return stop.value
                try:
                    sent = yield item
                except BaseException as exc:
                    step = functools.partial(generator.throw, exc)
                else:
                    step = functools.partial(generator.send, sent)
        finally:
            _end(session, failed=failed)

    return wrapper


def _around_async_generator(function: Callable[..., Any], begin: Beginner) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        session = begin(args, kwargs)
        steps, step, failed = _Steps(session), generator.__anext__, True
        try:
            while True:
                try:
                    with steps.running():
                        item = await step()
                except StopAsyncIteration:
                    failed = False
                    return
                try:
                    sent = yield item
                except BaseException as exc:
                    step = functools.partial(generator.athrow, exc)
                else:
                    step = functools.partial(generator.asend, sent)
        finally:
            await _end_async(session, failed=failed)

    return wrapper


# -- Where a call's chat id comes from


def _checked(chat_id_from: object) -> tuple[str, ...] | Callable[..., object]:
    if callable(chat_id_from):
        return chat_id_from
    paths = (chat_id_from,) if isinstance(chat_id_from, str) else chat_id_from
    if not isinstance(paths, (tuple, list)) or not all(isinstance(path, str) for path in paths):
        raise TypeError(f"chat_id_from must be a path, several paths or a callable, got {chat_id_from!r}")
    if not paths or not all(step for path in paths for step in path.split(".")):
        raise ValueError(f"chat_id_from must be paths such as 'event.chat.id', got {chat_id_from!r}")
    return tuple(paths)


def _resolver(chat_id_from: tuple[str, ...] | Callable[..., object], function: Callable[..., Any]) -> Resolver:
    if callable(chat_id_from):
        return lambda args, kwargs: chat_id_from(*args, **kwargs)
    paths = chat_id_from
    if isinstance(function, functools.partial):  # the chat id may be bound already
        bound, resolve_all = function, _resolver(paths, function.func)
        return lambda args, kwargs: resolve_all((*bound.args, *args), {**bound.keywords, **kwargs})
    signature = inspect.signature(function)
    readers = [_reader(path, signature, function) for path in paths]

    def resolve(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        for reader in readers:
            with suppress(Exception):  # a property that raises is no hit
                if (hit := reader(args, kwargs)) is not None:
                    return hit
        raise LookupError(f"no chat id at {' or '.join(map(repr, paths))}")

    return resolve


def _reader(path: str, signature: inspect.Signature, function: Callable[..., Any]) -> Resolver:
    name, *steps = path.split(".")
    argument = _argument(name, signature, function)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        value = argument(args, kwargs)
        for step in steps:
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            else:
                value = getattr(value, step, None)
        return value

    return read


def _argument(name: str, signature: inspect.Signature, function: Callable[..., Any]) -> Resolver:
    """Reads one parameter from a call, without the cost of binding all of them."""
    parameters = list(signature.parameters.values())
    named = signature.parameters.get(name)
    if named is None and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise TypeError(
            f"{getattr(function, '__qualname__', function)}{signature} has no parameter {name!r} to take the chat id "
            "from: say where it is with chat_id_from="
        )
    if named is not None and named.kind is named.VAR_KEYWORD:
        return lambda args, kwargs: kwargs
    default = None if named is None or named.default is named.empty else named.default
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    index = positional.index(name) if name in positional else None

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        if index is not None and index < len(args):
            return args[index]
        return kwargs.get(name, default)

    return read


def _without_partial(function: object) -> object:
    while isinstance(function, functools.partial):
        function = function.func
    return function
