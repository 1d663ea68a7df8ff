"""Decides which webhooks are due, in which order they are delivered, and when a failed delivery is retried.

Webhooks about messages from the line (sent, delivered, failed, read) are delivered one by one in each chat: the next
one when the bot has answered the one before, or has failed to. Those about messages from people do not wait, so the
bot may take its time to answer them. A delivery that waits for its retry delays no other.

No thread and no timer: `run_due` does what is due and returns. `BackgroundSender` calls it whenever something is due.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message, Webhook, WebhookEvent, WebhookVersion
from linq_typing.sandbox._schedule import Schedule
from linq_typing.sandbox._webhook_http import DEFAULT_SECRET, check_secret, check_url, post, signer
from linq_typing.sandbox._webhook_payloads import DEFAULT_VERSION, VERSIONS, Happening, payload

Target = str | Callable[[str], object]
"""Where webhooks go: a URL, or a function that gets each one's JSON."""

HELD_BACK = 10.0
"""Simulated seconds after which a reordered webhook no longer waits for a next one."""

_KEPT = 500  # webhooks in the log
_FIRST_PAUSE, _LONGEST_PAUSE, _RETRIED_FOR = 5.0, 300.0, 1800.0  # simulated seconds


@dataclass(slots=True, eq=False)
class _Delivery:
    webhook: Webhook
    target: Target
    lane: str
    """At most one delivery of each lane is in flight."""


class WebhookSender:
    """Tells a bot what happens to the messages of a model. Every method may be called from any thread.

    Parameters:
        target: where to send webhooks; None: nowhere.
        secret: the key that signs them, `whsec_...`.
        faults: what goes wrong on purpose; default: nothing.
        wall_clock: returns the time for `created_at` and for signatures; default: the real one.
    """

    def __init__(
        self,
        model: Model,
        target: Target | None = None,
        secret: str = DEFAULT_SECRET,
        version: WebhookVersion = DEFAULT_VERSION,
        *,
        faults: Faults | None = None,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._model = model
        self._faults = faults or Faults()
        self._wall_clock = wall_clock
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._schedule = Schedule()
        self._planned = 0  # happenings that are still to come
        self._lanes: dict[str, deque[_Delivery]] = {}  # what waits behind the delivery in flight
        self._ready: list[_Delivery] = []
        self._held: list[_Delivery] = []
        self._pending: set[_Delivery] = set()
        self._log: deque[_Delivery] = deque(maxlen=_KEPT)
        self.target: Target | None = None
        self.version: WebhookVersion = DEFAULT_VERSION
        self.configure(target, secret, version)
        model.on_message = self._on_message

    # What callers use

    def configure(self, target: Target | None, secret: str | None = None, version: str | None = None) -> None:
        """Change where and how to send. A secret or version of None keeps the present one.

        Without a target, what is pending is dropped.
        """
        if isinstance(target, str):
            check_url(target)
        if secret is not None:
            check_secret(secret)
            self.secret = secret
        if version is not None:
            self.version = _checked_version(version)
        if target is not None:
            signer(self.secret)  # raises now, rather than at the first message, if the package is missing
        with self._lock:
            self.target = target
            if target is None:
                self.drop_pending("the webhook was removed")

    @property
    def url(self) -> str | None:
        """The target, if it is a URL."""
        return self.target if isinstance(self.target, str) else None

    @property
    def log(self) -> tuple[Webhook, ...]:
        """The latest webhooks, in the order in which they were created."""
        with self._lock:
            return tuple(delivery.webhook for delivery in self._log)

    def is_idle(self) -> bool:
        """Whether no webhook is pending, not even one about a message that is still to land."""
        with self._lock:
            return not self._planned and not self._pending

    def read(self, chat: Chat, messages: tuple[Message, ...]) -> None:
        """Tell the bot that the person has read these messages."""
        now = self._model.clock()
        self._plan(*(Happening(_event(message, "read"), chat, message, now) for message in messages))

    def drop_pending(self, why: str) -> None:
        """Drop all pending webhooks."""
        with self._lock:
            self._schedule.clear()
            self._planned = 0
            self._lanes.clear()
            self._ready.clear()
            self._held.clear()
            for delivery in self._pending:
                delivery.webhook = replace(delivery.webhook, outcome="failed", error=why, next_at=None)
            self._pending.clear()

    def run_due(self) -> float | None:
        """Do what is due. Returns when something is due next, in simulated seconds; None: nothing is scheduled."""
        while True:
            with self._lock:
                while call := self._schedule.pop(self._model.clock()):
                    call()
                ready, self._ready = self._ready, []
                if not ready:
                    return self._schedule.next_at
            for delivery in ready:
                self._start(partial(self._attempt, delivery))

    # Overridden by `BackgroundSender`

    def _wake(self) -> None:
        """Called when there may be something due earlier than `run_due` said."""

    def _start(self, call: Callable[[], None]) -> None:
        """Begin a delivery."""
        call()

    # From events to deliveries

    def _on_message(self, chat: Chat, message: Message) -> None:
        if message.from_person:
            self._plan(Happening("message.received", chat, message, message.lands_at))
        elif message.failure_code is not None:
            self._plan(Happening(_event(message, "failed"), chat, message, message.lands_at))
        else:
            sent = Happening(_event(message, "sent"), chat, message, message.sent_at)
            self._plan(sent, Happening(_event(message, "delivered"), chat, message, message.lands_at))

    def _plan(self, *happenings: Happening) -> None:
        with self._lock:
            if self.target is None:
                return
            for happening in happenings:
                self._planned += 1
                self._schedule.add(happening.at, partial(self._create, happening))
        self._wake()

    def _create(self, happening: Happening) -> None:
        """The event has happened: create its webhook and schedule the delivery."""
        self._planned -= 1
        event, chat, message, at = happening
        target, event_id = self.target, str(uuid.uuid4())
        assert target is not None, "without a target, nothing is planned"
        created_at = self._wall_clock().isoformat().replace("+00:00", "Z")
        body = json.dumps(payload(self._model, happening, self.version, event_id, created_at))
        plan = self._faults.pick_webhook(event, chat.id)
        for _ in range(1 + plan.copies):
            url = target if isinstance(target, str) else ""
            webhook = Webhook(next(self._ids), event, event_id, chat.id, message.id, self.version, url, body, at)
            delivery = _Delivery(webhook, target, message.id if message.from_person else chat.id)
            self._pending.add(delivery)
            self._log.append(delivery)
            begin = self._hold_back if plan.reordered else self._enqueue
            self._schedule.add(self._model.clock() + plan.late, partial(begin, delivery))

    def _hold_back(self, delivery: _Delivery) -> None:
        self._held.append(delivery)
        self._schedule.add(self._model.clock() + HELD_BACK, partial(self._release, delivery))

    def _release(self, delivery: _Delivery) -> None:
        if delivery in self._held:
            self._held.remove(delivery)
            self._enqueue(delivery)

    def _enqueue(self, delivery: _Delivery) -> None:
        if delivery.lane in self._lanes:
            self._lanes[delivery.lane].append(delivery)
        else:
            self._lanes[delivery.lane] = deque()
            self._ready.append(delivery)

    # Deliveries

    def _attempt(self, delivery: _Delivery) -> None:
        status, error, began = None, "", time.monotonic()
        try:
            status = self._deliver(delivery)
        except Exception as problem:  # noqa: BLE001 - a network error, or whatever the function raises
            error = str(problem) or type(problem).__name__
        with self._lock:
            if delivery in self._pending:
                attempts = delivery.webhook.attempts + 1
                result: dict[str, Any] = {"status": status, "error": error, "latency": time.monotonic() - began}
                self._finish(delivery, replace(delivery.webhook, attempts=attempts, **result))
        self._wake()

    def _deliver(self, delivery: _Delivery) -> int:
        if callable(delivery.target):
            delivery.target(delivery.webhook.body)
            return 200
        return post(delivery.webhook, self.secret, self._wall_clock())

    def _finish(self, delivery: _Delivery, webhook: Webhook) -> None:
        retry_at = self._retry_at(webhook)
        if retry_at is None:
            accepted = webhook.status is not None and 200 <= webhook.status < 300
            delivery.webhook = replace(webhook, outcome="delivered" if accepted else "failed", next_at=None)
            self._pending.remove(delivery)
        else:
            delivery.webhook = replace(webhook, next_at=retry_at)
            self._schedule.add(retry_at, partial(self._enqueue, delivery))
        if behind := self._lanes.pop(delivery.lane):
            self._ready.append(behind.popleft())
            self._lanes[delivery.lane] = behind
        for held in self._held.copy():
            if held.webhook.chat_id == webhook.chat_id and held.webhook.id < webhook.id:
                self._release(held)

    def _retry_at(self, webhook: Webhook) -> float | None:
        """When to retry: after network errors, 429 and 5xx, with growing pauses, for half an hour. None: never."""
        if webhook.status is not None and webhook.status != 429 and webhook.status < 500:
            return None
        retry_at = self._model.clock() + min(_FIRST_PAUSE * 2 ** (webhook.attempts - 1), _LONGEST_PAUSE)
        return retry_at if retry_at <= webhook.at + _RETRIED_FOR else None


def _event(message: Message, stage: str) -> WebhookEvent:
    event: WebhookEvent = f"{'poll' if message.kind == 'poll' else 'message'}.{stage}"  # type: ignore[assignment]
    return event


def _checked_version(version: str) -> WebhookVersion:
    for known in VERSIONS:
        if version == known:
            return known
    raise ValueError(f"webhook_version must be one of {', '.join(VERSIONS)}, got {version!r}")
