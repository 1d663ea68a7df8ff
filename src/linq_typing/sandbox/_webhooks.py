"""Webhooks as Linq sends them to a bot: both payload versions, signed as Standard Webhooks."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal, get_args

import httpx

from linq_typing.sandbox import _bodies as bodies
from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message

WebhookVersion = Literal["2025-01-01", "2026-02-03"]
Event = Literal["message.received", "message.read"]

VERSIONS: Final[tuple[WebhookVersion, ...]] = get_args(WebhookVersion)
DEFAULT_VERSION: Final[WebhookVersion] = "2026-02-03"
DEFAULT_SECRET: Final = "whsec_" + base64.b64encode(b"the linq-typing sandbox's secret").decode()

_PARTNER = "sandbox"
_TIMEOUT = 10.0  # real seconds for the bot's answer
_KEPT = 500  # deliveries


@dataclass(slots=True, eq=False)
class Delivery:
    """One webhook that is being delivered, or was."""

    id: int
    chat_id: str
    event: Event
    version: WebhookVersion
    url: str
    at: float
    """In modelled seconds."""
    status: int | None = None
    error: str = ""
    """Why there was no answer; else empty."""
    latency: float | None = None
    """In real seconds; None: still waiting for the answer."""


class WebhookSender:
    """Sends each webhook on a thread of its own, so that nothing waits for the bot. Every method may be called from
    any thread.

    Parameters:
        url: where to send them; None: nowhere.
        secret: the key that signs them, `whsec_...`.
    """

    def __init__(self, model: Model, url: str | None, secret: str, version: WebhookVersion) -> None:
        self._model = model
        self._numbers = itertools.count(1)
        self.deliveries: deque[Delivery] = deque(maxlen=_KEPT)
        self.url: str | None = None
        self.version: WebhookVersion = DEFAULT_VERSION
        self.configure(url, secret, version)

    def configure(self, url: str | None, secret: str | None = None, version: str | None = None) -> None:
        """Change where and how to send. A secret or version of None keeps the present one."""
        if url is not None:
            _check_url(url)
        if secret is not None:
            _check_secret(secret)
            self.secret = secret
        if version is not None:
            self.version = _checked_version(version)
        if url is not None:
            self._signer()  # raises now, rather than at the first message, if the package is missing
        self.url = url

    def send(self, event: Event, chat: Chat, message: Message) -> None:
        """Tell the bot that the person has sent this message, or has read this message of the bot."""
        if self.url is None:
            return
        delivery = Delivery(next(self._numbers), chat.id, event, self.version, self.url, self._model.clock())
        body = json.dumps(payload(self._model, event, chat, message, self.version, delivery.at))
        self.deliveries.append(delivery)
        threading.Thread(target=self._deliver, args=(delivery, body), name="linq-webhook", daemon=True).start()

    def _deliver(self, delivery: Delivery, body: str) -> None:
        began = time.monotonic()
        try:
            delivery.status = _post(delivery.url, body, self._headers(body))
        except httpx.HTTPError as error:
            delivery.error = str(error) or type(error).__name__
        delivery.latency = time.monotonic() - began

    def _headers(self, body: str) -> dict[str, str]:
        event_id, now = json.loads(body)["event_id"], datetime.now(timezone.utc)
        return {
            "content-type": "application/json",
            "user-agent": "linq-typing-sandbox",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer().sign(event_id, now, body),
        }

    def _signer(self) -> Any:
        try:
            from standardwebhooks import Webhook
        except ModuleNotFoundError as error:
            raise ImportError('webhooks need standardwebhooks: pip install "linq-typing[sandbox]"') from error
        return Webhook(self.secret)


def _post(url: str, body: str, headers: dict[str, str]) -> int:
    # Plain http needs no certificates, which are slow to load; a proxy cannot reach this machine's ports.
    with httpx.Client(timeout=_TIMEOUT, trust_env=False, verify=url.startswith("https:")) as client:
        return client.post(url, content=body, headers=headers).status_code


def payload(
    model: Model, event: Event, chat: Chat, message: Message, version: WebhookVersion, now: float
) -> bodies.Json:
    """A webhook's JSON."""
    data = _data_2025 if version == "2025-01-01" else _data_2026
    return {
        "api_version": "v3",
        "webhook_version": version,
        "event_type": event,
        "event_id": str(uuid.uuid4()),
        "created_at": model.wall_time(now),
        "trace_id": uuid.uuid4().hex,
        "partner_id": _PARTNER,
        "data": data(model, event, chat, message, now),
    }


def _data_2026(model: Model, event: Event, chat: Chat, message: Message, now: float) -> bodies.Json:
    """`MessageEventV2`."""
    sent = model.wall_time(message.lands_at)
    read = event == "message.read"
    return {
        "id": message.id,
        "chat": {
            "id": chat.id,
            "is_group": chat.is_group,
            "owner_handle": bodies.handle(model, chat, chat.line),
            "health_status": bodies.health_status(model, chat),
        },
        "direction": "inbound" if message.from_person else "outbound",
        "sender_handle": bodies.handle(model, chat, _sender(chat, message)),
        "parts": _parts(message),
        "effect": None,
        "reply_to": None,
        "service": chat.service,
        "preferred_service": None,
        "idempotency_key": None,
        "sent_at": sent,
        "delivered_at": sent if read else None,
        "read_at": model.wall_time(now) if read else None,
    }


def _data_2025(model: Model, event: Event, chat: Chat, message: Message, now: float) -> bodies.Json:
    when = "read_at" if event == "message.read" else "received_at"
    return {
        "chat_id": chat.id,
        "from": _sender(chat, message),
        "recipient_phone": chat.line if message.from_person else chat.people[0],
        when: model.wall_time(now),
        "is_from_me": not message.from_person,
        "service": chat.service,
        "message": {"id": message.id, "parts": _parts(message), "effect": None, "reply_to": None},
    }


def _parts(message: Message) -> list[bodies.Json]:
    return [{"type": "text", "value": message.text}]


def _sender(chat: Chat, message: Message) -> str:
    return chat.people[0] if message.from_person else chat.line


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"webhook must be an http:// or https:// URL, got {url!r}")


def _check_secret(secret: str) -> None:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(f"webhook_secret must be base64, with or without whsec_ before it, got {secret!r}")


def _checked_version(version: str) -> WebhookVersion:
    for known in VERSIONS:
        if version == known:
            return known
    raise ValueError(f"webhook_version must be one of {', '.join(VERSIONS)}, got {version!r}")
