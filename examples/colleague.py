"""A colleague answers by hand while the bot works: the indicator goes, and the bot keeps its reply to itself.

Needs what webhook_bot.py needs, and webhooks of the version 2026-02-03. Then: python examples/colleague.py
"""

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from linq import AsyncLinqAPIV3
from standardwebhooks import WebhookVerificationError

from fake_llm import answer_async
from linq_typing import TypingEvent, TypingManager

linq = AsyncLinqAPIV3()
sent: Counter[str] = Counter()  # messages by chat, the bot's and those of colleagues


def on_event(event: TypingEvent) -> None:
    if event.kind == "message_sent":
        sent[event.chat_id] += 1


indicator = TypingManager(client=linq, on_event=on_event)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with indicator, linq:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/webhook", status_code=204)
async def webhook(request: Request, tasks: BackgroundTasks) -> None:
    try:
        event: Any = linq.webhooks.unwrap((await request.body()).decode(), headers=request.headers)
    except WebhookVerificationError as error:
        raise HTTPException(401, "bad signature") from error
    indicator.observe(event)  # message.sent: by the bot, or else by a colleague
    if event.event_type == "message.received":
        tasks.add_task(reply, event.data.chat.id, event.data.parts[0].value)


@indicator.typing_while
async def reply(chat_id: str, text: str) -> None:
    before, message = sent[chat_id], await answer_async(text)
    if sent[chat_id] == before:
        await linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": message}]})


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
