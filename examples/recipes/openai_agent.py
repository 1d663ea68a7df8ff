"""An agent of OpenAI's agents SDK that may say something before its work is done. The indicator then comes back.

In the folder `examples`, with LINQ_API_V3_API_KEY, LINQ_CHAT_ID and OPENAI_API_KEY set: python -m recipes.openai_agent
"""

import asyncio
import os

from agents import Agent, RunContextWrapper, Runner, function_tool
from linq import AsyncLinqAPIV3

from linq_typing import typing_while, watch

linq = watch(AsyncLinqAPIV3())


async def send(chat_id: str, text: str) -> None:
    message = {"parts": [{"type": "text", "value": text}]}
    await linq.chats.messages.send(chat_id, message=message)


@function_tool
async def say(run: RunContextWrapper[str], text: str) -> None:
    """Send the person a message now, before your answer."""
    await send(run.context, text)


agent = Agent[str](name="bot", tools=[say])  # the context is the chat's id


@typing_while(resume_after=0)
async def reply(chat_id: str, text: str) -> None:
    result = await Runner.run(agent, text, context=chat_id)
    await send(chat_id, result.final_output)


if __name__ == "__main__":
    asyncio.run(reply(os.environ["LINQ_CHAT_ID"], "Where is my parcel?"))
