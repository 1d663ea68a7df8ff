"""What a scene is, and what it has to play with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from linq_typing import TypingManager
from linq_typing.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens to bots. All times are the library's, and Linq's, seconds."""

    name: str
    short_name: str
    story: str
    """One sentence for people."""
    code: str
    """What a bot's author writes."""
    question: str
    """What the person wrote, which the bot works on."""
    lasts: float
    """About how many seconds."""
    speed: float
    """How many of them go into a real second."""
    play: Callable[[Stage], object]
    """Does it; runs on a thread of its own."""
    top_speed: float = 1000.0
    """What it can take, when the demo is made fast."""


@dataclass(slots=True)
class Stage:
    """What a scene has to play with: a chat, the library, Linq, and time that goes by faster."""

    chat_id: str
    typing: TypingManager
    linq: Sandbox
    speed: float
    draft: str = ""
    """What the model has written so far."""
    beats: list[float] = field(default_factory=list)
    """When the caller's event loop was seen running."""

    def work(self, seconds: float) -> None:
        """Be busy, and block the thread, as a slow call does."""
        time.sleep(seconds / self.speed)

    async def think(self, seconds: float) -> None:
        """Be busy, and leave the event loop free."""
        await asyncio.sleep(seconds / self.speed)

    async def beat(self) -> None:
        """Note, again and again, that the event loop runs; until cancelled."""
        while True:
            self.beats.append(self.linq.now)
            await self.think(1)
