"""The simplest form: the indicator shows while the block runs, and the reply clears it.

Set LINQ_API_V3_API_KEY and LINQ_CHAT_ID, then: python examples/with_block.py
"""

import os

from linq import LinqAPIV3

from fake_llm import answer
from linq_typing import typing_while, watch

linq = watch(LinqAPIV3())  # watched: after a message no stop request is needed


def main() -> None:
    chat_id = os.environ["LINQ_CHAT_ID"]
    with typing_while(chat_id):
        reply = answer("What is a typing indicator for?")
    linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": reply}]})


if __name__ == "__main__":
    main()
