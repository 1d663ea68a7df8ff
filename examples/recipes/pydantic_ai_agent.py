"""An agent of pydantic-ai that may say something before its work is done. The indicator then comes back.

In the folder `examples`, with LINQ_API_V3_API_KEY, LINQ_CHAT_ID and OPENAI_API_KEY set, after
`pip install pydantic-ai-slim[openai]`: python -m recipes.pydantic_ai_agent
"""

import asyncio
import os

from linq import AsyncLinqAPIV3
from pydantic_ai import Agent, RunContext

from linq_typing import typing_while, watch

linq = watch(AsyncLinqAPIV3())
agent = Agent("openai:gpt-5", deps_type=str, defer_model_check=True)  # the chat id


async def send(chat_id: str, text: str) -> None:
    message = {"parts": [{"type": "text", "value": text}]}
    await linq.chats.messages.send(chat_id, message=message)


@agent.tool
async def say(ctx: RunContext[str], text: str) -> None:
    """Send the person a message now, before your answer."""
    await send(ctx.deps, text)


@typing_while(resume_after=0)
async def reply(chat_id: str, text: str) -> None:
    result = await agent.run(text, deps=chat_id)
    await send(chat_id, result.output)


if __name__ == "__main__":
    asyncio.run(reply(os.environ["LINQ_CHAT_ID"], "Where is my parcel?"))
