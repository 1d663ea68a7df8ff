"""One process of those that share chats: what to ask the server, and when; alone or shared; who is dead.

Like the indicator it decides and does nothing. It makes :class:`Call` objects, for the caller to run, and processes the
replies.

* A *member* is one life of a process. It sends a *heartbeat* every 1.5 s. If the others took it for dead, it starts a
  new life, with a new id.
* Before a request, it asks for the chat's *lease*; after it, it tells how it went. Both is ``exchange``.
* *alone*: without an answer for 0.25 s, or after an error, every chat acts as if there were no others. Heartbeats go
  on; the first that is answered ends it, and all chats are told anew.

One batch of exchanges is in flight at a time. So no chat ever has two, and their number adapts to the server's speed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Any, Final, Generic, NamedTuple, TypeVar

from .indicator import LONG_AGO, MAY_APPLY_FOR, Action
from .shared_indicator import Marks, Share, SharedIndicator

C = TypeVar("C", bound=SharedIndicator)

PATIENCE: Final = 0.25  #: seconds to wait for an answer of the server
HEARTBEAT: Final = 1.5  #: seconds from the answer of a heartbeat to the next one
SILENCE: Final = 3.0  #: seconds without a heartbeat after which a member is watched
SIGHTINGS: Final = 3  #: own heartbeats in which a member was silent, and the same, until it is dead
GRANT_FOR: Final = 0.5  #: seconds for which a granted lease may be used: this process may have stood still
LEASE_MARGIN: Final = 2.0  #: seconds that a lease lasts beyond the time-out of its request
ASK_AGAIN: Final = 0.25  #: seconds after which to ask again for what was not granted
CLOCK_STEP: Final = 0.01  #: seconds by which the server's clock has to differ from what is believed
KEEP: Final = 3_600.0  #: seconds for which the server keeps what nobody touches
MOST_CALLS: Final = 200  #: exchanges in one batch
MOST_CHATS: Final = 1_000  #: chats in one answer


class Call(NamedTuple):
    """A script to run on the server."""

    script: str
    keys: Sequence[str]
    args: Sequence[str | int]


@dataclass(frozen=True)
class Exchange(Generic[C]):
    """A call about one chat, and what was so when it was made."""

    call: Call
    chat: C
    number: int
    made_at: float
    ask: Action | None
    marks: Marks
    wants: bool


class Dead(NamedTuple):
    """A member whose chats are to be taken over."""

    id: str
    score: str


class Mode(enum.Enum):
    """How a process stands to the others."""

    CONNECTING = "connecting"  # the first answer is still to come: questions wait for it
    SHARED = "shared"
    ALONE = "alone"


class Member(Generic[C]):
    """One process. ``prefix`` is that of all keys, ``timeout`` that of a request, ``new_id`` makes ids."""

    def __init__(self, prefix: str, timeout: float, new_id: Callable[[], str]) -> None:
        self._prefix = prefix
        self._keys = tuple(f"{prefix}:{name}" for name in ("members", "held", "news"))
        self._lease_for = timeout + GRANT_FOR + LEASE_MARGIN
        self._applies_for = GRANT_FOR + timeout + MAY_APPLY_FOR
        self._new_id = new_id
        self.id = new_id()
        self.mode = Mode.CONNECTING
        self.held: set[str] = set()  # the chats that this member answers for, as the server has it
        self.clock_error = inf  # of the server's clock, at most
        self._offset = 0.0  # the server's clock minus ours
        self._joined = False
        self._before = ""  # the id before this one
        self._number = 0
        self._first_number = 1  # of this life: its leases are not older
        self._asks: dict[str, C] = {}
        self._tells: dict[str, C] = {}
        self._in_flight: Sequence[Exchange[C]] = ()
        self._doubt = 0  # exchanges that the last heartbeat may have seen or not
        self._silent: dict[Dead, int] = {}

    @property
    def may_send_alone(self) -> bool:
        return self.mode is Mode.ALONE

    def holds(self, chat_id: str) -> bool:
        return chat_id in self.held

    # -- Heartbeats

    def heartbeat(self, *, leave: bool = False) -> Call:
        self._doubt = len(self._in_flight)
        how = "leave" if leave else "stay" if self._joined else "join"
        args = (self.id, how, self._before, _ms(SILENCE), _ms(KEEP), MOST_CHATS)
        return Call("heartbeat", self._keys, args)

    def heartbeat_answered(self, reply: Sequence[Any], sent_at: float, now: float) -> tuple[Sequence[str], list[Dead]]:
        """The answer to a heartbeat: the chats to look at again, and whose chats to take over.

        Afterwards look at ``mode``. If it was not SHARED before: ``start_over`` with all chats and those of ``held``.
        """
        if not reply[1]:  # dead, as the others believe; or the server has lost its memory
            self.renew()
            return (), []
        _, _, held, news, silent = reply
        self._set_clock(reply[0] / 1000, sent_at, now)
        doubt = self._doubt + len(self._asks) + len(self._tells)
        if self._joined and self.mode is Mode.SHARED and abs(held - len(self.held)) > doubt:
            self.renew()  # the server has lost a part of its memory
            return (), []
        self._joined, self._before, self.mode = True, "", Mode.SHARED
        seen = [Dead(*pair) for pair in zip(silent[::2], silent[1::2], strict=True)]
        self._silent = {dead: self._silent.get(dead, 0) + 1 for dead in seen}
        return news, [dead for dead, times in self._silent.items() if times >= SIGHTINGS or float(dead.score) < 0]

    def take_over(self, dead: Dead) -> Call:
        return Call("take_over", self._keys, (self.id, *dead, MOST_CHATS))

    def took_over(self, chats: Sequence[str]) -> bool:
        """These are now this member's: look at them. Returns whether there may be more."""
        self.held.update(chats)
        return len(chats) >= MOST_CHATS

    def unheard(self) -> list[C]:
        """The chats that have something to ask or to tell, or wait for an answer."""
        return [*self._asks.values(), *self._tells.values(), *(exchange.chat for exchange in self._in_flight)]

    def lost(self) -> list[C]:
        """No answer, or an error. Returns the chats whose question is void."""
        self.mode = Mode.ALONE
        asking = [*self._asks.values(), *(exchange.chat for exchange in self._in_flight if exchange.ask)]
        for exchange in self._in_flight:
            exchange.chat.share.in_call = False
        for chat in asking:
            chat.share.ask = None
        self._asks, self._tells, self._in_flight = {}, {}, ()
        return asking

    def renew(self, mode: Mode = Mode.ALONE) -> None:
        """Start a new life. Until the next heartbeat is answered this process is alone."""
        self._before, self.id = self.id, self._new_id()
        self._joined, self._first_number = False, self._number + 1
        self.held.clear()
        self.mode = mode

    def _set_clock(self, server: float, sent_at: float, now: float) -> None:
        """Only one constant offset is used, both ways, until it is proved wrong: or else the marks would creep."""
        offset, error = server - (sent_at + now) / 2, (now - sent_at) / 2 + CLOCK_STEP
        if abs(offset - self._offset) > error or error < self.clock_error - CLOCK_STEP:
            self._offset, self.clock_error = offset, error

    # -- Chats

    def review(self, chat: C, now: float) -> None:
        """Something may have happened: queue the chat if there is something to tell."""
        share = chat.share
        if self.mode is Mode.SHARED and (share.dirty or share.told != (chat.wanted_since(now) is not None)):
            self._tells[chat.id] = chat
        else:
            self._tells.pop(chat.id, None)

    def ask(self, chat: C, action: Action) -> None:
        """Queue the question whether this request may be sent."""
        chat.share.ask = action
        self._asks[chat.id] = chat

    def return_lease(self, chat: C) -> None:
        """What was granted is not needed any more."""
        chat.share.lease, chat.share.dirty = None, True

    def batch(self, now: float) -> Sequence[Exchange[C]]:
        """The exchanges to run now, questions first."""
        if self._in_flight or self.mode is not Mode.SHARED:
            return ()
        chats = _take(self._asks, MOST_CALLS)
        for chat in chats:
            self._tells.pop(chat.id, None)
        chats += _take(self._tells, MOST_CALLS - len(chats))
        self._in_flight = [self._exchange(chat, now) for chat in chats]
        self._doubt += len(chats)
        return self._in_flight

    def _exchange(self, chat: C, now: float) -> Exchange[C]:
        share, marks, since = chat.share, chat.marks(), chat.wanted_since(now)
        interval = min(chat.shortest_interval(now), KEEP)
        without_lease = chat.in_flight is not None and share.lease is None  # sent while alone, or in an earlier life
        self._number += 1
        args = (
            self.id,
            self._number,
            chat.id,
            "" if since is None else self._to_server(since),
            share.ask.value if share.ask else "",
            _ms(interval),
            "" if share.lease is None else share.lease,
            _ms(self._lease_for),
            _ms(self._applies_for),
            _ms(max(180.0, 2 * interval if since is not None else 0.0)),
            self._to_server(chat.sent_at) if without_lease else "",
            chat.in_flight.value if chat.in_flight and without_lease else "",
            "" if share.message_at is None else self._to_server(share.message_at),
            " ".join(share.message_ids),
            self._webhook(share),
            *map(self._to_server, marks),
        )
        share.told, share.in_call, share.message_at, share.message_ids = since is not None, True, None, ()
        share.dirty = bool(share.webhooks)
        call = Call("exchange", (f"{self._prefix}:chat:{chat.id}", *self._keys), args)
        return Exchange(call, chat, self._number, now, share.ask, marks, since is not None)

    def answered(
        self, batch: Sequence[Exchange[C]], replies: Sequence[Sequence[Any]], now: float
    ) -> list[tuple[C, Action | None, bool]]:
        """The answers to a batch: for each chat, what it had asked, and whether to send that now.

        What is granted and not sent is to be returned. All these chats are to be reviewed. Afterwards look at ``mode``.
        """
        if batch is not self._in_flight:
            return []  # it was given up
        self._in_flight = ()
        return [self._answered(exchange, reply, now) for exchange, reply in zip(batch, replies, strict=True)]

    def _answered(self, exchange: Exchange[C], reply: Sequence[Any], now: float) -> tuple[C, Action | None, bool]:
        chat, share = exchange.chat, exchange.chat.share
        verdict, ask, share.in_call = reply[0], exchange.ask, False
        if ask is not None:
            share.ask = None
        if verdict in ("unknown", "stale"):
            self.renew()
            return chat, ask, False
        _, at, busy_for, others, held, message = reply[:6]
        if held:
            self.held.add(chat.id)
        else:
            self.held.discard(chat.id)
        if chat.in_flight is not None and share.lease is None:
            share.lease = exchange.number
        # What has happened since is a debt of which nobody was told yet.
        nothing_new = chat.marks() == exchange.marks and chat.wanted_since(now) is None
        # Denied to the only member that could send it: the indicator is down. Rounded times may say otherwise here.
        needless = others or (ask is Action.STOP and verdict == "no")
        if needless and not exchange.wants and chat.in_flight is None and nothing_new:
            chat.relieve()
        else:
            chat.merge(Marks(*map(self._to_local, reply[6:])))
        if message:
            chat.message_elsewhere(self._to_local(int(message)))
        granted = verdict == "go" and now < exchange.made_at + GRANT_FOR
        if granted:
            share.lease, share.granted_at = exchange.number, min(self._to_local(at), now + self.clock_error)
        elif verdict == "go":
            share.dirty = True
        elif ask is not None:
            if ask is Action.STOP:
                chat.stop_denied()
            share.wait_until = now + (busy_for / 1000 if busy_for else ASK_AGAIN)
        return chat, ask, granted

    def start_over(self, chats: Iterable[C]) -> None:
        """Together again: everything is to be told anew."""
        for chat in chats:
            self._tells[chat.id] = chat
            chat.share.dirty = True
            if chat.share.lease is not None and chat.share.lease < self._first_number:
                chat.share.lease = None

    def _webhook(self, share: Share) -> str:
        """The first webhook that the others have to judge; the rest goes with later exchanges."""
        if not share.webhooks:
            return ""
        (message_id, at, kind), *share.webhooks = share.webhooks
        return f"{message_id} {self._to_server(at)} {kind}"

    def _to_server(self, moment: float) -> int:
        return 0 if moment == LONG_AGO else _ms(moment + self._offset)

    def _to_local(self, moment: int) -> float:
        return moment / 1000 - self._offset if moment else LONG_AGO


def _take(queue: dict[str, C], most: int) -> list[C]:
    return [queue.pop(chat_id) for chat_id in list(islice(queue, most))]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
