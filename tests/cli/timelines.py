"""Timelines and views made by hand."""

from __future__ import annotations

from itertools import count
from typing import Any

from linq_typing.cli.demo._player import View
from linq_typing.cli.demo._scenes import Scene
from linq_typing.sandbox import Message, Request, Showing, Timeline

CHAT = "6f1c2f6e-6b1c-4a57-9a3e-5c2d7c9f0b11"
_ids = count(1)


def request(endpoint: Any, at: float, status: int | None = 204, change: Any = None) -> Request:
    """A request that was answered 0.1 s after its arrival; status None: it is under way."""
    return Request(
        id=next(_ids),
        method="DELETE" if endpoint == "stop" else "POST",
        path="/v3/chats/...",
        endpoint=endpoint,
        chat_id=CHAT,
        received_at=at,
        effect_at=at if change else None,
        change=change,
        note="",
        ended_at=None if status is None else at + 0.1,
        outcome="pending" if status is None else "answered",
        status=status,
        code=None,
        overlapped=(),
    )


def message(text: str, at: float, *, lands_at: float | None = None, from_person: bool = False) -> Message:
    """A message; the bot's own lands a second later."""
    lands = lands_at if lands_at is not None else at if from_person else at + 1
    return Message("m", CHAT, "message", text, from_person, at, lands)


def timeline(
    *requests: Request, now: float = 100.0, showings: tuple[Showing, ...] = (), messages: tuple[Message, ...] = ()
) -> Timeline:
    """What happened in a chat up to `now`."""
    return Timeline(CHAT, "iMessage", False, now, requests, showings, messages, (), 1)


SCENE = Scene(
    name="A scene",
    short_name="scene",
    story="Something happens.",
    code="with typing_while(chat_id):\n    answer = slow_model(question)",
    question="Where is my parcel?",
    lasts=150,
    speed=20,
    play=lambda stage: None,
)


def view(of: Timeline, **changes: Any) -> View:
    """A view of it."""
    return View(**{"scene": SCENE, "number": "1/4", "speed": 20, "timeline": of, **changes})
