"""Random interleavings of threads, loops, chats, sends and faults: no ghost, no overlap, no exception.

What does not depend on threads is tried more thoroughly in virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from linq_typing import TypingManager, TypingSession
from linq_typing.sandbox import Sandbox

from .kit import MakeManager

MESSAGE: Any = {"message": {"parts": [{"type": "text", "value": "Hello!"}]}}
REPLIES = 10  #: of each bot


class Bot:
    """One thread of a bot that does a bit of everything, at random."""

    def __init__(self, linq: Sandbox, manager: TypingManager, chats: list[str], seed: int) -> None:
        self._linq, self._manager, self._chats = linq, manager, chats
        self._random = random.Random(seed)
        self.seen: list[BaseException] = []

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._linq.api_key}"}
        with httpx.Client(base_url=self._linq.base_url, headers=headers, timeout=2.0, verify=False) as client:
            self._manager.watch(client)
            for _ in range(REPLIES):
                try:
                    self._reply(client)
                except ZeroDivisionError:
                    pass  # its own
                except BaseException as exc:  # noqa: BLE001 - the main thread reports it
                    self.seen.append(exc)

    def _reply(self, client: httpx.Client) -> None:
        chance, chat = self._random.random, self._random.choice(self._chats)
        options = {"stop_delay": self._random.choice([0, 0.02, 0.3]), "start_delay": self._random.choice([0, 0, 0.05])}
        options |= {"refresh_interval": self._random.choice([0.05, 0.5, 60]), "resume_after": None}
        if chance() < 0.2:
            options["resume_after"] = 0.01
        if chance() < 0.2:
            asyncio.run(self._reply_async(chat, options))
            return
        with self._manager.typing_while(chat, **options) as session:
            time.sleep(chance() * 0.1)
            self._do_something(session)
            if chance() < 0.5:
                self._send(client, chat)
            time.sleep(chance() * 0.1)
            if chance() < 0.1:
                _ = 1 / 0
        if chance() < 0.2:
            self._send(client, chat)

    async def _reply_async(self, chat: str, options: dict[str, Any]) -> None:
        async with self._manager.typing_while(chat, **options) as session:
            await asyncio.sleep(self._random.random() * 0.1)
            self._do_something(session)

    def _do_something(self, session: TypingSession) -> None:
        def send() -> None:
            with session.sending() as sending:
                time.sleep(0.01)
                sending.failed()

        self._random.choice([session.pause, session.resume, send, lambda: None, lambda: None])()

    def _send(self, client: httpx.Client, chat: str) -> None:
        with contextlib.suppress(httpx.HTTPError):  # its own client's
            client.post(f"/v3/chats/{chat}/messages", json=MESSAGE)


def no_faults(linq: Sandbox) -> None:
    linq.slow("*", before=(0, 0.05), after=(0, 0.05))


def errors(linq: Sandbox) -> None:
    no_faults(linq)
    linq.fail("typing", 500, rate=0.15, effect=True)
    linq.fail("typing", 502, rate=0.1)
    linq.fail("start", 429, rate=0.05, retry_after=0.1)
    linq.fail("send", 500, rate=0.2)


def lost_answers(linq: Sandbox) -> None:
    errors(linq)
    linq.lose("start", rate=0.05, effect_after=2.0)
    linq.lose("typing", rate=0.05, effect=False)
    linq.lose("send", rate=0.1, effect=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("faults", [no_faults, errors, lost_answers])
def test_random_interleavings(
    linq: Sandbox, make_manager: MakeManager, faults: Callable[[Sandbox], None], seed: int
) -> None:
    faults(linq)
    manager = make_manager(backoff_max=0.1, max_retries=8)
    chats = [linq.chat() for _ in range(6)]
    bots = [Bot(linq, manager, chats, seed * 100 + number) for number in range(8)]
    threads = [threading.Thread(target=bot.run) for bot in bots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error for bot in bots for error in bot.seen] == []
    assert linq.requests
    # Let the ends take their course, lost answers and all, without the hurry of close().
    assert linq.wait_until(lambda: manager.stats().chats == 0)
    linq.clear_faults()
    assert linq.wait_until(lambda: not linq.ghosts())
