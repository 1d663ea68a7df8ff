"""A draft that a person must approve: nobody types while it waits, so the indicator is paused.

Set LINQ_API_V3_API_KEY and LINQ_CHAT_ID, then: python examples/approval.py
"""

import os

from linq import LinqAPIV3

from fake_llm import answer
from linq_typing import current_session, typing_while, watch

linq = watch(LinqAPIV3())


@typing_while
def reply(chat_id: str, text: str) -> None:
    draft = answer(text)
    while not approved(draft):
        draft = answer(f"{text} (in other words)")
    linq.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": draft}]})


def approved(draft: str) -> bool:
    session = current_session()  # the way to the session from anywhere inside the decorated function
    assert session is not None
    with session.paused():
        return input(f"Send {draft!r}? [y/n] ").lower().startswith("y")


if __name__ == "__main__":
    reply(os.environ["LINQ_CHAT_ID"], "I want my money back")
