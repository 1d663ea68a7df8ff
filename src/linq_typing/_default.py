"""The process-wide manager, created from the environment at first use, and the module-level functions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload
from uuid import UUID

from . import _sends
from ._chat_id import ChatIdFrom
from ._engine.process import process_lock
from ._engine.runner import Runner
from ._manager import TypingManager
from ._session import TypingSession, session_in_context
from ._settings import GivenOptions, parse_chat_id
from ._typing_while import TypingWhile, make_typing_while, show_options
from .errors import ConfigurationError
from .events import Stats

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._manager import ManagerSettings

logger = logging.getLogger("linq_typing")

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])

_manager: TypingManager | None = None


class _FromEnvironment(TypingManager):
    """A manager created at first use: a bad environment is logged when a session needs it, not raised."""

    def _prepare(self) -> None:
        pass

    def _runner_maker(self, redis: Any) -> Callable[..., Runner]:
        try:
            return super()._runner_maker(redis)
        except ConfigurationError as error:
            logger.error("typing indicators are not shared with other processes: %s", error)
            return Runner


def default_manager() -> TypingManager:
    """The process-wide manager."""
    if _manager is None:
        with process_lock():
            if _manager is None:
                _replace(_FromEnvironment())
    return cast(TypingManager, _manager)


class _ProcessWide:
    """Opens sessions on the current process-wide manager."""

    def _new_session(self, chat_id: str, given: GivenOptions) -> TypingSession:
        return default_manager()._new_session(chat_id, given)


_process_wide: Final = _ProcessWide()


def _replace(new: TypingManager) -> TypingManager | None:
    """Swap the manager; the new one inherits the watched clients."""
    global _manager
    with process_lock():
        old = _manager
        if old is not None:
            _sends.transfer(old, new)
        _manager = new
    return old


@overload
def typing_while(function: F, /) -> F: ...


@overload
def typing_while(
    chat_id: str | UUID | None = None,
    *,
    chat_id_from: ChatIdFrom = "chat_id",
    **options: Unpack[GivenOptions],
) -> TypingWhile: ...


@show_options()
def typing_while(chat_id: Any = None, **options: Any) -> Any:
    """Show the typing indicator in a Linq chat while a block or a function runs.

    ::

        with typing_while(chat_id):                   # sync
            reply = slow_llm(text)

        async with typing_while(chat_id) as session:  # async, on any event loop
            ...

        @typing_while                                 # decorator: uses the parameter chat_id
        async def reply(chat_id: str, text: str): ...

    Entering and leaving never wait for the network and never raise because of it; requests are made on the library's
    own thread, which refreshes the indicator even while the caller's thread or event loop is blocked. If a message
    goes out through a watched client (see :func:`watch`) during the block, no stop is needed.

    Decorates functions, coroutine functions, generators and async generators (the indicator shows until they are
    exhausted or closed), methods (under ``classmethod`` and ``staticmethod``) and ``functools.partial`` objects.
    Inside a decorated function, ``current_session()`` returns the session.

    Args:
        chat_id: UUID of the chat, as text or ``UUID``. Optional in the decorator.
        chat_id_from: where the decorator finds the chat id of a call: a parameter (default ``"chat_id"``); a path
            such as ``"event.data.chat.id"`` that starts at a parameter and walks mapping keys, then attributes;
            several paths, of which the first match wins; or a callable that gets the call's arguments. A call
            without a valid chat id runs without an indicator and logs a WARNING.
        start_delay: don't show the indicator if the work finishes within this many seconds. Default 0.
        stop_delay: how many seconds to wait before sending the stop after a normal exit: the reply is usually sent
            right after the block, so no stop is needed. After an exception the stop goes out at once. Default 0.5.
        refresh_interval: seconds between starts. Default 60, which the Linq documentation asks for: one start
            shows the indicator for 85 to 90 s. Overlapping sessions of a chat use the smallest.
        max_duration: seconds after which the session stops asking for the indicator; paused time does not count;
            None: never. Default 600.
        resume_after: how many seconds after the session's message the indicator shows again, if the block is still
            running; None: only after ``session.resume()``. Default None.
        wait_on_exit: wait for the stop's answer when leaving, at most 5 s, and skip ``stop_delay``: for
            runtimes that freeze the process, such as AWS Lambda. Default False.

    Raises:
        ValueError: a ``chat_id`` that is not a UUID, a negative or NaN duration. Raised by the call, not on entry.
        TypeError: an argument of the wrong type, or a decorated object that is not a function.
        RuntimeError: entered while it is active. Create a new one; they're cheap.

    Without an API key, the block runs without an indicator: one ERROR is logged, and ``session.error`` is a
    :class:`ConfigurationError`. The key is looked up again at each entry.
    """
    return make_typing_while(_process_wide, chat_id, **options)


def mark_sent(chat_id: str | UUID) -> None:
    """:meth:`TypingManager.mark_sent` of the process-wide manager."""
    chat_id = parse_chat_id(chat_id)
    session = session_in_context(chat_id)  # configure() may have replaced its manager
    if session is not None:
        session.mark_sent()
    else:
        default_manager().mark_sent(chat_id)


def observe(event: object) -> None:
    """:meth:`TypingManager.observe` of the process-wide manager: ``observe(await request.json())``, after the webhook's
    signature was verified."""
    default_manager().observe(event)


def watch(client: C) -> C:
    """:meth:`TypingManager.watch` of the process-wide manager: ``client = watch(LinqAPIV3())``."""
    return default_manager().watch(client)


def flush(timeout: float = 5.0) -> bool:
    """:meth:`TypingManager.flush` of the process-wide manager."""
    return True if _manager is None else _manager.flush(timeout)


async def aflush(timeout: float = 5.0) -> bool:
    """:meth:`TypingManager.aflush` of the process-wide manager."""
    return True if _manager is None else await _manager.aflush(timeout)


def close() -> bool:
    """:meth:`TypingManager.close` of the process-wide manager. It keeps its settings: the next use reopens it."""
    return True if _manager is None else _manager.close()


async def aclose() -> bool:
    """:meth:`TypingManager.aclose` of the process-wide manager."""
    return True if _manager is None else await _manager.aclose()


def stats() -> Stats:
    """:meth:`TypingManager.stats` of the process-wide manager."""
    return Stats() if _manager is None else _manager.stats()


def configure(**settings: Unpack[ManagerSettings]) -> None:
    """Replace the process-wide manager with ``TypingManager(**settings)``.

    Open sessions finish on the old one, which then closes itself. Clients given to :func:`watch` stay watched. Raises
    what :class:`TypingManager` raises, and then changes nothing.
    """
    old = _replace(TypingManager(**settings))
    if old is not None:
        old._retire()


configure.__signature__ = signature(TypingManager, eval_str=True).replace(return_annotation=None)  # type: ignore[attr-defined]
