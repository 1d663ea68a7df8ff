"""An async bot with the official SDK: decorate the function that replies, and change nothing else.

Set LINQ_API_V3_API_KEY and LINQ_CHAT_ID, then: python examples/decorated_bot.py
"""

import asyncio
import os

from linq import AsyncLinqAPIV3

from fake_llm import answer_async
from linq_typing import typing_while, watch


class Bot:
    def __init__(self, linq: AsyncLinqAPIV3) -> None:
        self._linq = watch(linq)

    @typing_while  # takes the chat from the parameter called chat_id
    async def reply(self, chat_id: str, text: str) -> None:
        reply = await answer_async(text)
        await self._linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": reply}]})


async def main() -> None:
    async with AsyncLinqAPIV3() as linq:
        await Bot(linq).reply(os.environ["LINQ_CHAT_ID"], "Good morning")


if __name__ == "__main__":
    asyncio.run(main())
