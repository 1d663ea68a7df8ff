"""Stands in for a language model: it takes its time, then echoes. Put your own model in its place.

`FAKE_LLM_SECONDS` says how long one answer takes (default: 5).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator

SECONDS = float(os.environ.get("FAKE_LLM_SECONDS", "5"))


def answer(text: str) -> str:
    """The whole answer at once. Blocks the thread."""
    time.sleep(SECONDS)
    return f"You said: {text}"


async def answer_async(text: str) -> str:
    """The whole answer at once."""
    await asyncio.sleep(SECONDS)
    return f"You said: {text}"


async def stream(text: str, paragraphs: int = 2) -> AsyncIterator[str]:
    """The answer in pieces: words, with an empty line between paragraphs."""
    for number in range(1, paragraphs + 1):
        words = [*f"Thought {number} about:".split(), *text.split()]
        for word in words:
            await asyncio.sleep(SECONDS / len(words))
            yield f"{word} "
        yield "\n\n"
