"""Typing requests per reply that takes 8 s and is sent inside the block, in real time, all candidates at once.

The peers know no stop: what they make are starts, at the intervals that their own services ask for. The naive task does
what it takes on Linq: a start, a refresh when due, and a stop.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from ._peers import PEERS, chat_ids, manager, peers_of
from ._results import Measured, of
from ._runner import Case, measure_together
from ._server import Server

SETTLED = 4.0  # seconds after which no request comes any more


class Plan(NamedTuple):
    seconds: float


PLANS = {"full": Plan(8.0), "quick": Plan(8.0), "smoke": Plan(0.2)}


def run(size: str) -> list[Measured]:
    seconds = PLANS[size].seconds
    cases = {"linq-typing": Case("ours", {"seconds": seconds})}
    cases |= {name: Case("peer", {"name": name, "seconds": seconds}) for name in peers_of(size)}
    samples = measure_together("reply", cases)
    return [of(f"typing requests for a reply of {seconds:g} s", "", samples, "requests", goal="1")]


# -- In the worker


def peer(name: str, seconds: float) -> dict[str, float]:
    return asyncio.run(_peer(name, seconds))


async def _peer(name: str, seconds: float) -> dict[str, float]:
    requests = 0

    async def send() -> None:
        nonlocal requests
        requests += 1

    async with PEERS[name](send)(1):
        await asyncio.sleep(seconds)
    await asyncio.sleep(0.1)
    return {"requests": requests}


def ours(seconds: float) -> dict[str, float]:
    import httpx

    chat_id = chat_ids(1)[0]
    with Server() as server, httpx.Client() as client, manager(server.base_url) as made:
        made.watch(client)
        with made.typing_while(chat_id):
            time.sleep(seconds)
            client.post(f"{server.base_url}/v3/chats/{chat_id}/messages", json={})
        time.sleep(SETTLED)
        made.close()
        return {"requests": sum(arrival.is_typing for arrival in server.arrivals())}
