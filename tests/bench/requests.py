"""Requests per second from one process; the server has a process and a core of its own, and answers at once or late.

The floor is httpx alone: loops of bare POSTs by clients with pools of some connections, or over its transports without
a client, which is what linq-typing does. The best of all counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from contextvars import copy_context
from typing import Any, NamedTuple

from ._peers import chat_ids, manager
from ._report import Row
from ._runner import Case, compare, measure
from ._server import Server

SHAPES = ((1, 1), (1, 5), (1, 10), (8, 8), (64, 1))
SHAPES_LATE = ((1, 10), (1, 50), (8, 8), (16, 4), (64, 1))
LATE = 0.05  # seconds until the answer
WARM_UP = 0.5  # seconds


class Plan(NamedTuple):
    rounds: int
    seconds: float
    crowds: tuple[int, ...]


PLANS = {
    "full": Plan(3, 2.0, (100, 1_000, 10_000)),
    "quick": Plan(1, 0.5, (1_000,)),
    "smoke": Plan(1, 0.3, (100,)),
}


def run(size: str) -> list[Row]:
    plan = PLANS[size]
    # The last shape is the best or nearly so: enough for a rough figure.
    shapes, shapes_late = (SHAPES, SHAPES_LATE) if size == "full" else (SHAPES[-1:], SHAPES_LATE[-1:])
    return [*_rows(plan, 0.0, shapes, "at once"), *_rows(plan, LATE, shapes_late, f"after {LATE * 1000:.0f} ms")]


def _rows(plan: Plan, delay: float, shapes: tuple[tuple[int, int], ...], when: str) -> list[Row]:
    common = {"delay": delay, "seconds": plan.seconds}
    floors = {
        f"httpx {pools}x{connections}": Case("bare", {"pools": pools, "connections": connections, **common})
        for pools, connections in shapes
    }
    floors["httpx's transport 64x1"] = Case("bare_transports", {"connections": 64, **common})
    ours = {f"linq-typing, {chats:,} chats": Case("ours", {"chats": chats, **common}) for chats in plan.crowds}
    samples = measure("requests", {**floors, **ours}, plan.rounds)
    return [
        compare(
            f"requests/s, {name.split(', ', 1)[1]}, answered {when}", samples, "rate", ours=name, others=list(floors),
            unit="/s", best=max, reach="at least 0.9",
        )
        for name in ours
    ]  # fmt: skip


# -- In the worker


def bare(pools: int, connections: int, delay: float, seconds: float) -> dict[str, float]:
    with Server(delay) as server:
        return asyncio.run(_bare(server, pools, connections, seconds))


async def _bare(server: Server, pools: int, connections: int, seconds: float) -> dict[str, float]:
    import httpx

    context = httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=connections)
    headers = {"Authorization": "Bearer bench-key"}
    clients = [httpx.AsyncClient(limits=limits, headers=headers, verify=context) for _ in range(pools)]
    urls = [server.url(chat_id) for chat_id in chat_ids(100)]

    async def post_for_ever(client: httpx.AsyncClient) -> None:
        while True:
            for url in urls:
                await client.post(url)

    return await _rate_of([post_for_ever(client) for client in clients for _ in range(connections)], server, seconds)


def bare_transports(connections: int, delay: float, seconds: float) -> dict[str, float]:
    with Server(delay) as server:
        return asyncio.run(_bare_transports(server, connections, seconds))


async def _bare_transports(server: Server, connections: int, seconds: float) -> dict[str, float]:
    import httpx

    context = httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=1)
    headers = httpx.Headers({"Authorization": "Bearer bench-key"})
    urls = [server.url(chat_id) for chat_id in chat_ids(100)]

    async def post_for_ever(transport: httpx.AsyncHTTPTransport) -> None:
        while True:
            for url in urls:
                response = await transport.handle_async_request(httpx.Request("POST", url, headers=headers))
                await response.aread()

    transports = [httpx.AsyncHTTPTransport(limits=limits, verify=context) for _ in range(connections)]
    return await _rate_of(map(post_for_ever, transports), server, seconds)


async def _rate_of(loops: Iterable[Coroutine[Any, Any, None]], server: Server, seconds: float) -> dict[str, float]:
    tasks = [asyncio.create_task(each) for each in loops]
    await asyncio.sleep(WARM_UP)
    result = await asyncio.to_thread(_rate, server, seconds)
    for task in tasks:
        task.cancel()
    return result


def ours(chats: int, delay: float, seconds: float) -> dict[str, float]:
    with Server(delay) as server:
        made = manager(server.base_url)
        interval = chats / 20_000  # seconds: asks for more than any client can do
        blocks = [made.typing_while(chat_id, refresh_interval=interval) for chat_id in chat_ids(chats)]
        for block in blocks:  # a block that is dropped ends
            copy_context().run(block.__enter__)
        while made.stats().shown < chats:  # refreshes are to be measured, not first starts
            time.sleep(0.05)
        time.sleep(WARM_UP)
        return _rate(server, seconds)


def _rate(server: Server, seconds: float) -> dict[str, float]:
    """Counted by the server; meanwhile this thread sleeps."""
    processor, began, before = time.process_time(), time.monotonic(), server.count()
    time.sleep(seconds)
    after, elapsed = server.count(), time.monotonic() - began
    made = max(after - before, 1)
    return {"rate": made / elapsed, "cpu_us": (time.process_time() - processor) / made * 1e6}
