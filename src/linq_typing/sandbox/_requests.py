"""The log of requests: what arrived, what was in flight with what, and how each ended."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from linq_typing.sandbox._timeline import TYPING, Change, Endpoint, Outcome, Request


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request did, and when."""

    chat_id: str
    at: float
    change: Change
    note: str = ""


@dataclass(slots=True, eq=False)
class Exchange:
    """A request on its way through the server; `Request` is what is read of it."""

    id: int
    method: str
    path: str
    endpoint: Endpoint
    received_at: float
    chat_id: str | None = None
    overlapped: tuple[int, ...] = ()
    effect: Effect | None = None
    ended_at: float | None = None
    outcome: Outcome = "pending"
    status: int | None = None
    code: int | None = None

    @property
    def trace_id(self) -> str:
        return f"{self.id:032x}"

    def freeze(self) -> Request:
        effect = self.effect
        return Request(
            id=self.id,
            method=self.method,
            path=self.path,
            endpoint=self.endpoint,
            chat_id=self.chat_id,
            received_at=self.received_at,
            effect_at=effect.at if effect else None,
            change=effect.change if effect else None,
            note=effect.note if effect else "",
            ended_at=self.ended_at,
            outcome=self.outcome,
            status=self.status,
            code=self.code,
            overlapped=self.overlapped,
        )


class _ChatLog:
    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.in_flight: list[Exchange] = []
        self.max_typing = 0

    def add(self, exchange: Exchange) -> None:
        exchange.overlapped = tuple(other.id for other in self.in_flight)
        self.exchanges.append(exchange)
        self.in_flight.append(exchange)
        typing = sum(other.endpoint in TYPING for other in self.in_flight)
        self.max_typing = max(self.max_typing, typing)


class RequestLog:
    """All requests, in the order of their arrival. Every method may be called from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._chats: defaultdict[str, _ChatLog] = defaultdict(_ChatLog)

    def arrive(self, method: str, path: str, endpoint: Endpoint, chat_id: str | None) -> Exchange:
        """A request has come in, and is in flight from now on."""
        with self._lock:
            exchange = Exchange(len(self._exchanges) + 1, method, path, endpoint, self._clock())
            self._exchanges.append(exchange)
            if chat_id is not None:
                self._join(exchange, chat_id)
            return exchange

    def join(self, exchange: Exchange, chat_id: str) -> None:
        """It turns out to be for this chat. Nothing when its chat is known already."""
        with self._lock:
            if exchange.chat_id is None:
                self._join(exchange, chat_id)

    def affect(self, exchange: Exchange, effect: Effect) -> None:
        """It has taken effect; that may be the moment its chat comes to be."""
        exchange.effect = effect
        self.join(exchange, effect.chat_id)

    def end(self, exchange: Exchange, outcome: Outcome, status: int | None = None, code: int | None = None) -> None:
        """It is no longer in flight. Only the first end counts."""
        with self._lock:
            if exchange.outcome != "pending":
                return
            exchange.outcome, exchange.status, exchange.code = outcome, status, code
            exchange.ended_at = self._clock()
            if exchange.chat_id is not None:
                self._chats[exchange.chat_id].in_flight.remove(exchange)

    def all(self) -> tuple[Request, ...]:
        """Every request there was."""
        with self._lock:
            return tuple(exchange.freeze() for exchange in self._exchanges)

    def of_chat(self, chat_id: str) -> tuple[tuple[Request, ...], int]:
        """One chat's requests, and the most of its typing requests that were in flight at one moment."""
        with self._lock:
            chat = self._chats[chat_id]
            requests = sorted((exchange.freeze() for exchange in chat.exchanges), key=lambda r: r.id)
            return tuple(requests), chat.max_typing

    def _join(self, exchange: Exchange, chat_id: str) -> None:
        exchange.chat_id = chat_id
        if exchange.outcome == "pending":
            self._chats[chat_id].add(exchange)
        else:
            self._chats[chat_id].exchanges.append(exchange)
