"""Facts about Linq's API, each stated once, with its source.

Sources: "docs" is Linq's documentation of the Partner API v3 (docs.linqapp.com, "Typing indicators", "Errors",
"Messages"); "SDK" is the official Python SDK, linq-python; "seen" was measured against the production API.
"""

from __future__ import annotations

import re
from typing import Final

# -- Address and credentials

PUBLIC_BASE_URL: Final = "https://api.linqapp.com/api/partner"  #: docs, SDK
KEY_VARIABLES: Final = ("LINQ_API_V3_API_KEY", "LINQ_API_KEY")  #: the SDK's, then the docs'
BASE_URL_VARIABLE: Final = "LINQ_API_V3_BASE_URL"  #: SDK

# -- The typing indicator

START_METHOD: Final = "POST"  #: docs: no body, answered 204
STOP_METHOD: Final = "DELETE"  #: docs: no body, answered 204
REFRESH_INTERVAL: Final = 60.0  #: docs: seconds between starts
SHOWN_AT_LEAST: Final = 85.0  #: docs: one start shows the indicator for 85 to 90 s
SHOWN_AT_MOST: Final = 90.0
SETTLE: Final = 3.0  #: seen: an accepted message clears the indicator about 1 s later (p50 1.1 s, p90 2.6 s)


def typing_url(base_url: str, chat_id: str) -> str:
    """The URL of a start (POST) and of a stop (DELETE) (docs)."""
    return f"{base_url}/v3/chats/{chat_id}/typing"


# -- Answers

CHAT_STILL_BEING_CREATED: Final = 2009  #: docs: the code of the only 409 that is worth a retry
BAD_KEY: Final = 401  #: docs


def may_have_worked(status: int) -> bool:
    """Whether a request with this error status may still have taken effect: 408, and every 5xx (seen)."""
    return status == 408 or status >= 500


def is_transient(status: int, code: int | None) -> bool:
    """Whether a request with this error status is worth a retry (docs: 408, 429, 5xx, 409 with code 2009)."""
    return may_have_worked(status) or status == 429 or (status == 409 and code == CHAT_STILL_BEING_CREATED)


# -- Messages: a successful POST to one of these paths sends one (docs). Reactions, edits and read receipts don't.

#: The path names the chat.
CHAT_IN_PATH: Final = re.compile(rb"(?s).*/v3/chats/([^/]+)/(?:messages|voicememo|polls)/?")
#: The answer's body names the chat, as ``chat_id`` or ``chat.id``.
CHAT_IN_BODY: Final = re.compile(rb"(?s).*/v3/(?:chats|messages|messages/[^/]+/update)/?")
#: Where the answer's body has the message's id, for a message, a new chat's message, a voice memo, a poll (SDK).
MESSAGE_IN_BODY: Final = (("message", "id"), ("chat", "message", "id"), ("voice_memo", "id"), ("message_id",))
