"""Transports other than the library's own."""

from __future__ import annotations

import httpx_aiohttp
import pytest
from behaviour_kit import Asked, MakeManager

from linq_typing.sandbox import Sandbox


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
    assert asked.soon(chat, "start", "stop", "stop", timeout=20)
    assert not linq.visible(chat)
