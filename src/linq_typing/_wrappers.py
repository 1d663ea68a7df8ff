"""Wraps decorated functions: one wrapper for each kind of function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any, Final, Protocol

from ._engine.waiting import Completion, wait_for_async
from ._session import Stack, stack

EXIT_WAIT: Final = 5.0  #: seconds; the longest wait of ``wait_on_exit``


class Block(Protocol):
    """The context manager around one call, sync and async. A generator's is entered and left by hand."""

    @property
    def _is_active(self) -> bool: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def _leave(self, *, failed: bool) -> Completion | None:
        """Returns the completion to wait for, or None."""
        ...


#: Makes the block around a call with these arguments; None if the call has no valid chat id.
BlockMaker = Callable[[tuple[Any, ...], dict[str, Any]], Block | None]


def wrapped(function: Callable[..., Any], block: BlockMaker) -> Any:
    """The function with a block around each call, of the same kind: plain, coroutine, generator or async generator."""
    if inspect.iscoroutinefunction(function):
        return _wrap_coroutine(function, block)
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(function, block)
    if inspect.isgeneratorfunction(function):
        return _wrap_generator(function, block)
    return _wrap_function(function, block)


_NO_BLOCK: Final = nullcontext()  # sync and async; many calls may use it at once


def _wrap_function(function: Callable[..., Any], block: BlockMaker) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with block(args, kwargs) or _NO_BLOCK:
            return function(*args, **kwargs)

    return wrapper


def _wrap_coroutine(function: Callable[..., Any], block: BlockMaker) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with block(args, kwargs) or _NO_BLOCK:
            return await function(*args, **kwargs)

    return wrapper


class _Steps:
    """Keeps a generator's session on the stack while the generator runs, and only then.

    What the generator itself puts on the stack is restored at its next step, and does not leak out between steps.
    """

    __slots__ = ("_begun", "_block", "_within")

    def __init__(self, block: Block | None) -> None:
        self._block = block
        self._begun = False
        self._within: Stack = None

    @contextmanager
    def running(self) -> Iterator[None]:
        outside = stack.get()
        try:
            if self._begun:
                stack.set(self._within)
            elif self._block is not None:
                self._block.__enter__()
            self._begun = True
            yield
        finally:
            self._within = stack.get()
            stack.set(outside)

    def end(self, *, failed: bool) -> Completion | None:
        """Returns the completion to wait for, or None."""
        block = self._block
        return block._leave(failed=failed) if block is not None and block._is_active else None


def _wrap_generator(function: Callable[..., Any], block: BlockMaker) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        steps, step, failed = _Steps(block(args, kwargs)), functools.partial(next, generator), True
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
                except BaseException as exc:  # noqa: BLE001 - passed on to the original
                    step = functools.partial(generator.throw, exc)
                else:
                    step = functools.partial(generator.send, sent)
        finally:
            if (done := steps.end(failed=failed)) is not None:
                done.wait(EXIT_WAIT)

    return wrapper


def _wrap_async_generator(function: Callable[..., Any], block: BlockMaker) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        steps, step, failed = _Steps(block(args, kwargs)), generator.__anext__, True
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
                except BaseException as exc:  # noqa: BLE001 - passed on to the original
                    step = functools.partial(generator.athrow, exc)
                else:
                    step = functools.partial(generator.asend, sent)
        finally:
            if (done := steps.end(failed=failed)) is not None:
                await wait_for_async(done, EXIT_WAIT, shield=True)

    return wrapper
