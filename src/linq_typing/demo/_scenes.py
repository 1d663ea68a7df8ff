"""The four scenes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from linq_typing.demo._messenger import ROAD, messenger
from linq_typing.demo._stage import Scene, Stage

REPLY: Final = "It is in Lisbon, and will be with you on Friday."


def slow_work(stage: Stage) -> None:
    with stage.typing.typing_while(stage.chat_id):
        stage.work(150)


async def streaming_reply(stage: Stage) -> None:
    async with messenger(stage) as send:

        @stage.typing.typing_while
        async def reply(chat_id: str, text: str) -> AsyncIterator[str]:
            async for word in stream(stage, text):
                yield word
            await send(chat_id, stage.draft)

        async for word in reply(stage.chat_id, REPLY):
            stage.draft += word


async def stream(stage: Stage, text: str) -> AsyncIterator[str]:
    """What a model does: think, then write word by word."""
    await stage.think(5)
    for word in text.split():
        await stage.think(1.5)
        yield f" {word}" if stage.draft else word


def failing_api(stage: Stage) -> None:
    stage.linq.fail("start", 500, times=2)
    with stage.typing.typing_while(stage.chat_id):
        stage.work(5)


async def blocked_loop(stage: Stage) -> None:
    heart = asyncio.create_task(stage.beat())
    async with stage.typing.typing_while(stage.chat_id):
        await stage.think(10)
        stage.work(120)  # time.sleep() in async code: what this scene is about
        await stage.think(10)
    heart.cancel()


SCENES: tuple[Scene, ...] = (
    Scene(
        name="A with-block around slow work",
        short_name="with-block",
        story="Two and a half minutes of work: the dots are kept up, and taken down at the end.",
        code="with typing_while(chat_id):\n    answer = slow_model(question)",
        question="What does my contract say about pets?",
        lasts=150,
        speed=20,
        play=slow_work,
    ),
    Scene(
        name="A decorated, streaming reply",
        short_name="streaming reply",
        story=f"The message goes through {ROAD}, watched: no stop is needed.",
        code="@typing_while\nasync def reply(chat_id, question): ...",
        question="Where is my parcel?",
        lasts=20,
        speed=4,
        play=streaming_reply,
    ),
    Scene(
        name="An API that is down for a moment",
        short_name="API down",
        story="It answers 500 twice. The start is tried again, after pauses that grow.",
        code="with typing_while(chat_id):\n    answer = slow_model(question)  # knows nothing of it",
        question="Are you open on Sundays?",
        lasts=5,
        speed=1,
        play=failing_api,
        top_speed=2,  # the pauses are real: half a second, then one
    ),
    Scene(
        name="A caller that blocks its event loop",
        short_name="blocked loop",
        story="time.sleep() in async code: nothing else runs in that loop, but refreshes go on.",
        code="async with typing_while(chat_id):\n    time.sleep(120)",
        question="Can you check all my invoices?",
        lasts=140,
        speed=20,
        play=blocked_loop,
    ),
)
