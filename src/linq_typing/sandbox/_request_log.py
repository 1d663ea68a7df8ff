"""The log of requests: what arrived, what was in flight at the same time, and how each ended."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

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
    """A request that the server is working on, or has answered."""

    fields: dict[str, Any]
    """The fields of its `Request`. Replacing a frozen record at each change would cost a tenth of a request's time."""
    revision: int = 0
    """The number of its last change, counted over all requests."""
    arrived: float = field(default_factory=time.monotonic)
    latency: float | None = None
    """How long it was in flight, in real seconds."""

    @property
    def request(self) -> Request:
        return Request(**self.fields)

    @property
    def id(self) -> int:
        return int(self.fields["id"])

    @property
    def chat_id(self) -> str | None:
        chat_id: str | None = self.fields["chat_id"]
        return chat_id

    @property
    def trace_id(self) -> str:
        return f"{self.id:032x}"


class _ChatLog:
    def __init__(self) -> None:
        self.exchanges: dict[int, Exchange] = {}
        self.in_flight: list[Exchange] = []
        self.max_typing = 0
        self.tally: Counter[Endpoint] = Counter()

    def add(self, exchange: Exchange) -> tuple[int, ...]:
        """Returns the ids of the requests that are in flight at the same time."""
        self.exchanges[exchange.id] = exchange
        self.tally[exchange.fields["endpoint"]] += 1
        if "ended_at" in exchange.fields:
            return ()
        overlapped = tuple(other.id for other in self.in_flight)
        self.in_flight.append(exchange)
        typing = sum(other.fields["endpoint"] in TYPING for other in self.in_flight)
        self.max_typing = max(self.max_typing, typing)
        return overlapped


class RequestLog:
    """All requests, in the order of their arrival. Every method may be called from any thread.

    Parameters:
        keep: how many of the latest requests to keep; None: all.
    """

    def __init__(self, clock: Callable[[], float], keep: int | None = None) -> None:
        self._clock = clock
        self._keep = keep
        self._lock = threading.Lock()
        self._exchanges: dict[int, Exchange] = {}  # the most recently changed one is the last
        self._count = 0
        self._revision = 0
        self._chats: defaultdict[str, _ChatLog] = defaultdict(_ChatLog)

    def arrive(self, method: str, path: str, endpoint: Endpoint, chat_id: str | None) -> Exchange:
        """Log a request that has arrived and is in flight from now on."""
        with self._lock:
            self._count += 1
            target = {"method": method, "path": path, "endpoint": endpoint, "chat_id": None}
            exchange = Exchange({"id": self._count, **target, "received_at": self._clock()})
            self._update(exchange, chat_id)
            return exchange

    def join(self, exchange: Exchange, chat_id: str) -> None:
        """Note the chat that the request is for, unless it is known already."""
        with self._lock:
            self._update(exchange, chat_id)

    def affect(self, exchange: Exchange, effect: Effect) -> None:
        """Note the request's effect, which may have created its chat."""
        with self._lock:
            self._update(exchange, effect.chat_id, effect_at=effect.at, change=effect.change, note=effect.note)

    def end(self, exchange: Exchange, outcome: Outcome, status: int | None = None, code: int | None = None) -> None:
        """Note that the request is no longer in flight. Only the first call counts."""
        with self._lock:
            if "ended_at" in exchange.fields:
                return
            if exchange.chat_id is not None:
                self._chats[exchange.chat_id].in_flight.remove(exchange)
            exchange.latency = time.monotonic() - exchange.arrived
            self._update(exchange, None, outcome=outcome, status=status, code=code, ended_at=self._clock())

    def all(self) -> tuple[Request, ...]:
        """Every request that is kept."""
        with self._lock:
            return _requests(self._exchanges)

    def changed(self, since: int) -> tuple[Exchange, ...]:
        """The requests with a revision above `since`, in the order of their revisions."""
        with self._lock:
            latest_first = reversed(self._exchanges.values())
            return tuple(takewhile(lambda exchange: exchange.revision > since, latest_first))[::-1]

    def tally(self, chat_id: str) -> Counter[Endpoint]:
        """How many requests the chat has had, including those no longer kept."""
        with self._lock:
            return self._chats[chat_id].tally.copy()

    def of_chat(self, chat_id: str) -> tuple[tuple[Request, ...], int]:
        """The chat's requests, and the largest number of its typing requests in flight at one moment."""
        with self._lock:
            chat = self._chats[chat_id]
            return _requests(chat.exchanges), chat.max_typing

    def _update(self, exchange: Exchange, chat_id: str | None, **changes: Any) -> None:
        if chat_id is not None and exchange.chat_id is None:
            changes |= {"chat_id": chat_id, "overlapped": self._chats[chat_id].add(exchange)}
        exchange.fields |= changes
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


def _requests(exchanges: dict[int, Exchange]) -> tuple[Request, ...]:
    return tuple(exchanges[number].request for number in sorted(exchanges))
