"""The log of requests: what arrived, what was in flight with what, and how each ended."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from linq_typing.sandbox._records import TYPING, Change, Endpoint, Outcome, Request


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
    revision: int = 0
    """Grows over all requests, with every change."""
    arrived: float = field(default_factory=time.monotonic)
    latency: float | None = None
    """How long it was in flight, in real seconds."""

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
        self.exchanges: dict[int, Exchange] = {}
        self.in_flight: list[Exchange] = []
        self.max_typing = 0
        self.tally: Counter[Endpoint] = Counter()

    def add(self, exchange: Exchange) -> None:
        exchange.overlapped = tuple(other.id for other in self.in_flight)
        self.note(exchange)
        self.in_flight.append(exchange)
        typing = sum(other.endpoint in TYPING for other in self.in_flight)
        self.max_typing = max(self.max_typing, typing)

    def note(self, exchange: Exchange) -> None:
        self.exchanges[exchange.id] = exchange
        self.tally[exchange.endpoint] += 1


class RequestLog:
    """All requests, in the order of their arrival. Every method may be called from any thread.

    Parameters:
        keep: how many to remember, the latest ones; None: all.
    """

    def __init__(self, clock: Callable[[], float], keep: int | None = None) -> None:
        self._clock = clock
        self._keep = keep
        self._lock = threading.Lock()
        self._exchanges: dict[int, Exchange] = {}  # the one that changed last comes last
        self._count = 0
        self._revision = 0
        self._chats: defaultdict[str, _ChatLog] = defaultdict(_ChatLog)

    def arrive(self, method: str, path: str, endpoint: Endpoint, chat_id: str | None) -> Exchange:
        """A request has come in, and is in flight from now on."""
        with self._lock:
            self._count += 1
            exchange = Exchange(self._count, method, path, endpoint, self._clock())
            if chat_id is not None:
                self._join(exchange, chat_id)
            self._touch(exchange)
            return exchange

    def join(self, exchange: Exchange, chat_id: str) -> None:
        """It turns out to be for this chat. Nothing when its chat is known already."""
        with self._lock:
            if exchange.chat_id is None:
                self._join(exchange, chat_id)
                self._touch(exchange)

    def affect(self, exchange: Exchange, effect: Effect) -> None:
        """It has taken effect; that may be the moment its chat comes to be."""
        with self._lock:
            exchange.effect = effect
            if exchange.chat_id is None:
                self._join(exchange, effect.chat_id)
            self._touch(exchange)

    def end(self, exchange: Exchange, outcome: Outcome, status: int | None = None, code: int | None = None) -> None:
        """It is no longer in flight. Only the first end counts."""
        with self._lock:
            if exchange.outcome != "pending":
                return
            exchange.outcome, exchange.status, exchange.code = outcome, status, code
            exchange.ended_at = self._clock()
            exchange.latency = time.monotonic() - exchange.arrived
            if exchange.chat_id is not None:
                self._chats[exchange.chat_id].in_flight.remove(exchange)
            self._touch(exchange)

    def all(self) -> tuple[Request, ...]:
        """Every request there was, as far as they are kept."""
        with self._lock:
            return _frozen(self._exchanges)

    def changed(self, since: int) -> tuple[Exchange, ...]:
        """The requests with a revision above `since`, in the order of their revisions."""
        with self._lock:
            latest_first = reversed(self._exchanges.values())
            return tuple(takewhile(lambda exchange: exchange.revision > since, latest_first))[::-1]

    def tally(self, chat_id: str) -> Counter[Endpoint]:
        """How many requests one chat has had, those that are no longer kept included."""
        with self._lock:
            return self._chats[chat_id].tally.copy()

    def of_chat(self, chat_id: str) -> tuple[tuple[Request, ...], int]:
        """One chat's requests, and the most of its typing requests that were in flight at one moment."""
        with self._lock:
            chat = self._chats[chat_id]
            return _frozen(chat.exchanges), chat.max_typing

    def _join(self, exchange: Exchange, chat_id: str) -> None:
        exchange.chat_id = chat_id
        if exchange.outcome == "pending":
            self._chats[chat_id].add(exchange)
        else:
            self._chats[chat_id].note(exchange)

    def _touch(self, exchange: Exchange) -> None:
        self._revision += 1
        exchange.revision = self._revision
        self._exchanges.pop(exchange.id, None)
        self._exchanges[exchange.id] = exchange
        if self._keep is not None and len(self._exchanges) > self._keep:
            self._forget(next(iter(self._exchanges.values())))

    def _forget(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.id]
        if exchange.chat_id is not None:
            self._chats[exchange.chat_id].exchanges.pop(exchange.id, None)


def _frozen(exchanges: dict[int, Exchange]) -> tuple[Request, ...]:
    return tuple(exchanges[number].freeze() for number in sorted(exchanges))
