"""Leaving very many sessions at once: how long until the last stop is out, and how long other chats wait meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextvars import copy_context
from time import monotonic
from typing import Any, NamedTuple

from ._peers import chat_ids, manager
from ._results import Measured, of
from ._runner import Case, measure
from ._server import Server

OTHERS_EVERY = 0.1  # seconds between two starts of other chats
CONNECTIONS = 64  # for the floor: as many as linq-typing has, in httpx's best shape


class Plan(NamedTuple):
    rounds: int
    count: int


PLANS = {"full": Plan(2, 10_000), "quick": Plan(1, 1_000), "smoke": Plan(1, 100)}
FLOOR, OURS = "httpx, 64 connections", "linq-typing"


def run(size: str) -> list[Measured]:
    plan = PLANS[size]
    cases = {OURS: Case("ours", {"count": plan.count}), FLOOR: Case("bare", {"count": plan.count})}
    samples = measure("leaving", cases, plan.rounds)
    ours = {OURS: samples[OURS]}
    what = f"leaving {plan.count:,} sessions at once"
    return [
        of(f"{what}: until the last stop", "s", samples, "seconds", {OURS: FLOOR}, "as long as the bare requests take"),
        of(f"{what}: the slowest start of another chat meanwhile", "ms", ours, "other_start_ms", goal="at most 1,000"),
        of(f"{what}: errors, and stops that are missing", "", ours, "wrong", goal="0"),
    ]


# -- In the worker


def bare(count: int) -> dict[str, float]:
    with Server() as server:
        return asyncio.run(_bare(server, count))


async def _bare(server: Server, count: int) -> dict[str, float]:
    import httpx

    context = httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=1)
    clients = [httpx.AsyncClient(limits=limits, verify=context) for _ in range(CONNECTIONS)]
    urls = iter([server.url(chat_id) for chat_id in chat_ids(count)])

    async def delete(client: httpx.AsyncClient) -> None:
        for url in urls:
            await client.delete(url)

    await asyncio.gather(*(client.post(server.url(chat_ids(1)[0])) for client in clients))
    began = monotonic()  # with all connections open, as ours are
    await asyncio.gather(*map(delete, clients))
    return {"seconds": max(arrival.at for arrival in server.arrivals()) - began}


def ours(count: int) -> dict[str, float]:
    kinds: Counter[str] = Counter()
    with Server() as server:
        made = manager(server.base_url, on_event=lambda event: kinds.update((event.kind,)), max_duration=None)
        blocks = [made.typing_while(chat_id, stop_delay=0.0) for chat_id in chat_ids(count)]
        contexts = [copy_context() for _ in blocks]
        for block, context in zip(blocks, contexts, strict=True):
            context.run(block.__enter__)
        while kinds["started"] < count:
            time.sleep(0.02)
        began = monotonic()
        for block, context in zip(blocks, contexts, strict=True):
            context.run(block.__exit__, None, None, None)
        others = _start_others(made, kinds, count)
        arrivals = server.arrivals()
        starts = {arrival.chat_id: arrival.at for arrival in arrivals if arrival.method == "POST"}
        stops = {arrival.chat_id: arrival.at for arrival in arrivals if arrival.method == "DELETE"}
        return {
            "seconds": max(stops.values()) - began,
            "wrong": count - len(stops) + kinds["failed"] + kinds["refused"],
            "other_start_ms": max(1000 * (starts[chat_id] - began) for chat_id, began in others.items()),
        }


_held: list[Any] = []  # a block that is dropped ends


def _enter(made: Any, chat_id: str) -> float:
    began = monotonic()
    _held.append(made.typing_while(chat_id))
    copy_context().run(_held[-1].__enter__)
    return began


def _start_others(made: object, kinds: Counter[str], count: int) -> dict[str, float]:
    """Chats that begin while the stops go out, and when each did."""
    others: dict[str, float] = {}
    ids = iter(chat_ids(100_000, kind=2))
    before = kinds["started"]
    while not others or kinds["stopped"] < count:
        chat_id = next(ids)
        others[chat_id] = _enter(made, chat_id)
        time.sleep(OTHERS_EVERY)
    while kinds["started"] < before + len(others):
        time.sleep(0.02)
    return others
