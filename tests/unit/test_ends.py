"""Who waits for the end may stop waiting; the end comes all the same, for whoever asks next."""

import asyncio
import logging
import time

import httpx
import pytest

from linq_typing import TypingManager

from .kit import CHAT


class _SlowStops(httpx.AsyncBaseTransport):
    """Accepts everything; a stop after a while."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            await asyncio.sleep(0.2)
        return httpx.Response(204)


def test_a_close_after_a_cancelled_aclose_ends_soon(caplog: pytest.LogCaptureFixture) -> None:
    """The cancelled waiter's future is nobody else's."""

    async def impatient(manager: TypingManager) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(manager.aclose(), 0.05)

    manager = TypingManager(api_key="key-of-a-test", base_url="http://linq.test", transport=_SlowStops())
    with manager.typing_while(CHAT):
        manager.typing_while(CHAT)
        deadline = time.monotonic() + 10
        while not manager.stats().requests and time.monotonic() < deadline:
            time.sleep(0.005)
    asyncio.run(impatient(manager))
    began = time.monotonic()
    manager.close()
    manager.close()
    assert time.monotonic() - began < 3.0
    assert manager.stats().requests == {"accepted": 2}
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
