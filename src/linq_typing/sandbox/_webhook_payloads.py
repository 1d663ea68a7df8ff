"""The JSON of webhooks in both payload versions."""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple, get_args

from linq_typing.sandbox import _bodies as bodies
from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message, WebhookEvent, WebhookVersion

VERSIONS: Final[tuple[WebhookVersion, ...]] = get_args(WebhookVersion)
DEFAULT_VERSION: Final[WebhookVersion] = "2026-02-03"

_PARTNER = "sandbox"
_REASON = "The message could not be sent"


class Happening(NamedTuple):
    """What a webhook reports: an event of a message."""

    event: WebhookEvent
    chat: Chat
    message: Message
    at: float
    """In simulated seconds."""


def payload(model: Model, happening: Happening, version: WebhookVersion, event_id: str, created_at: str) -> bodies.Json:
    """A webhook's JSON."""
    return {
        "api_version": "v3",
        "webhook_version": version,
        "event_type": happening.event,
        "event_id": event_id,
        "created_at": created_at,
        "trace_id": uuid.uuid4().hex,
        "partner_id": _PARTNER,
        "data": _data(model, happening, version),
    }


def _data(model: Model, happening: Happening, version: WebhookVersion) -> bodies.Json:
    if happening.event == "message.failed":
        return _failed(model, happening)
    if happening.message.kind == "poll":
        return _poll(model, happening)
    return _message_2025(model, happening) if version == "2025-01-01" else _message_2026(model, happening)


def _message_2026(model: Model, happening: Happening) -> bodies.Json:
    """`MessageEventV2`."""
    _, chat, message, _ = happening
    return {
        "id": message.id,
        "chat": {**_chat(model, chat), "health_status": bodies.health_status(model, chat)},
        "direction": _direction(message),
        "sender_handle": bodies.handle(model, chat, _sender(chat, message)),
        "parts": _parts(message),
        "effect": None,
        "reply_to": None,
        "service": chat.service,
        "preferred_service": None,
        "idempotency_key": message.idempotency_key,
        **_times(model, happening),
    }


def _message_2025(model: Model, happening: Happening) -> bodies.Json:
    """Not in the Python SDK. `message` is the `MessagePayload` of the Node SDK."""
    event, chat, message, at = happening
    times = _times(model, happening)
    sender = _sender(chat, message)
    received = {"received_at": model.wall_time(at)} if event == "message.received" else {}
    return {
        "chat_id": chat.id,
        "from": sender,
        "from_handle": bodies.handle(model, chat, sender),
        "recipient_phone": chat.line if message.from_person else chat.people[0],
        "is_from_me": not message.from_person,
        "service": chat.service,
        **received,
        "message": {
            "id": message.id,
            "created_at": model.wall_time(message.accepted_at),
            "updated_at": model.wall_time(at),
            **times,
            "is_delivered": times["delivered_at"] is not None,
            "is_read": times["read_at"] is not None,
            "parts": _parts(message),
            "effect": None,
            "reply_to": None,
        },
    }


def _poll(model: Model, happening: Happening) -> bodies.Json:
    """The data of `PollSentWebhookEvent` and its like."""
    event, chat, message, at = happening
    about = {
        "chat": _chat(model, chat),
        "direction": _direction(message),
        "message_id": message.id,
        "poll": bodies.poll_snapshot(model, chat, message),
        "service": chat.service,
    }
    if event == "poll.failed":
        error = {"code": message.failure_code, "message": _REASON}
        return {**about, "error": error, "failed_at": model.wall_time(at), "sender_handle": None}
    return {
        **about,
        "created_at": model.wall_time(message.accepted_at),
        "updated_at": model.wall_time(at),
        "sender_handle": bodies.handle(model, chat, _sender(chat, message)),
        **_times(model, happening),
    }


def _failed(model: Model, happening: Happening) -> bodies.Json:
    """The data of `MessageFailedWebhookEvent`."""
    _, chat, message, at = happening
    return {
        "chat_id": chat.id,
        "message_id": message.id,
        "code": message.failure_code,
        "detail_code": None,
        "failed_at": model.wall_time(at),
        "reason": _REASON,
        "service": chat.service,
        "preferred_service": None,
    }


def _times(model: Model, happening: Happening) -> bodies.Json:
    """Null: not yet."""
    event, _, message, at = happening
    stage = event.partition(".")[2]
    return {
        "sent_at": model.wall_time(message.sent_at),
        "delivered_at": model.wall_time(message.lands_at) if stage in ("delivered", "read") else None,
        "read_at": model.wall_time(at) if stage == "read" else None,
    }


def _chat(model: Model, chat: Chat) -> bodies.Json:
    return {"id": chat.id, "is_group": chat.is_group, "owner_handle": bodies.handle(model, chat, chat.line)}


def _direction(message: Message) -> str:
    return "inbound" if message.from_person else "outbound"


def _sender(chat: Chat, message: Message) -> str:
    return chat.people[0] if message.from_person else chat.line


def _parts(message: Message) -> list[bodies.Json]:
    """The message's content, as far as the sandbox keeps it."""
    if message.kind == "voicememo":
        return [bodies.media({"attachment_id": message.id})]
    return [{"type": "text", "value": message.text}] if message.text else []
