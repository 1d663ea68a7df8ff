"""Linq's webhook as an async view of Django; `django_asgi.py` serves it."""

import asyncio
import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from linq import AsyncLinqAPIV3

from fake_llm import answer_async
from linq_typing import typing_while, watch

linq = watch(AsyncLinqAPIV3())
replies: set[asyncio.Task[None]] = set()


@csrf_exempt  # Linq has no CSRF token; check the webhook's signature instead
async def webhook(request: HttpRequest) -> HttpResponse:
    event = json.loads(request.body)
    if event["event_type"] == "message.received":
        task = asyncio.create_task(reply(event))  # Linq wants its answer now
        replies.add(task)  # asyncio's own reference is weak
        task.add_done_callback(replies.discard)
    return HttpResponse(status=204)


@typing_while(chat_id_from="event.data.chat.id")
async def reply(event: dict[str, Any]) -> None:
    data = event["data"]
    answer = await answer_async(data["parts"][0]["value"])
    message = {"parts": [{"type": "text", "value": answer}]}
    await linq.chats.messages.send(data["chat"]["id"], message=message)


urlpatterns = [path("webhook", webhook)]
