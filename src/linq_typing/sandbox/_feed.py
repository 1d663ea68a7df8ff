"""What the page shows, as records that change: chats, messages, showings, requests, webhooks, settings.

The feed looks when it is asked to, and costs nothing while no page is open.
"""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._faults import Faults, Standing
from linq_typing.sandbox._model import Chat, Model
from linq_typing.sandbox._records import Message, Showing
from linq_typing.sandbox._request_log import Exchange
from linq_typing.sandbox._shelf import Record, Revisions, Shelf
from linq_typing.sandbox._webhooks import Delivery, WebhookSender

LOOP_INTERVAL: Final = 5.0
"""How often the loop that everybody writes first starts the indicator again, in modelled seconds."""

_ROOM: Final = {"chats": 200, "messages": 2000, "showings": 2000, "requests": 1000, "webhooks": 500, "settings": 1}
_RECENT = 50  # webhooks that may still change


@dataclass(slots=True)
class _Seen:
    """How far one chat was read, and what came of its past showings."""

    messages: int = 0
    """All messages before this one have landed."""
    replies: int = 0
    showings: int = 0
    """All showings before this one have ended."""
    loop_starts: int = 0
    cleared: int = 0
    ghosts: int = 0

    def end(self, showing: Showing, loop_starts: int) -> None:
        self.showings += 1
        self.loop_starts += loop_starts
        self.cleared += showing.ended_by == "message"
        self.ghosts += showing.ended_by == "expired"


class Feed:
    """The state of a sandbox for its pages, with a cursor for each moment. For the server's event loop only.

    Parameters:
        env: gives the environment variables that point a bot at the sandbox.
    """

    def __init__(
        self, clock: Clock, model: Model, faults: Faults, webhooks: WebhookSender, env: Callable[[], dict[str, str]]
    ) -> None:
        self._clock = clock
        self._model = model
        self._faults = faults
        self._webhooks = webhooks
        self._env = env
        self._epoch = uuid.uuid4().hex[:8]
        self._revisions = Revisions()
        self._shelves = {kind: Shelf(self._revisions, room) for kind, room in _ROOM.items()}
        self._seen: defaultdict[str, _Seen] = defaultdict(_Seen)
        self._log_revision = 0

    def look(self) -> str:
        """Take in what has happened; returns the cursor of this moment."""
        for chat in self._model.chats()[-_ROOM["chats"] :]:
            self._look_at(chat)
        for exchange in self._model.log.changed(self._log_revision):
            self._log_revision = exchange.revision
            self._put("requests", exchange.request.id, _request(exchange))
        for delivery in list(self._webhooks.deliveries)[-_RECENT:]:
            self._put("webhooks", delivery.id, _webhook(delivery))
        self._put("settings", 0, self._settings())
        return f"{self._epoch}-{self._revisions.latest}"

    def since(self, cursor: str | None) -> Record:
        """What has changed since that cursor; all there is (`fresh`) when it is none of this feed's."""
        revision = self._revision(cursor)
        changes = {kind: shelf.since(revision or 0) for kind, shelf in self._shelves.items()}
        return {
            "fresh": revision is None,
            "now": self._model.clock(),
            "scale": self._clock.scale,
            **{kind: records for kind, records in changes.items() if records},
        }

    def _revision(self, cursor: str | None) -> int | None:
        epoch, _, revision = (cursor or "").partition("-")
        return int(revision) if epoch == self._epoch and revision.isdecimal() else None

    def _put(self, kind: str, key: object, record: Record) -> None:
        self._shelves[kind].put(key, record)

    def _look_at(self, chat: Chat) -> None:
        seen = self._seen[chat.id]
        glimpse = self._model.glimpse(chat, seen.messages, seen.showings)
        for message in glimpse.messages:
            self._put("messages", message.id, _message(message, glimpse.now))
        self._pass_landed(seen, glimpse.messages, glimpse.now)
        for number, showing in glimpse.showings:
            self._put("showings", (chat.id, number), {"id": f"{chat.id}/{number}", "chat": chat.id, **asdict(showing)})
            if showing.until is not None:
                seen.end(showing, self._loop_starts(showing))
        last = glimpse.showings[-1][1] if glimpse.showings else None
        current = last if last and last.until is None else None
        self._put("chats", chat.id, {**self._chat(chat, seen, current), "reopened": glimpse.reopened[-_RECENT:]})

    def _loop_starts(self, showing: Showing) -> int:
        """How many starts the plain loop would have sent meanwhile. A ghost counts up to its last start only; so does
        an indicator that is still showing, since it may become a ghost."""
        last_start = showing.expires_at - self._model.shown_for
        until = last_start if showing.until is None or showing.ended_by == "expired" else showing.until
        return int((until - showing.since) / LOOP_INTERVAL) + 1

    def _pass_landed(self, seen: _Seen, messages: tuple[Message, ...], now: float) -> None:
        for message in messages:
            if message.lands_at > now:
                return
            seen.messages += 1
            seen.replies += not message.from_person

    def _chat(self, chat: Chat, seen: _Seen, showing: Showing | None) -> Record:
        tally = self._model.log.tally(chat.id)
        return {
            "id": chat.id,
            "line": chat.line,
            "people": chat.people,
            "service": chat.service,
            "group": chat.is_group,
            "typing_allowed": chat.typing_allowed,
            "active_until": chat.screen.active_until if math.isfinite(chat.screen.active_until) else None,
            "always_active": chat.screen.active_until == math.inf,
            "stuck": chat.screen.stuck,
            "showing": asdict(showing) if showing else None,
            "read_by_bot": chat.read_by_bot,
            "read_by_person": chat.read_by_person,
            "starts": tally["start"],
            "stops": tally["stop"],
            "sends": tally["send"],
            "replies": seen.replies,
            "loop_starts": seen.loop_starts + (self._loop_starts(showing) if showing else 0),
            "cleared": seen.cleared,
            "ghosts": seen.ghosts,
        }

    def _settings(self) -> Record:
        webhooks = self._webhooks
        return {
            "env": self._env(),
            "scale": self._clock.scale,
            "shown_for": self._model.shown_for,
            "webhook": webhooks.url,
            "webhook_version": webhooks.version,
            "webhook_secret": webhooks.secret,
            "faults": [_fault(fault) for fault in self._faults.standing()],
        }


def _message(message: Message, now: float) -> Record:
    return {
        "id": message.id,
        "chat": message.chat_id,
        "kind": message.kind,
        "text": message.text,
        "from_person": message.from_person,
        "accepted_at": message.accepted_at,
        "lands_at": message.lands_at,
        "landed": message.lands_at <= now,
    }


def _request(exchange: Exchange) -> Record:
    request = exchange.request
    return {
        "id": request.id,
        "chat": request.chat_id,
        "method": request.method,
        "path": request.path,
        "endpoint": request.endpoint,
        "at": request.received_at,
        "effect_at": request.effect_at,
        "change": request.change,
        "note": request.note,
        "outcome": request.outcome,
        "status": request.status,
        "code": request.code,
        "latency": exchange.latency,
    }


def _webhook(delivery: Delivery) -> Record:
    return {
        "id": delivery.id,
        "chat": delivery.chat_id,
        "event": delivery.event,
        "version": delivery.version,
        "url": delivery.url,
        "at": delivery.at,
        "status": delivery.status,
        "error": delivery.error,
        "latency": delivery.latency,
    }


def _fault(standing: Standing) -> Record:
    fault: dict[str, Any] = asdict(standing.fault)
    fault.pop("body", None)
    return {
        "id": standing.id,
        "kind": type(standing.fault).__name__.lower(),
        "endpoint": standing.endpoint,
        "chat": standing.chat,
        "rate": standing.rate,
        "left": standing.left,
        **fault,
    }
