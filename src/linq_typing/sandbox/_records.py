"""Frozen records of what was requested, shown and sent.

All times are in modelled seconds since the sandbox was created (see `Sandbox.time_scale`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Service = Literal["iMessage", "SMS", "RCS"]

Endpoint = Literal["start", "stop", "send", "react", "read", "get", "other"]
"""What a request asks for. `send` covers all six requests that put a message into a chat."""

Outcome = Literal["pending", "answered", "dropped", "abandoned"]
"""How a request ended: `dropped` by the sandbox without an answer, `abandoned` by the client before one."""

Change = Literal["shown", "extended", "hidden", "message", "nothing"]
"""What a request did to the recipient's screen when it took effect."""

EndedBy = Literal["stop", "message", "expired", "reopened"]

TYPING: frozenset[Endpoint] = frozenset({"start", "stop"})


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
    """None when the request names no chat that exists."""
    received_at: float
    effect_at: float | None
    """When it took effect; None: never (refused, lost, or not yet)."""
    change: Change | None
    note: str
    """Why it changed nothing, when it did not; else empty."""
    ended_at: float | None
    """When it stopped being in flight; None: it still is."""
    outcome: Outcome
    status: int | None
    """The answer's status; None without an answer."""
    code: int | None
    """Linq's error code, for a refusal."""
    overlapped: tuple[int, ...]
    """The ids of the requests for the same chat that were in flight when this one arrived."""

    @property
    def answered_at(self) -> float | None:
        """When the answer went out; None without an answer."""
        return self.ended_at if self.outcome == "answered" else None

    @property
    def accepted(self) -> bool:
        """Whether it was answered 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Showing:
    """A stretch of time in which the recipient saw the indicator: from `since`, up to but without `until`."""

    since: float
    until: float | None
    """None: it is showing now."""
    ended_by: EndedBy | None
    expires_at: float
    """When it ends, or would have ended, if nothing else comes."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a chat."""

    id: str
    chat_id: str
    kind: Literal["message", "voicememo", "poll", "update"]
    text: str
    from_person: bool
    accepted_at: float
    lands_at: float
    """When it is really sent, and clears the indicator; may lie ahead."""
