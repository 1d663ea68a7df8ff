"""Frozen records of what was requested, shown and sent.

All times are in simulated seconds since the sandbox was created (see `Sandbox.time_scale`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Service = Literal["iMessage", "SMS", "RCS"]

Endpoint = Literal["start", "stop", "send", "react", "read", "get", "other"]
"""What a request is for. `send` covers all six requests that put a message into a chat."""

Outcome = Literal["pending", "answered", "dropped", "abandoned"]
"""How a request ended: `dropped` by the sandbox without an answer, `abandoned` by the client before the answer."""

Change = Literal["shown", "extended", "hidden", "message", "nothing"]
"""What a request changed on the recipient's screen when it took effect."""

EndedBy = Literal["stop", "message", "expired", "reopened"]

MessageKind = Literal["message", "voicememo", "poll", "update"]

WebhookVersion = Literal["2025-01-01", "2026-02-03"]

WebhookEvent = Literal[
    "message.received",
    "message.sent",
    "message.delivered",
    "message.failed",
    "message.read",
    "poll.sent",
    "poll.delivered",
    "poll.failed",
    "poll.read",
]

TYPING: frozenset[Endpoint] = frozenset({"start", "stop"})

_SENT_AHEAD = 0.3  # simulated seconds from the line to the recipient's device


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as the server saw it."""

    id: int
    """Position in the order of arrival, from 1."""
    method: str
    path: str
    """Below the base URL: `/v3/chats/.../typing`."""
    endpoint: Endpoint
    chat_id: str | None
    """None if the request names no existing chat."""
    received_at: float
    effect_at: float | None = None
    """When it took effect; None: never (refused or lost), or not yet."""
    change: Change | None = None
    note: str = ""
    """Why it changed nothing, if it did not; else empty."""
    ended_at: float | None = None
    """When it stopped being in flight; None: it still is."""
    outcome: Outcome = "pending"
    status: int | None = None
    """The answer's status; None without an answer."""
    code: int | None = None
    """Linq's error code, if refused."""
    overlapped: tuple[int, ...] = ()
    """The ids of the requests for the same chat that were in flight when this one arrived."""

    @property
    def answered_at(self) -> float | None:
        """When the answer was sent; None without an answer."""
        return self.ended_at if self.outcome == "answered" else None

    @property
    def accepted(self) -> bool:
        """Whether it was answered 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Showing:
    """A period in which the recipient saw the indicator: from `since` up to, but not including, `until`."""

    since: float
    until: float | None
    """None: it is showing now."""
    ended_by: EndedBy | None
    expires_at: float
    """When it times out, or would have timed out, without further requests."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a chat."""

    id: str
    chat_id: str
    kind: MessageKind
    text: str
    from_person: bool
    accepted_at: float
    lands_at: float
    """When it is on the recipient's device, and clears the indicator (or when it fails); may be in the future."""
    from_colleague: bool = False
    """Sent from the bot's own number, but by a human."""
    idempotency_key: str | None = None
    options: tuple[str, ...] = ()
    """Of a poll."""
    failure_code: int | None = None
    """Linq's error code if it was accepted but will never be sent; else None."""

    @property
    def sent_at(self) -> float:
        """When it leaves the line, shortly before it lands."""
        return max(self.accepted_at, self.lands_at - _SENT_AHEAD)

    def has_landed(self, now: float) -> bool:
        """Whether the recipient has it."""
        return self.failure_code is None and self.lands_at <= now


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook that is being delivered, or was. A duplicate is a record of its own with the same `event_id`."""

    id: int
    """Position in the order in which they were created, from 1."""
    event: WebhookEvent
    event_id: str
    chat_id: str
    message_id: str
    version: WebhookVersion
    url: str
    """Empty if it goes to a function."""
    body: str = field(repr=False)
    """The JSON."""
    at: float
    """When the event happened."""
    outcome: Literal["pending", "delivered", "failed"] = "pending"
    """`failed`: it will not be tried again."""
    attempts: int = 0
    status: int | None = None
    """The answer to the latest attempt; None without an answer."""
    error: str = ""
    """Why the latest attempt had no answer; else empty."""
    latency: float | None = None
    """How long the latest attempt took, in real seconds."""
    next_at: float | None = None
    """When it is tried again; else None."""
