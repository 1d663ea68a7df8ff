"""A streamed reply, sent one paragraph at a time. The indicator comes back while the next paragraph is written.

Set LINQ_API_V3_API_KEY and LINQ_CHAT_ID, then: python examples/streaming_reply.py
"""

import asyncio
import os
from collections.abc import AsyncIterator

from linq import AsyncLinqAPIV3

from fake_llm import stream
from linq_typing import typing_while, watch


@typing_while(resume_after=0)  # show it again as soon as a message has settled, if there is more to come
async def paragraphs(chat_id: str, text: str) -> AsyncIterator[str]:
    """Lasts, and shows the indicator, until the last paragraph was taken."""
    written = ""
    async for piece in stream(text):
        written += piece
        if written.endswith("\n\n"):
            yield written.strip()
            written = ""


async def main() -> None:
    chat_id = os.environ["LINQ_CHAT_ID"]
    async with watch(AsyncLinqAPIV3()) as linq:
        async for paragraph in paragraphs(chat_id, "the sea"):
            await linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": paragraph}]})


if __name__ == "__main__":
    asyncio.run(main())
