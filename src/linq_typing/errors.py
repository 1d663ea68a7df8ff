"""The library's own exceptions.

* LinqTypingError            base class of them all
  x ConfigurationError       no API key, or settings that can't be used (the only one that is raised)
  x APIConnectionError       the API could not be reached, or the connection broke before it answered
    - APITimeoutError        the API did not answer in time
  x APIStatusError           the API answered with an error status

Only :class:`ConfigurationError` is ever raised, and only where settings are given: ``TypingManager(...)`` and
``configure(...)``. Entering a block raises none of them: a bot's reply must not fail because of its typing indicator.
They all appear in ``session.error``, and those of requests also in events.
"""

from __future__ import annotations

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "ConfigurationError",
    "LinqTypingError",
]


class LinqTypingError(Exception):
    """Base class of this library's errors. ``message`` says what happened, without the API key."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(LinqTypingError):
    """There is no API key, or it contains characters not allowed in an HTTP header; or the base URL, the environment's
    proxy or the TLS certificates can't be used."""


class APIConnectionError(LinqTypingError):
    """The API could not be reached, or the connection broke before it answered."""


class APITimeoutError(APIConnectionError):
    """The API did not answer within the manager's ``timeout`` (seconds, for one attempt)."""


class APIStatusError(LinqTypingError):
    """The API answered with an error status.

    Attributes:
        status_code: the HTTP status.
        code: Linq's own error code, such as 2005, or None if the answer had none.
        message: what the API says went wrong.
        trace_id: identifies the request to Linq's support; from the body or ``X-Trace-ID``; or None.
        doc_url: the page of Linq's documentation that the answer points to, or None.
        retry_after: how many seconds the API asks to wait before a retry, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        code: int | None = None,
        trace_id: str | None = None,
        doc_url: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.trace_id = trace_id
        self.doc_url = doc_url
        self.retry_after = retry_after

    def __str__(self) -> str:
        code = "" if self.code is None else f", code {self.code}"
        trace = "" if self.trace_id is None else f" (trace {self.trace_id})"
        return f"HTTP {self.status_code}{code}: {self.message}{trace}"
