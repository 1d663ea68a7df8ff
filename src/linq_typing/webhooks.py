"""Reads what Linq's webhooks say about messages from the line, in both payload versions.

The versions put the same facts in different places, and the SDK's ``unwrap`` returns objects of classes that don't
match the event. So each field is looked up wherever it may be, by mapping key, else by attribute, and a webhook with
unexpected content is ignored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final, cast

from ._core.observations import Kind, Observation
from ._json import parsed
from ._settings import parse_chat_id

logger = logging.getLogger("linq_typing")

_MAX_BODY: Final = 1_048_576  #: characters; longer JSON is ignored
_MAX_ID: Final = 200  #: characters; longer ids are ignored
_TOO_OLD: Final = 60.0  #: seconds after which a webhook is ignored
_EVENT: Final = re.compile(r"(?:message|poll)\.(sent|delivered|failed|read|received)")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?(?:([Zz])|([+-]\d\d):?(\d\d))?")


def read(event: object, now: datetime) -> Observation | None:
    """What a webhook says about a message from the line; None if it is about something else, is not a webhook, reports
    history, or was created over a minute before ``now``."""
    try:
        if isinstance(event, (str, bytes, bytearray, memoryview)):
            event = parsed(event if isinstance(event, str) else bytes(event), _MAX_BODY)
        return _read(event, now)
    except (ValueError, TypeError, OverflowError) as error:
        logger.debug("ignored a webhook: %s", type(error).__name__)
        return None


def _read(event: object, now: datetime) -> Observation | None:
    event_type, data = _get(event, "event_type"), _get(event, "data")
    known = _EVENT.fullmatch(event_type) if isinstance(event_type, str) else None
    if known is None or not _is_own(data, unless_told=known[1] != "received"):
        return None
    created_at = _get(event, "created_at")
    age = 0.0 if created_at is None else max(0.0, (now - _time(created_at)).total_seconds())
    if age > _TOO_OLD or _get(data, "reconciled_at") is not None:
        return None
    kind = cast(Kind, known[1] if known[1] != "received" else "sent")  # an echo of a sent message
    message_id = _id(data, "message.id", "message_id", "id")
    chat_id = _id(data, "chat.id", "chat_id")
    if chat_id:
        chat_id = parse_chat_id(chat_id)
    if not (chat_id if kind == "read" else message_id and (chat_id or kind == "failed")):
        raise ValueError("it names no message, or no chat")
    return Observation(kind, chat_id, message_id, _id(event, "event_id"), age)


def _is_own(data: object, *, unless_told: bool) -> bool:
    """Whether the message is from the line. Some webhooks don't say, since they are never about other messages."""
    direction = _get(data, "direction")
    if direction in ("inbound", "outbound"):
        return bool(direction == "outbound")
    is_from_me = _get(data, "is_from_me")
    if is_from_me is None:
        is_from_me = _get(_get(data, "sender_handle"), "is_me")
    return is_from_me if isinstance(is_from_me, bool) else unless_told


def _id(thing: object, *paths: str) -> str:
    """The id at the first of these paths that has one; empty if none has."""
    for path in paths:
        found = thing
        for name in path.split("."):
            found = _get(found, name)
        if isinstance(found, str) and 0 < len(found) <= _MAX_ID:
            return found
    return ""


def _get(thing: object, name: str) -> Any:
    """Look up a mapping's key, or an object's attribute; None if it is missing."""
    try:
        return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property of a foreign object may raise anything
        return None


def _time(value: object) -> datetime:
    """A time, as Linq writes it or as the SDK parses it. Python 3.10 parses neither Z nor more than six digits."""
    if isinstance(value, datetime):
        moment = value
    elif match := _TIME.fullmatch(value) if isinstance(value, str) and len(value) <= _MAX_ID else None:
        day, clock, fraction, _, hours, minutes = match.groups()
        moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '.0')[:7]:0<7}{hours or '+00'}:{minutes or '00'}")
    else:
        raise ValueError("it has no time")
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
