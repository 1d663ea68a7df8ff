"""Requests per second from one process over TLS, by transport: at once, and at a distance.

The floor is the transport alone: a loop of bare POSTs for each connection, without an httpx client, which is what
linq-typing does. Each also beside a thread that computes in Python without pause.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import copy_context
from itertools import cycle
from typing import Any, NamedTuple

from ._peers import chat_ids, manager
from ._results import Measured, of
from ._runner import Case, measure
from ._server import Server
from ._transports import TRANSPORTS, Post

DEFAULT = 64  # connections
WANTED = 4_000  # requests/s: more than any transport makes here
CHATS_PER_CONNECTION = 4
ASKED = 20_000  # requests/s: more than any client can do
WARM_UP = 0.5  # seconds


class Point(NamedTuple):
    """Where the server is, and what there is to reach it."""

    distance: float
    connections: int
    computing: bool = False

    def __str__(self) -> str:
        where = f"{1000 * self.distance:.0f} ms away" if self.distance else "at once"
        return f"{where}, {self.connections} connections{', beside a computing thread' if self.computing else ''}"


AT_ONCE, NEAR, FAR = (Point(distance, max(DEFAULT, round(WANTED * distance))) for distance in (0.0, 0.05, 0.15))
POINTS = (
    AT_ONCE, NEAR._replace(connections=DEFAULT), NEAR, FAR._replace(connections=DEFAULT), FAR,
    AT_ONCE._replace(computing=True), FAR._replace(computing=True),
)  # fmt: skip


class Plan(NamedTuple):
    rounds: int
    seconds: float
    points: tuple[Point, ...]


PLANS = {
    "full": Plan(3, 1.0, POINTS),
    "quick": Plan(1, 0.5, (AT_ONCE, FAR)),
    "smoke": Plan(1, 0.3, (Point(0.0, 8), Point(0.01, 8, computing=True))),
}


def alone(transport: str) -> str:
    return f"{transport} alone"


def run(size: str) -> list[Measured]:
    plan = PLANS[size]
    return [_measured(plan, point) for point in plan.points]


def _measured(plan: Plan, point: Point) -> Measured:
    print(f"  {point}", flush=True)
    cases: dict[str, Case] = {}
    for name in TRANSPORTS:
        figures = {"transport": name, "point": point, "seconds": plan.seconds}
        cases |= {name: Case("ours", figures), alone(name): Case("bare", figures)}
    samples = measure("requests", cases, plan.rounds)
    against = {name: alone(name) for name in TRANSPORTS}
    return of(str(point), "/s", samples, "rate", against, "httpx: at least 0.9")


# -- In the worker


def bare(transport: str, point: Any, seconds: float) -> dict[str, float]:
    point = Point(*point)
    with Server(distance=point.distance, tls=True) as server:
        return asyncio.run(_bare(server, transport, point, seconds))


async def _bare(server: Server, transport: str, point: Point, seconds: float) -> dict[str, float]:
    posts = TRANSPORTS[transport].alone(point.connections)
    urls = [server.url(chat_id) for chat_id in chat_ids(100)]

    async def repeat_until_measured(post: Post) -> None:
        for url in cycle(urls):
            await post(url)
            if measured.done():
                break

    await asyncio.gather(*(post(urls[0]) for post in posts))  # now all are connected
    measured = asyncio.create_task(asyncio.to_thread(_rate, server, point, seconds))
    await asyncio.gather(*map(repeat_until_measured, posts))  # not cancelled: pyreqwest sometimes goes on then
    return await measured


def ours(transport: str, point: Any, seconds: float) -> dict[str, float]:
    point = Point(*point)
    with Server(distance=point.distance, tls=True) as server:
        chats = CHATS_PER_CONNECTION * point.connections
        made = manager(
            server.base_url,
            transport=TRANSPORTS[transport].option(point.connections),
            max_connections=point.connections,
            refresh_interval=chats / ASKED,
        )
        blocks = [made.typing_while(chat_id) for chat_id in chat_ids(chats)]
        for block in blocks:  # a block that is dropped ends
            copy_context().run(block.__enter__)
        while made.stats().shown < chats:  # refreshes are to be measured, not first starts
            time.sleep(0.05)
        return _rate(server, point, seconds)


def _rate(server: Server, point: Point, seconds: float) -> dict[str, float]:
    """Counted by the server; meanwhile this thread sleeps."""
    if point.computing:
        threading.Thread(target=_compute_for_ever, daemon=True).start()
    time.sleep(WARM_UP)
    began, before, processor = time.monotonic(), server.work(), time.process_time()
    time.sleep(seconds)
    elapsed, after = time.monotonic() - began, server.work()
    made = max(after.requests - before.requests, 1)
    return {
        "rate": made / elapsed,
        "cpu_us": (time.process_time() - processor) / made * 1e6,
        "server_busy": (after.cpu - before.cpu) / elapsed,
    }


def _compute_for_ever() -> None:
    while True:
        sum(range(1000))
