"""The library's own transports, and others."""

from __future__ import annotations

import httpx_aiohttp
import pytest

from linq_typing import APIConnectionError
from linq_typing.sandbox import Sandbox

from .kit import Asked, Events, MakeManager, eventually


def test_a_refused_connection_needs_no_stop(linq: Sandbox, make_manager: MakeManager, events: Events) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events, backoff_max=0.1)
    linq.stop()
    with manager.typing_while(chat) as session:
        assert eventually(lambda: len(events) >= 2)
        assert isinstance(session.error, APIConnectionError)
    linq.start()
    manager.close()
    assert linq.requests == ()


@pytest.mark.slow
@pytest.mark.parametrize("effect_after", [0.0, 1.0], ids=["it took effect at once", "it takes effect later"])
def test_a_start_whose_answer_aiohttp_lost_leaves_no_ghost(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, effect_after: float
) -> None:
    """httpx-aiohttp reports a server that takes the request and drops the connection as a failure to connect."""
    chat = linq.chat()
    linq.lose("start", effect_after=effect_after)
    manager = make_manager(transport=httpx_aiohttp.AiohttpTransport(), max_retries=0)
    with manager.typing_while(chat, stop_delay=0) as session:
        assert linq.wait_until(lambda: session.error is not None)
    assert asked.soon(chat, "start", "stop", "stop")
    assert not linq.visible(chat)


def test_aiohttp_s_transport_serves_a_manager_that_opens_again(
    linq: Sandbox, make_manager: MakeManager, asked: Asked
) -> None:
    """It can't be used once it is closed, so closing the manager leaves it open."""
    manager = make_manager(transport=httpx_aiohttp.AiohttpTransport(), stop_delay=0)
    for chat in (linq.chat(), linq.chat()):
        with manager.typing_while(chat):
            assert asked.soon(chat, "start")
        assert manager.close()
        assert asked(chat) == ["start", "stop"]
