"""The state that the page shows, as records with revisions: chats, messages, showings, requests, webhooks, settings.

The feed reads the model only when asked to, so it costs nothing while no page is open.
"""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any, Final

from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._faults import FaultRule, Faults
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message, Request, Showing, Webhook
from linq_typing.sandbox._timeline import EFFECTS, is_ghost
from linq_typing.sandbox._webhooks import WebhookSender

Record = dict[str, Any]

LOOP_INTERVAL: Final = 5.0
"""Simulated seconds between the starts of the simple loop that bots without this library use."""

_LIMITS: Final = {"chats": 200, "messages": 2000, "showings": 2000, "requests": 1000, "webhooks": 500, "settings": 1}
_RECENT = 50  # the latest times at which a chat was re-opened


class RevisionLog:
    """The latest records of several kinds, each with the revision of its last change.

    Parameters:
        limits: how many records to keep of each kind; the least recently changed ones are dropped.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.revision = 0
        self._limits = limits
        self._records: dict[str, dict[Hashable, tuple[int, Record]]] = {kind: {} for kind in limits}

    def put(self, kind: str, key: Hashable, record: Record) -> None:
        """Add or replace a record. An equal record is no change."""
        records = self._records[kind]
        if key in records and records[key][1] == record:
            return
        self.revision += 1
        records.pop(key, None)
        records[key] = (self.revision, record)
        if len(records) > self._limits[kind]:
            del records[next(iter(records))]

    def since(self, revision: int) -> dict[str, list[Record]]:
        """The records that changed after that revision, by kind; only kinds that have some."""
        found: dict[str, list[Record]] = {}
        for kind, records in self._records.items():
            changed = takewhile(lambda entry: entry[0] > revision, reversed(records.values()))
            if latest_first := [record for _, record in changed]:
                found[kind] = latest_first[::-1]
        return found


@dataclass(slots=True)
class _Progress:
    """How far a chat has been read, and the totals of its past showings."""

    messages: int = 0
    """All messages before this one have landed."""
    replies: int = 0
    showings: int = 0
    """All showings before this one have ended."""
    loop_starts: int = 0
    cleared: int = 0
    ghosts: int = 0


class Feed:
    """The state of a sandbox, with a cursor for each version of it. To be used on the server's event loop only.

    Parameters:
        env: returns the environment variables that point a bot at the sandbox.
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
        self._records = RevisionLog(_LIMITS)
        self._progress: defaultdict[str, _Progress] = defaultdict(_Progress)
        self._log_revision = 0
        self._webhooks_read: dict[int, Webhook] = {}

    def update(self) -> str:
        """Read what has changed. Returns the cursor of the current state."""
        for chat in self._model.chats()[-_LIMITS["chats"] :]:
            self._update_chat(chat)
        for exchange in self._model.log.changed(self._log_revision):
            self._log_revision = exchange.revision
            request = exchange.request
            effect = EFFECTS[request.change]
            record = _record(request, at=request.received_at, latency=exchange.latency, effect=effect)
            self._records.put("requests", request.id, record)
        self._update_webhooks()
        self._records.put("settings", 0, self._settings())
        return f"{self._epoch}-{self._records.revision}"

    def since(self, cursor: str | None) -> Record:
        """What has changed since that cursor; the whole state (`fresh`) if it is not a cursor of this feed."""
        epoch, _, text = (cursor or "").partition("-")
        revision = int(text) if epoch == self._epoch and text.isdecimal() else None
        return {
            "fresh": revision is None,
            "now": self._model.clock(),
            "scale": self._clock.scale,
            **self._records.since(revision or 0),
        }

    def _update_webhooks(self) -> None:
        webhooks = {webhook.id: webhook for webhook in self._webhooks.log}
        for number, webhook in webhooks.items():
            if webhook is not self._webhooks_read.get(number):
                record = _record(webhook)
                del record["body"]
                self._records.put("webhooks", number, record)
        self._webhooks_read = webhooks

    def _update_chat(self, chat: Chat) -> None:
        progress = self._progress[chat.id]
        update = self._model.update_of(chat, progress.messages, progress.showings)
        for message in update.messages:
            self._records.put("messages", message.id, _record(message, landed=message.has_landed(update.now)))
        for message in takewhile(lambda message: message.lands_at <= update.now, update.messages):
            progress.messages += 1
            progress.replies += not message.from_person and not message.from_colleague and message.failure_code is None
        for number, showing in update.showings:
            self._update_showing(chat, number, showing, progress)
        last = update.showings[-1][1] if update.showings else None
        current = last if last and last.until is None else None
        record = {**self._chat(chat, progress, current), "reopened": update.reopened[-_RECENT:]}
        self._records.put("chats", chat.id, record)

    def _update_showing(self, chat: Chat, number: int, showing: Showing, progress: _Progress) -> None:
        ghost = False
        if showing.ended_by == "expired":
            requests, _ = self._model.log.of_chat(chat.id)
            ghost = is_ghost(showing, [request for request in requests if request.received_at < showing.expires_at])
        record = {"id": f"{chat.id}/{number}", "chat": chat.id, **asdict(showing), "ghost": ghost}
        self._records.put("showings", record["id"], record)
        if showing.until is not None:
            progress.showings += 1
            progress.loop_starts += self._loop_starts(showing)
            progress.cleared += showing.ended_by == "message"
            progress.ghosts += ghost

    def _loop_starts(self, showing: Showing) -> int:
        """How many starts the simple loop would have sent during the showing. One that timed out counts up to its last
        start only, and so does one that has not ended yet, since it may time out."""
        last_start = showing.expires_at - self._model.shown_for
        until = last_start if showing.until is None or showing.ended_by == "expired" else showing.until
        return int((until - showing.since) / LOOP_INTERVAL) + 1

    def _chat(self, chat: Chat, progress: _Progress, showing: Showing | None) -> Record:
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
            "replies": progress.replies,
            "loop_starts": progress.loop_starts + (self._loop_starts(showing) if showing else 0),
            "cleared": progress.cleared,
            "ghosts": progress.ghosts,
        }

    def _settings(self) -> Record:
        return {
            "env": self._env(),
            "scale": self._clock.scale,
            "shown_for": self._model.shown_for,
            "webhook": self._webhooks.url,
            "webhook_version": self._webhooks.version,
            "webhook_secret": self._webhooks.secret,
            "faults": [_fault(rule) for rule in self._faults.standing()],
        }


def _record(source: Message | Request | Webhook, **more: object) -> Record:
    record: Record = asdict(source)
    return {"chat": record.pop("chat_id"), **record, **more}


def _fault(rule: FaultRule) -> Record:
    record: Record = rule._asdict()
    fault: Record = asdict(record.pop("fault"))
    fault.pop("body", None)  # bytes
    return {**record, "kind": type(rule.fault).__name__.lower(), **fault}
