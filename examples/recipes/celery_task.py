"""A Celery task that types while it works.

In the folder `examples`, with LINQ_API_V3_API_KEY set (and REDIS_URL, if it isn't redis://localhost):
celery -A recipes.celery_task worker
"""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown
from linq import LinqAPIV3

from fake_llm import answer
from linq_typing import close, typing_while, watch

app = Celery("bot", broker=os.environ.get("REDIS_URL", "redis://localhost"))
linq = watch(LinqAPIV3())


@app.task
@typing_while
def reply(chat_id: str, text: str) -> None:
    message = {"parts": [{"type": "text", "value": answer(text)}]}
    linq.chats.messages.send(chat_id, message=message)


@worker_process_shutdown.connect
def send_last_stops(**_: Any) -> None:
    close()
