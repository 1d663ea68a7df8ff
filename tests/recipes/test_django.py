"""Linq's webhook in Django, served by uvicorn."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from docs.checks import configured_django
from docs.kit import send, work
from examples.kit import Bot, check_reply_to_webhook, payload, settled, shape
from linq_typing import current_session, typing_while
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .kit import check_sender, need

need("django", "linq")

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path


@pytest.fixture
def server(linq: Sandbox, chat: str, hold: Path) -> Iterator[Bot]:
    with Bot("uvicorn", linq, chat, hold, "recipes.django_asgi:application") as bot:
        yield bot


def test_the_webhook_is_answered_at_once_and_the_reply_follows(server: Bot, linq: Sandbox, chat: str) -> None:
    check_reply_to_webhook(server, linq, chat)


def test_termination_finishes_the_reply_and_leaves_nothing(server: Bot, linq: Sandbox, chat: str) -> None:
    linq.fail("send", status=400)  # so that a stop is needed
    linq.fail("stop", status=503, retry_after=1, times=1)  # and takes longer than the server's own shutdown
    assert server.deliver(payload("2026-02-03", chat, "Hello bot")) == 204
    assert linq.wait_until(lambda: linq.visible(chat))
    server.process.send_signal(signal.SIGTERM)
    server.answer_once_it_shows()
    server.process.communicate(timeout=PATIENCE)
    assert shape(settled(linq, chat)) == "start send stop stop"


def test_a_view_whose_client_disconnects_leaves_nothing(linq: Sandbox, chat: str) -> None:
    """Django cancels the view."""

    async def view(request: HttpRequest) -> None:
        async with typing_while(chat):
            await asyncio.Event().wait()

    received = iter(["http.request", "http.disconnect"])

    async def receive() -> dict[str, Any]:
        kind = next(received)
        if kind == "http.disconnect":
            assert await asyncio.to_thread(linq.wait_until, lambda: linq.visible(chat))
        return {"type": kind}

    configured_django()
    urls = ModuleType("urls")
    urls.urlpatterns = [path("view", view)]  # type: ignore[attr-defined]
    scope = {"type": "http", "method": "GET", "path": "/view", "query_string": b"", "headers": []}
    with override_settings(ROOT_URLCONF=urls):
        asyncio.run(ASGIHandler()(scope, receive, None))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


@pytest.mark.usefixtures("watching_all")
def test_code_in_a_thread_of_django_sends_for_the_block_around_it(linq: Sandbox, chat: str) -> None:
    asyncio.run(check_sender(linq, chat, lambda: sync_to_async(send)(chat, "Hello")))


def test_a_session_in_a_thread_of_django_does_not_leak_into_the_view(linq: Sandbox, chat: str) -> None:
    """asgiref copies the context variables of its threads back."""

    def reply() -> None:
        with typing_while(chat):
            work(linq)

    async def view() -> None:
        await sync_to_async(reply)()
        assert current_session() is None

    asyncio.run(view())
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")
