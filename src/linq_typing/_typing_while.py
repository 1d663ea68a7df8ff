"""``typing_while``: the context manager and decorator, over anything that opens sessions."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from inspect import Parameter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, get_type_hints
from uuid import UUID

from ._chat_id import ChatIdFrom, Paths, chat_id_resolver, checked_paths
from ._engine.transports import import_for_requests
from ._engine.waiting import Completion, wait_for_async
from ._session import TypingSession, push, remove
from ._settings import OPTION_NAMES, GivenOptions, SessionOptions, parse_chat_id
from ._wrappers import EXIT_WAIT, BlockMaker, wrapped

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger("linq_typing")

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT_PATH: Final = "chat_id"
# Shared objects, since there may be as many TypingWhile objects as chats.
_DEFAULT_PATHS: Final = (_DEFAULT_PATH,)
_NOTHING: Final[GivenOptions] = {}


class SessionSource(Protocol):
    """Makes sessions: a manager, or the current process-wide one."""

    def _new_session(self, chat_id: str, given: GivenOptions) -> TypingSession:
        """Make a session, which has not joined yet. ``given`` are the options that differ from the defaults. Never
        raises because of a missing key, or because the system is out of files or threads."""
        ...


class TypingWhile:
    """What ``typing_while(...)`` returns: a context manager, sync and async, and a decorator.

    In here, a signal handler may raise between any two calls, and each call may raise a RecursionError. So the session
    is stored before it joins, and any later exception ends it. If an exception is raised as ``__exit__`` is called,
    where no code of this class can catch it, ``_Active.__del__`` ends the session.
    """

    __slots__ = ("_chat_id", "_chat_id_from", "_free", "_given", "_session", "_source")

    def __init__(
        self,
        source: SessionSource,
        chat_id: str | None,
        chat_id_from: Paths | Callable[..., object],
        given: GivenOptions,
    ) -> None:
        self._source = source
        self._chat_id = chat_id
        self._chat_id_from = chat_id_from
        self._given = given
        self._session: TypingSession | None = None
        self._free = True

    def __repr__(self) -> str:
        return f"<typing_while chat_id={self._chat_id!r}{' active' if self._is_active else ''}>"

    @property
    def _is_active(self) -> bool:
        """Whether its block is running."""
        return self._session is not None

    def __enter__(self) -> TypingSession:
        if self._chat_id is None:
            raise TypeError("typing_while needs a chat_id when it is used in a with statement")
        try:
            del self._free  # atomic: only one of several threads succeeds
        except AttributeError:
            if self._session is None or not self._session._is_inherited:  # entered before a fork, in the parent
                raise RuntimeError("this typing_while is already active: create a new one; they're cheap") from None
        try:
            session = self._session = self._source._new_session(self._chat_id, self._given)
            if type(self) is TypingWhile:
                self.__class__ = _Active
            session._join()
            push(session)
        except BaseException:
            self._abandon()
            raise
        return session

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (done := self._leave(failed=kind is not None)) is not None:
            done.wait(EXIT_WAIT)

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
                f"typing_while decorates functions, not {type(function).__name__}: put @typing_while underneath the "
                "other decorators, directly above def; to decorate a callable object, decorate its method __call__"
            )
        import_for_requests()  # when the bot is imported, not at its first reply
        wrapper: Any = functools.wraps(function)(wrapped(function, self._block_maker(function)))
        wrapper.__name__ = getattr(plain, "__name__", wrapper.__name__)
        wrapper.__qualname__ = getattr(plain, "__qualname__", wrapper.__qualname__)
        return wrapper  # type: ignore[no-any-return]  # the same signature, but type checkers can't tell

    def __reduce__(self) -> Any:
        return TypingWhile, (self._source, self._chat_id, self._chat_id_from, self._given)  # a copy is not active

    def _leave(self, *, failed: bool) -> Completion | None:
        """Returns the completion to wait for, or None."""
        session = self._session
        if session is None:
            raise RuntimeError("this typing_while was exited without being entered")
        try:
            done = session._end(failed)
            remove(session)
        except BaseException:
            self._abandon()
            raise
        # No calls here, so that no exception can come in between.
        if type(self) is _Active:
            self.__class__ = TypingWhile  # type: ignore[assignment]
        self._session = None
        self._free = True
        return done

    def _abandon(self) -> None:
        if self._session is not None:
            self._session._leave()
        if type(self) is _Active:
            self.__class__ = TypingWhile  # type: ignore[assignment]
        self._session = None
        self._free = True

    def _block_maker(self, function: Callable[..., Any]) -> BlockMaker:
        """A function that makes the block of one call; it returns None if the call has no valid chat id."""
        if self._chat_id is not None:
            chat_id = self._chat_id
            return lambda args, kwargs: TypingWhile(self._source, chat_id, self._chat_id_from, self._given)
        resolve = chat_id_resolver(self._chat_id_from, function)

        def block(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypingWhile | None:
            try:
                chat_id = parse_chat_id(resolve(args, kwargs))
            except (LookupError, TypeError, ValueError) as exc:
                name = getattr(function, "__qualname__", function)
                logger.warning("no typing indicator for this call of %s: %s", name, exc)
                return None
            return TypingWhile(self._source, chat_id, self._chat_id_from, self._given)

        return block


class _Active(TypingWhile):
    """A ``TypingWhile`` whose session is open. A separate class, since a ``__del__`` that ran after every block would
    swallow a signal handler's exception that is raised at that moment.

    As in every ``with`` statement, an exception may be raised as ``__exit__`` is called, before its first line. The
    session then ends when this object is freed, which is when the exception and its traceback are.
    """

    __slots__ = ()

    def __del__(self) -> None:
        if self._session is not None:
            self._session._leave()


def _without_partial(function: object) -> object:
    while isinstance(function, functools.partial):
        function = function.func
    return function


class _Managers:
    """Placeholder in signatures for a default that the manager sets."""

    def __repr__(self) -> str:
        return "<the manager's>"


def show_options(*leading: Parameter) -> Callable[[F], F]:
    """Give ``typing_while`` the signature that ``help`` shows: the ``leading`` parameters, and the options by name."""
    hints = get_type_hints(SessionOptions)
    options = (Parameter(n, Parameter.KEYWORD_ONLY, default=_Managers(), annotation=hints[n]) for n in OPTION_NAMES)
    parameters = [
        *leading,
        Parameter("chat_id", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=str | UUID | None),
        Parameter("chat_id_from", Parameter.KEYWORD_ONLY, default=_DEFAULT_PATH, annotation=ChatIdFrom),
        *options,
    ]

    def show(function: F) -> F:
        function.__signature__ = inspect.Signature(parameters, return_annotation=TypingWhile)  # type: ignore[attr-defined]
        return function

    return show


def make_typing_while(
    source: SessionSource, chat_id: Any, *, chat_id_from: ChatIdFrom = _DEFAULT_PATH, **options: Unpack[GivenOptions]
) -> Any:
    """``typing_while`` in all its forms: if a function takes the place of the chat id, it is decorated."""
    if options and (unknown := options.keys() - OPTION_NAMES):
        raise TypeError(f"typing_while has no option {', '.join(sorted(unknown))}; it has {', '.join(OPTION_NAMES)}")
    if options:
        SessionOptions(**options)  # bad input is reported here, not when the block is entered
    function: Any = None
    if callable(chat_id) or isinstance(chat_id, (classmethod, staticmethod)):
        function, chat_id = chat_id, None
    if chat_id is not None and chat_id_from != _DEFAULT_PATH:
        raise TypeError(f"typing_while takes chat_id or chat_id_from, not both: got {chat_id!r} and {chat_id_from!r}")
    paths = _DEFAULT_PATHS if chat_id_from == _DEFAULT_PATH else checked_paths(chat_id_from)
    made = TypingWhile(source, None if chat_id is None else parse_chat_id(chat_id), paths, options or _NOTHING)
    return made if function is None else made(function)
