"""From entering to the first request at the server: idle, in a blocked event loop, and in a process that has just
begun.

The peers' senders, in the place of their own HTTP, and the floor make a bare httpx POST. None of theirs arrives while
their loop is blocked, unless entering itself waits for the request, as discord.py's does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

from ._peers import PEERS, chat_ids, manager, peers_of
from ._results import Measured, of
from ._runner import Case, measure
from ._server import Server

BLOCKED = 0.5  # seconds for which an event loop is blocked
GAP = 0.03  # seconds between two sessions
OURS, FLOOR = "linq-typing", "bare httpx"

#: What there is before the first session of a process, and for the floor.
WAYS = {
    "manager": ("a manager made before", {"made": True, "imported": True}),
    "decorator": ("decorated before", {"made": True, "imported": False}),
    "block": ("nothing before", {"made": False, "imported": False}),
}


class Plan(NamedTuple):
    rounds: int
    count: int
    fresh_rounds: int


PLANS = {"full": Plan(3, 40, 7), "quick": Plan(1, 15, 1), "smoke": Plan(1, 3, 1)}


def run(size: str) -> list[Measured]:
    plan = PLANS[size]
    cases = {OURS: Case("ours", {"count": plan.count})}
    cases |= {name: Case("peer", {"name": name, "count": plan.count}) for name in peers_of(size)}
    samples = measure("first", cases, plan.rounds)
    return [
        of("first request, idle", "ms", samples, "idle", {OURS: "naive task"}, "at most 1.5"),
        of(f"first request, event loop blocked for {BLOCKED:g} s", "ms", samples, "blocked", goal="at most 30"),
        *(_fresh(how, plan.fresh_rounds) for how in WAYS),
    ]


def _fresh(how: str, rounds: int) -> Measured:
    there, floor = WAYS[how]
    samples = measure("first", {OURS: Case("fresh", {"how": how}), FLOOR: Case("fresh_httpx", floor)}, rounds)
    return of(f"first session of a process, {there}", "ms", samples, "ms", {OURS: FLOOR}, "at most 1.5")


# -- In the worker


def peer(name: str, count: int) -> dict[str, float]:
    with Server() as server:
        return asyncio.run(_peer(name, server, count))


async def _peer(name: str, server: Server, count: int) -> dict[str, float]:
    import httpx

    async with httpx.AsyncClient() as client:
        ids = iter(chat_ids(2 * count + 1))

        async def begin() -> float:
            url = server.url(next(ids))
            block = PEERS[name](lambda: client.post(url))(1)
            began = monotonic()
            await block.__aenter__()
            kept.append(block)
            return began

        kept: list[Any] = []
        await begin()
        await asyncio.sleep(0.2)
        idle = [await _then_sleep(begin) for _ in range(count)]
        blocked = []
        for _ in range(max(count // 10, 1)):
            blocked.append(await begin())
            time.sleep(BLOCKED)
            await asyncio.sleep(GAP)
        return _figures(server, idle, blocked)


async def _then_sleep(begin: Callable[[], Any]) -> float:
    began: float = await begin()
    await asyncio.sleep(GAP)
    return began


def ours(count: int) -> dict[str, float]:
    with Server() as server:
        made = manager(server.base_url)
        ids = iter(chat_ids(2 * count + 1))

        def begin() -> float:
            block = _kept(made.typing_while(next(ids)))
            began = monotonic()
            copy_context().run(block.__enter__)
            return began

        begin()
        time.sleep(0.2)
        idle = [_begin_and_wait(begin) for _ in range(count)]
        return _figures(server, idle, asyncio.run(_blocked(begin, count)))


def _begin_and_wait(begin: Callable[[], float]) -> float:
    began = begin()
    time.sleep(GAP)
    return began


async def _blocked(begin: Callable[[], float], count: int) -> list[float]:
    began = []
    for _ in range(max(count // 10, 1)):
        began.append(begin())
        time.sleep(BLOCKED)  # the loop is blocked, but not the interpreter
        await asyncio.sleep(GAP)
    return began


def _figures(server: Server, idle: list[float], blocked: list[float]) -> dict[str, float]:
    """The n-th session's request is that of the n-th chat, after the one that came before all."""
    arrived = {arrival.chat_id: arrival.at for arrival in reversed(server.arrivals()) if arrival.method == "POST"}
    began = [*idle, *blocked]
    waits = [1000 * (arrived[chat_id] - at) for chat_id, at in zip(chat_ids(len(began) + 1)[1:], began, strict=True)]
    return {"idle": median(waits[: len(idle)]), "blocked": median(waits[len(idle) :])}


def fresh(how: str) -> dict[str, float]:
    """The very first session of a process."""
    with Server() as server:
        begin = _ways(server, chat_ids(1)[0])[how]()
        began = monotonic()
        begin()
        while server.count() == 0:
            time.sleep(0.05)
        return {"ms": 1000 * (server.arrivals()[0].at - began)}


_blocks: list[Any] = []


def _kept(block: Any) -> Any:
    """A block that is dropped ends."""
    _blocks.append(block)
    return block


def _ways(server: Server, chat_id: str) -> dict[str, Callable[[], Callable[[], object]]]:
    """For each way: what a bot does at its start, which gives what begins its first session."""
    from linq_typing import typing_while

    def decorate() -> Callable[[], object]:
        @typing_while
        def stream(chat_id: str) -> Iterator[None]:
            yield

        _set_environment(server)
        return lambda: next(streams.setdefault("kept", stream(chat_id)))

    def do_nothing() -> Callable[[], object]:
        _set_environment(server)
        return lambda: _kept(typing_while(chat_id)).__enter__()

    streams: dict[str, Iterator[None]] = {}
    return {
        "manager": lambda: manager(server.base_url).typing_while(chat_id).__enter__,
        "decorator": decorate,
        "block": do_nothing,
    }


def _set_environment(server: Server) -> None:
    import os

    os.environ.update(LINQ_API_V3_API_KEY="bench-key", LINQ_API_V3_BASE_URL=server.base_url)


def fresh_httpx(made: bool, imported: bool) -> dict[str, float]:
    """The very first request; ``made``: of a client that is there; ``imported``: with all that it imports."""
    with Server() as server:
        if imported:
            import anyio._backends._asyncio  # noqa: F401
        return asyncio.run(_fresh_httpx(server, made))


async def _fresh_httpx(server: Server, made: bool) -> dict[str, float]:
    import httpx

    url = server.url(chat_ids(1)[0])
    client = httpx.AsyncClient() if made else None
    began = monotonic()
    client = client or httpx.AsyncClient(verify=False)  # without certificates: the base is http
    await client.post(url)
    await client.aclose()
    return {"ms": 1000 * (server.arrivals()[0].at - began)}
