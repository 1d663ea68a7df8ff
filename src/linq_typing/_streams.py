"""Observes the body of a streamed answer as the caller reads it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import httpx

from ._clients import classes

MAX_BODY: Final = 65_536  #: bytes; longer answers are ignored, as Linq's have a few hundred


class Body:
    """A body that, when closed, passes on a copy of what the caller has read, if that is at most ``MAX_BODY``."""

    interface: str  #: name of the class that httpx and httpx2 want it to have

    def __init__(self, stream: Any, headers: httpx.Headers, on_close: Callable[[list[bytes]], object]) -> None:
        self._stream = stream
        self._headers = headers
        self._on_close = on_close
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_read = False

    def _saw(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_BODY:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def _closed(self) -> None:
        chunks, self._chunks = self._chunks, []  # only once
        if chunks:
            self._on_close(chunks)

    def _is_short_and_unread(self) -> bool:
        """Whether the caller closes a short answer, as Linq's are, with none of it read. If so, it is read then."""
        length = self._headers.get("Content-Length", "")
        is_json = "json" in self._headers.get("Content-Type", "json")
        return is_json and not self._is_read and length.isdecimal() and len(length) <= 5 and int(length) <= MAX_BODY


class SyncBody(Body):
    interface = "SyncByteStream"

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
        except classes("HTTPError"):
            pass
        finally:
            self._stream.close()
        self._closed()


class AsyncBody(Body):
    interface = "AsyncByteStream"

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
        except classes("HTTPError"):
            pass
        finally:
            await self._stream.aclose()
        self._closed()


def observed(answer: Any, kind: Any, on_close: Callable[[list[bytes]], object]) -> Any:
    """The answer's stream, which hands on what is read of it."""
    return _implementing(kind, classes(kind.interface))(answer.stream, answer.headers, on_close)


@functools.cache
def _implementing(kind: type[Body], interfaces: tuple[type, ...]) -> type[Body]:
    return type(kind.__name__, (kind, *interfaces), {"__module__": __name__})
