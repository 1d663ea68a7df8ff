"""Linq's webhooks with FastAPI, in both payload versions (2025-01-01 and 2026-02-03).

Needs `pip install fastapi uvicorn "linq-python[webhooks]"`. Set LINQ_API_V3_API_KEY and LINQ_WEBHOOK_SECRET, then:
python examples/webhook_bot.py
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from linq import AsyncLinqAPIV3
from standardwebhooks import WebhookVerificationError

from fake_llm import answer_async
from linq_typing import TypingManager

linq = AsyncLinqAPIV3()
indicator = TypingManager(client=linq)  # takes the client's key, and notices its messages


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with indicator, linq:  # at shutdown: the last stops go out, then the connections close
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/webhook", status_code=204)
async def webhook(request: Request, tasks: BackgroundTasks) -> None:
    body = (await request.body()).decode()
    try:
        linq.webhooks.unwrap(body, headers=request.headers)
    except WebhookVerificationError as error:
        raise HTTPException(401, "bad signature") from error
    event = json.loads(body)
    indicator.observe(event)  # delivered, failed and read messages, and those of others, matter to it
    if event["event_type"] == "message.received":
        tasks.add_task(reply, *read(event["data"]))  # Linq wants its answer now, not after the reply


def read(data: dict[str, Any]) -> tuple[str, str]:
    """The chat and the text of a message."""
    chat_id = data["chat"]["id"] if "chat" in data else data["chat_id"]
    parts = data["parts"] if "parts" in data else data["message"]["parts"]
    return chat_id, " ".join(part["value"] for part in parts if part["type"] == "text")


@indicator.typing_while  # the task, not the route: the route is over in a moment
async def reply(chat_id: str, text: str) -> None:
    await linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": await answer_async(text)}]})


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
