"""A reply that a browser reads while it is written, in server-sent events.
Run `uvicorn recipes.sse_stream:app` in the folder `examples`, with LINQ_API_V3_API_KEY set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import Depends, FastAPI
from fastapi.sse import EventSourceResponse as Events
from linq import AsyncLinqAPIV3

from fake_llm import stream
from linq_typing import TypingManager

linq = AsyncLinqAPIV3()
indicator = TypingManager(client=linq)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with indicator, linq:
        yield


async def typing(chat_id: UUID) -> AsyncIterator[None]:
    async with indicator.typing_while(chat_id):
        yield  # until the response ends, or the browser goes away


app = FastAPI(lifespan=lifespan)


@app.get("/reply/{chat_id}", response_class=Events, dependencies=[Depends(typing)])
async def reply(chat_id: str, text: str) -> AsyncIterator[str]:
    pieces = []
    async for piece in stream(text):
        pieces.append(piece)
        yield piece
    message = {"parts": [{"type": "text", "value": "".join(pieces)}]}
    await linq.chats.messages.send(chat_id, message=message)
