"""The JSON of Linq's answers, as the official SDK and the documentation describe it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._records import Message

Json = dict[str, Any]

_CDN = "https://cdn.linqapp.com/attachments/sandbox"


def sent(model: Model, chat: Chat, message: Message, content: Mapping[str, Any]) -> Json:
    """`MessageSendResponse`."""
    return {"chat_id": chat.id, "message": sent_message(model, chat, message, content)}


def sent_message(model: Model, chat: Chat, message: Message, content: Mapping[str, Any]) -> Json:
    """`SentMessage`; `content` is the `message` in the request."""
    return {
        "id": message.id,
        "created_at": model.wall_time(message.accepted_at),
        "sent_at": None,
        "delivered_at": None,
        "delivery_status": "pending",
        "is_read": False,
        "parts": [_part(part) for part in content.get("parts") or ()],
        "effect": content.get("effect"),
        "from_handle": handle(model, chat, chat.line),
        "preferred_service": content.get("preferred_service"),
        "reply_to": content.get("reply_to"),
        "service": chat.service,
    }


def created_chat(model: Model, chat: Chat, message: Message, content: Mapping[str, Any]) -> Json:
    """`ChatCreateResponse`."""
    return {"chat": {**_chat(model, chat), "message": sent_message(model, chat, message, content)}}


def created_message(model: Model, chat: Chat, message: Message, content: Mapping[str, Any], *, is_new: bool) -> Json:
    """`MessageCreateResponse`."""
    reason = "new_best_number" if is_new else "reused_active_chat"
    return {
        **sent(model, chat, message, content),
        "created_new_chat": is_new,
        "from": chat.line,
        "from_selection": {"reason": reason, "reused_existing_chat": not is_new},
        "handles": _handles(model, chat),
        "is_group": chat.is_group,
        "service": chat.service,
        "previous_chat_id": None,
    }


def chat_details(model: Model, chat: Chat) -> Json:
    """`Chat`."""
    last = chat.messages[-1].accepted_at if chat.messages else chat.created_at
    return {
        **_chat(model, chat),
        "created_at": model.wall_time(chat.created_at),
        "updated_at": model.wall_time(last),
        "is_archived": False,
        "group_chat_icon": None,
    }


def voice_memo(model: Model, chat: Chat, message: Message, content: Mapping[str, Any]) -> Json:
    """`ChatSendVoicememoResponse`."""
    attachment = content.get("attachment_id") or str(uuid.uuid4())
    return {
        "voice_memo": {
            "id": message.id,
            "chat": {
                "id": chat.id,
                "handles": _handles(model, chat),
                "is_active": True,
                "is_group": chat.is_group,
                "service": chat.service,
            },
            "created_at": model.wall_time(message.accepted_at),
            "from": chat.line,
            "to": list(chat.people),
            "status": "queued",
            "service": chat.service,
            "voice_memo": {
                "id": attachment,
                "filename": "voice.m4a",
                "mime_type": "audio/x-m4a",
                "size_bytes": 0,
                "duration_ms": None,
                "url": content.get("voice_memo_url") or f"{_CDN}/{attachment}/voice.m4a",
            },
        }
    }


def poll(model: Model, chat: Chat, message: Message) -> Json:
    """`PollEnvelope`."""
    at = model.wall_time(message.accepted_at)
    return {
        "chat_id": chat.id,
        "message_id": message.id,
        "created_at": at,
        "updated_at": at,
        "reactions": [],
        "poll": poll_snapshot(model, chat, message),
    }


def poll_snapshot(model: Model, chat: Chat, message: Message) -> Json:
    """A poll's options, without votes."""
    creator = handle(model, chat, chat.line)
    options = [_option(f"{message.id}/{index}", text, creator) for index, text in enumerate(message.options)]
    return {"options": options, "total_voters": 0}


def reaction(trace_id: str) -> Json:
    """`MessageAddReactionResponse`."""
    return {"status": "accepted", "message": "Reaction processed", "trace_id": trace_id}


def _chat(model: Model, chat: Chat) -> Json:
    return {
        "id": chat.id,
        "display_name": ", ".join(chat.people),
        "handles": _handles(model, chat),
        "health_status": health_status(model, chat),
        "is_group": chat.is_group,
        "service": chat.service,
    }


def health_status(model: Model, chat: Chat) -> Json:
    """`HealthStatus`."""
    return {
        "doc_url": "https://docs.linqapp.com/channel/imessage/guides/chats/chat-health",
        "status": "HEALTHY",
        "updated_at": model.wall_time(chat.created_at),
    }


def _handles(model: Model, chat: Chat) -> list[Json]:
    return [handle(model, chat, address) for address in (chat.line, *chat.people)]


def handle(model: Model, chat: Chat, address: str) -> Json:
    """`ChatHandle`."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"tel:{address}")),
        "handle": address,
        "joined_at": model.wall_time(chat.created_at),
        "left_at": None,
        "service": chat.service,
        "is_me": address == chat.line,
        "status": "active",
    }


def _option(name: str, text: str, creator: Json) -> Json:
    return {
        "option_id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "text": text,
        "can_be_edited": False,
        "creator_handle": creator,
        "voters": [],
    }


def _part(part: Mapping[str, Any]) -> Json:
    if part.get("type") == "media":
        return {**media(part), "reactions": None}
    return {"reactions": None, **part}


def media(part: Mapping[str, Any]) -> Json:
    """`MediaPartResponse`."""
    attachment = part.get("attachment_id") or str(uuid.uuid4())
    url = part.get("url") or f"{_CDN}/{attachment}/file"
    return {
        "type": "media",
        "id": attachment,
        "filename": url.rsplit("/", 1)[-1],
        "mime_type": "application/octet-stream",
        "size_bytes": 0,
        "url": url,
    }
