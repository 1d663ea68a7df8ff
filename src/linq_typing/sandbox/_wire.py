"""Answers as they go out: status, headers, bytes."""

from __future__ import annotations

import json
from typing import NamedTuple

from linq_typing.sandbox._endpoints import Reply
from linq_typing.sandbox._errors import ApiError
from linq_typing.sandbox._faults import Answer

Header = tuple[bytes, bytes]


class Wire(NamedTuple):
    """An answer, all but its trace id header."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    code: int | None = None


def accepted(reply: Reply) -> Wire:
    """The right answer."""
    if reply.body is None:
        return Wire(reply.status)
    return _json(reply.status, json.dumps(reply.body).encode())


def refused(error: ApiError, trace_id: str) -> Wire:
    """A refusal."""
    wire = _json(error.status, error.body(trace_id), error.code)
    return wire._replace(headers=(*wire.headers, *_retry_after(error.retry_after)))


def wrong(fault: Answer, trace_id: str) -> Wire:
    """The answer that a fault asks for."""
    if fault.body is None and fault.status >= 400:
        return refused(ApiError(fault.status, fault.code, fault.message, fault.retry_after), trace_id)
    body = fault.body or b""
    return Wire(fault.status, body, (_length(body), *_retry_after(fault.retry_after)), fault.code)


def _json(status: int, body: bytes, code: int | None = None) -> Wire:
    return Wire(status, body, ((b"content-type", b"application/json"), _length(body)), code)


def _length(body: bytes) -> Header:
    return b"content-length", str(len(body)).encode()


def _retry_after(retry_after: float | str | None) -> tuple[Header, ...]:
    return () if retry_after is None else ((b"retry-after", str(retry_after).encode()),)
