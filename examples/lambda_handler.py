"""AWS Lambda behind API Gateway: the process is frozen after the answer, so send everything before returning.

`wait_on_exit=True` makes leaving wait for the stop's answer, if a stop is needed. Payload version 2026-02-03.
Set LINQ_API_V3_API_KEY and LINQ_CHAT_ID, then: python examples/lambda_handler.py
"""

import json
import os
from typing import Any

from linq import LinqAPIV3

from fake_llm import answer
from linq_typing import typing_while, watch

linq = watch(LinqAPIV3())  # made once, kept between calls


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    data = json.loads(event["body"])["data"]
    reply(data["chat"]["id"], " ".join(part["value"] for part in data["parts"] if part["type"] == "text"))
    return {"statusCode": 204}


@typing_while(wait_on_exit=True)
def reply(chat_id: str, text: str) -> None:
    linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": answer(text)}]})


if __name__ == "__main__":
    message = {"chat": {"id": os.environ["LINQ_CHAT_ID"]}, "parts": [{"type": "text", "value": "Hello"}]}
    body = json.dumps({"event_type": "message.received", "data": message})
    print(handler({"body": body}, None))
