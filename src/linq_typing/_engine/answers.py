"""Tells what an answer of the API means, and makes the library's error for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import httpx

from .._core.indicator import Outcome
from .._linq import is_transient, may_have_worked
from ..errors import APIStatusError, LinqTypingError

MAX_TEXT: Final = 200  # characters of the API's text that are kept, for a log line
MAX_CODE: Final = 10**9


class Answer(NamedTuple):
    """How a request ended."""

    outcome: Outcome
    error: LinqTypingError | None = None


def outcome_of(error: APIStatusError) -> Outcome:
    """What an error status says about the request's effect."""
    if may_have_worked(error.status_code):
        return Outcome.UNKNOWN
    return Outcome.NOT_APPLIED if is_transient(error.status_code, error.code) else Outcome.REFUSED


def status_error(response: httpx.Response, content: bytes, redact: Callable[[str], str] = str) -> APIStatusError:
    """The error for an answer with an error status, whatever its body. ``redact`` removes secrets."""
    body = _error_body(content)
    details = body.get("error")
    details = details if isinstance(details, Mapping) else {}
    code = details.get("code")
    told = _first_seconds(response.headers.get("Retry-After"), details.get("retry_after"))
    message = details.get("message") or body.get("message") or _plain_text(content) or response.reason_phrase
    return APIStatusError(
        printable(redact(str(message))),
        status_code=response.status_code,
        code=code if isinstance(code, int) and abs(code) < MAX_CODE else None,
        trace_id=_text(body.get("trace_id") or response.headers.get("X-Trace-ID"), redact),
        doc_url=_text(details.get("doc_url"), redact),
        retry_after=told,
    )


def printable(text: str) -> str:
    """The text as one bounded line without control characters, fit for a log."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_TEXT])
    return " ".join(line.split())[:MAX_TEXT]


def _error_body(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, Mapping) else {}


def _plain_text(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip()  # not the charset it claims: some codecs raise
    return "" if text.startswith(("{", "[")) else text


def _text(value: object, redact: Callable[[str], str]) -> str | None:
    return printable(redact(value)) or None if isinstance(value, str) else None


def _first_seconds(*values: object) -> float | None:
    return next((seconds for seconds in map(_seconds, values) if seconds is not None), None)


def _seconds(value: object) -> float | None:
    """Parse ``Retry-After``: a number of seconds, or a date. None for anything else."""
    if value is None:
        return None
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return _seconds_until(value)
    except OverflowError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: object) -> float | None:
    try:
        when = parsedate_to_datetime(str(date))
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)
