"""HTTP responses, and the error codes, texts and JSON envelope of Linq's documentation."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.types import Receive

_MESSAGES = {
    1001: "Missing required field",
    1003: "Invalid request body",
    1004: "Invalid message content",
    1005: "Invalid parameter value",
    1007: "Rate limit exceeded",
    2001: "Chat not found",
    2002: "Message not found",
    2004: "Unauthorized",
    2005: "Access denied",
    2006: "Phone number permission denied",
    2009: "The chat is still being created",
    2013: "This chat is unavailable",
    2015: "Operation conflicts with current state",
    3003: "Service connection error",
    3005: "Network timeout",
    3006: "Internal server error",
    4004: "Service unavailable",
    4005: "Recipient does not support this message type",
}

_CODES = {
    400: 1005,
    401: 2004,
    403: 2005,
    404: 2001,
    408: 3005,
    409: 2009,
    422: 4005,
    429: 1007,
    502: 3003,
    503: 4004,
    504: 3005,
}


class ApiError(Exception):
    """A refused request.

    Parameters:
        status: the HTTP status.
        code: Linq's error code; default: the usual one for that status.
        message: default: the usual text for that code.
        retry_after: seconds, or an HTTP date (for the header only).
    """

    def __init__(
        self,
        status: int,
        code: int | None = None,
        message: str | None = None,
        retry_after: float | str | None = None,
    ) -> None:
        self.status = status
        self.code = _CODES.get(status, 1005 if status < 500 else 3006) if code is None else code
        self.message = message or _MESSAGES.get(self.code) or _phrase(status)
        self.retry_after = retry_after
        super().__init__(f"{status} {self.code}: {self.message}")

    def response(self, trace_id: str) -> Response:
        """The response in Linq's JSON envelope."""
        error: dict[str, object] = {
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "doc_url": f"https://docs.linqapp.com/error/codes/{self.code // 1000}xxx/{self.code}/",
        }
        if isinstance(self.retry_after, (int, float)):
            error["retry_after"] = self.retry_after
        body = {"success": False, "error": error, "trace_id": trace_id}
        return response(self.status, body, code=self.code, retry_after=self.retry_after)


class Response(NamedTuple):
    """What is sent back, except for the trace id header."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    code: int | None = None
    """Linq's error code."""


def response(
    status: int,
    body: bytes | dict[str, Any] | None,
    *,
    code: int | None = None,
    retry_after: float | str | None = None,
) -> Response:
    """A response with raw bytes, JSON or nothing as its body."""
    if body is None:
        return Response(status)
    headers = []
    if not isinstance(body, bytes):
        headers.append((b"content-type", b"application/json"))
        body = json.dumps(body).encode()
    headers.append((b"content-length", str(len(body)).encode()))
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    return Response(status, body, tuple(headers), code)


async def disconnected(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
