"""How the demo's bot sends a message: through the official SDK where it is installed, else through httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module

import httpx

from linq_typing.demo._stage import Stage

Send = Callable[[str, str], Awaitable[object]]
"""Sends a text (the second argument) to a chat (the first)."""


def has_sdk() -> bool:
    """Whether the official SDK is installed: PyPI has another package that is imported as `linq`."""
    try:
        return hasattr(import_module("linq"), "AsyncLinqAPIV3")
    except ImportError:
        return False


ROAD = "the official SDK" if has_sdk() else "httpx (linq-python is not installed)"


@asynccontextmanager
async def messenger(stage: Stage) -> AsyncIterator[Send]:
    """What sends messages, watched by the library."""
    connect = through_sdk if has_sdk() else through_httpx
    async with connect(stage) as send:
        yield send


@asynccontextmanager
async def through_sdk(stage: Stage) -> AsyncIterator[Send]:
    """Messages through the official SDK."""
    from linq import AsyncLinqAPIV3

    async with AsyncLinqAPIV3(api_key=stage.linq.api_key, base_url=stage.linq.base_url) as linq:
        stage.typing.watch(linq)
        yield lambda chat_id, text: linq.chats.messages.send(
            chat_id, message={"parts": [{"type": "text", "value": text}]}
        )


@asynccontextmanager
async def through_httpx(stage: Stage) -> AsyncIterator[Send]:
    """Messages through a plain HTTP client."""
    headers = {"Authorization": f"Bearer {stage.linq.api_key}"}
    async with httpx.AsyncClient(base_url=stage.linq.base_url, headers=headers) as http:
        stage.typing.watch(http)
        yield lambda chat_id, text: http.post(
            f"/v3/chats/{chat_id}/messages", json={"message": {"parts": [{"type": "text", "value": text}]}}
        )
