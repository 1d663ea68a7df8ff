"""Random interleavings of chats, sessions, messages and faults: no ghost, no overlap, no exception."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from linq_typing import TypingManager, TypingSession

from .kit import MakeManager, VirtualLinq, say

SECONDS = 60.0


class Bot:
    """Does a bit of everything, at random."""

    def __init__(
        self, manager: TypingManager, client: httpx.AsyncClient, chats: list[str], seed: str, *, closes: bool
    ) -> None:
        self._manager, self._client, self._chats, self._closes = manager, client, chats, closes
        self._random = random.Random(seed)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < SECONDS:
            with contextlib.suppress(ZeroDivisionError):
                await self._reply(self._random.choice(self._chats))

    async def _reply(self, chat: str) -> None:
        chance, choose = self._random.random, self._random.choice
        options: dict[str, Any] = {
            "start_delay": choose([0.0, 0.0, 1.0]),
            "stop_delay": choose([0.0, 0.5, 5.0]),
            "refresh_interval": choose([1.0, 10.0, 60.0]),
            "max_duration": choose([2.0, 600.0]),
            "resume_after": choose([None, None, 1.0]),
        }
        async with self._manager.typing_while(chat, **options) as session:
            await self._pass_time()
            await self._do_something(session)
            if chance() < 0.5:
                await self._send(chat)
            await self._pass_time()
            if chance() < 0.1:
                _ = 1 / 0
        if chance() < 0.3:
            await self._send(chat)
        await self._pass_time()

    async def _pass_time(self) -> None:
        await asyncio.sleep(self._random.choice([0.0, 0.1, 1.0, 5.0]) * self._random.random())

    async def _do_something(self, session: TypingSession) -> None:
        async def send() -> None:
            async with session.sending() as sending:
                await self._pass_time()
                sending.failed()

        async def pause() -> None:
            session.pause()

        async def resume() -> None:
            session.resume()

        async def flush() -> None:
            await self._manager.aflush()

        async def close() -> None:
            if self._closes and self._random.random() < 0.2:
                await self._manager.aclose()

        await self._random.choice([pause, resume, send, flush, close, self._pass_time])()

    async def _send(self, chat: str) -> None:
        with contextlib.suppress(httpx.HTTPError):  # its own client's
            await say(self._client, chat)


def no_faults(linq: VirtualLinq) -> None:
    linq.slow("*", before=(0.0, 0.5), after=(0.0, 0.5))


def errors(linq: VirtualLinq) -> None:
    no_faults(linq)
    linq.fail("typing", 500, rate=0.15, effect=True)
    linq.fail("typing", 502, rate=0.1)
    linq.fail("start", 429, rate=0.05, retry_after=1.0)
    linq.fail("send", 500, rate=0.2)


def lost_answers(linq: VirtualLinq) -> None:
    errors(linq)
    linq.lose("start", rate=0.05, effect_after=4.0)
    linq.lose("stop", rate=0.05, effect_after=4.0)
    linq.lose("typing", rate=0.05, hang=True)
    linq.lose("typing", rate=0.05, effect=False)
    linq.lose("send", rate=0.1, effect=False)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("faults", [no_faults, errors, lost_answers])
def test_random_interleavings(
    linq: VirtualLinq,
    make_manager: MakeManager,
    async_client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    faults: Callable[[VirtualLinq], None],
    seed: int,
) -> None:
    monkeypatch.setattr(random, "random", random.Random(seed).random)  # the back-off's jitter
    faults(linq)
    manager = make_manager(max_retries=20, max_connections=3)
    manager.watch(async_client)
    chats = [linq.chat() for _ in range(4)]
    closes = faults is no_faults  # else closing may give up a stop, and leave a ghost
    bots = [Bot(manager, async_client, chats, f"{seed} {number}", closes=closes) for number in range(6)]
    running = [linq.begin(bot.run()) for bot in bots]
    assert linq.wait_until(lambda: all(task.done() for task in running))
    assert [task.exception() for task in running] == [None] * len(bots)
    assert len(linq.requests) > 30
    # Let the ends take their course, lost answers and all, without the haste of close().
    assert linq.wait_until(lambda: manager.stats().chats == 0)
    assert linq.ghosts() == ()
    assert [chat for chat in chats if linq.timeline(chat).ghost] == []
