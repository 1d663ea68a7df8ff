"""Starts and stops over HTTP, and tenacity's rules for retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import httpx
import tenacity

from .._core.indicator import Action, Outcome
from .._linq import PUBLIC_BASE_URL, START_METHOD, STOP_METHOD, typing_url
from .._settings import Credentials, HTTPSettings
from ..errors import APIConnectionError, APIStatusError, APITimeoutError, ConfigurationError, LinqTypingError
from .answers import Answer, outcome_of, printable, status_error
from .transports import BuiltInTransport, Transport, TransportOption, UsersTransport, import_for_requests

if TYPE_CHECKING:
    from .fast import FastTransport

FIRST_BACKOFF: Final = 0.5  # seconds
SHORTEST_KEY: Final = 8  # characters: shorter is too short to redact safely: it would match ordinary words
LONGEST_JITTER: Final = 0.25  # seconds
METHODS: Final = {Action.START: START_METHOD, Action.STOP: STOP_METHOD}

# Raised before the request left, so it did nothing.
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)

#: Called when a request has ended: with the answer and its body, or with the exception and no body.
Observer = Callable[[httpx.Response | BaseException, bytes], object]


class TypingAPI:
    """Starts and stops indicators, one attempt at a time. To be used on one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        settings: HTTPSettings,
        transport: TransportOption = None,
        observer: Observer | None = None,
    ) -> None:
        self.credentials = credentials
        self._base = credentials.base_url or PUBLIC_BASE_URL
        self._key = credentials.api_key or ""
        self.timeout = settings.timeout
        headers = {
            "User-Agent": "linq-typing",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **credentials.headers,
            "Authorization": f"Bearer {self._key}",
        }
        self._transport = _make_transport(transport, self._base, headers, settings.timeout)
        self._retrying = _retrying(settings)
        self._observe = observer or (lambda result, body: None)

    async def request(self, action: Action, chat_id: str) -> Answer:
        """Make one attempt. Never raises, except when cancelled."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        overdue = False

        def give_up() -> None:
            nonlocal overdue
            overdue = True
            task.cancel()

        timer = loop.call_later(self.timeout, give_up)
        try:
            return self._answer_to(*await self._transport.exchange(METHODS[action], typing_url(self._base, chat_id)))
        except asyncio.CancelledError:
            if not overdue:
                raise
            return Answer(Outcome.NO_ANSWER, APITimeoutError(f"no answer within {self.timeout:g} s"))
        except BaseException as exc:  # noqa: BLE001 - the user's transport may raise anything, and end the thread
            return self._failure(exc)
        finally:
            timer.cancel()

    def retry_in(self, attempt: int, error: LinqTypingError) -> float | None:
        """The back-off in seconds after failed attempt number ``attempt``; None: don't retry."""
        state = tenacity.RetryCallState(self._retrying, None, (), {})
        state.attempt_number = attempt
        state.set_exception((type(error), error, None))
        if not self._retrying.retry(state) or self._retrying.stop(state):
            return None
        return float(self._retrying.wait(state))

    async def aclose(self, *, for_good: bool = True) -> None:
        """Close all connections. The next request opens new ones, unless it was ``for_good``."""
        await self._transport.aclose(for_good=for_good)

    def _answer_to(self, response: httpx.Response, body: bytes) -> Answer:
        self._observe(response, body)
        if response.is_success:
            return Answer(Outcome.ACCEPTED)
        error = status_error(response, body, self._without_key)
        return Answer(outcome_of(error), error)

    def _failure(self, exc: BaseException) -> Answer:
        self._observe(exc, b"")
        # The httpx exception is not chained: its request carries the key.
        text = printable(self._without_key(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__))
        never_sent = self._transport.tells_unsent and isinstance(exc, _NEVER_SENT)
        outcome = Outcome.NOT_APPLIED if never_sent else Outcome.NO_ANSWER
        kind = APITimeoutError if isinstance(exc, httpx.TimeoutException) else APIConnectionError
        return Answer(outcome, kind(text))

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if len(self._key) >= SHORTEST_KEY else text


def fast_transport() -> type[FastTransport]:
    """The class behind ``transport="fast"``. Raises ConfigurationError if its package is not installed."""
    try:
        from .fast import FastTransport
    except ImportError:
        raise ConfigurationError(
            'transport="fast" needs aiohttp 3.12 or newer: pip install "linq-typing[fast]"'
        ) from None
    return FastTransport


def _make_transport(option: TransportOption, base: str, headers: Mapping[str, str], timeout: float) -> Transport:
    import_for_requests()
    if option is None:
        return BuiltInTransport(base, headers, timeout)
    if option == "fast":
        return fast_transport()(base, headers, timeout)
    return UsersTransport(option, headers, timeout)


def _retrying(settings: HTTPSettings) -> tenacity.Retrying:
    """tenacity's strategies for whether and when to retry. The indicator makes the attempts, and obeys
    ``Retry-After``."""
    jitter = min(LONGEST_JITTER, settings.backoff_max / 5)
    backoff = tenacity.wait_exponential(multiplier=FIRST_BACKOFF, max=settings.backoff_max - jitter)
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(settings.max_retries + 1),
        wait=backoff + tenacity.wait_random(0, jitter),
        retry=tenacity.retry_if_exception(_is_transient),
    )


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, APIConnectionError) or (
        isinstance(error, APIStatusError) and outcome_of(error) is not Outcome.REFUSED
    )
