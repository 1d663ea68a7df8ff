"""Linq's webhooks with Flask: answer the webhook at once, reply in a thread. Payload version 2026-02-03.

Needs `pip install flask`. Set LINQ_API_V3_API_KEY, then: python examples/flask_bot.py
(`webhook_bot.py` shows how to check the webhook's signature.)
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, request
from linq import LinqAPIV3

from fake_llm import answer
from linq_typing import typing_while, watch

app = Flask(__name__)
linq = watch(LinqAPIV3())
pool = ThreadPoolExecutor(max_workers=8)


@app.post("/webhook")
def webhook() -> tuple[str, int]:
    event = request.get_json()
    if event["event_type"] == "message.received":
        pool.submit(reply, event)
    return "", 204


@typing_while(chat_id_from="event.data.chat.id")
def reply(event: dict[str, Any]) -> None:
    data = event["data"]
    text = " ".join(part["value"] for part in data["parts"] if part["type"] == "text")
    linq.chats.messages.send(data["chat"]["id"], message={"parts": [{"type": "text", "value": answer(text)}]})


if __name__ == "__main__":
    # By default SIGTERM kills a Python process at once, and the indicator would stay. Make it exit cleanly instead:
    # the threads finish their replies, then the stops that are left go out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(port=int(os.environ.get("PORT", "8000")))
