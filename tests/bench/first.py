"""From entering to the first request at the server: idle, beside a thread that computes, in a blocked event loop.

The peers' senders, in the place of their own HTTP, and the floor make a bare httpx POST. None of theirs arrives while
their loop is blocked, unless entering itself waits for the request, as discord.py's does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

from ._peers import PEERS, chat_ids, manager, peers_of
from ._report import Row, figure
from ._runner import Case, Samples, column, compare, measure, middle
from ._server import Server

BLOCKED = 0.5  # seconds for which an event loop is blocked
GAP = 0.03  # seconds between two sessions

#: What there is before the first session of a process, and the floor that has as much.
WAYS = {
    "manager": ("a manager made before", "httpx, a client made and all imported before"),
    "decorator": ("decorated before", "httpx, a client made before"),
    "block": ("nothing before", "httpx, nothing before"),
}
FLOORS = {
    "httpx, nothing before": {"made": False, "imported": False},
    "httpx, a client made before": {"made": True, "imported": False},
    "httpx, a client made and all imported before": {"made": True, "imported": True},
}


class Plan(NamedTuple):
    rounds: int
    count: int
    fresh_rounds: int


PLANS = {"full": Plan(3, 40, 7), "quick": Plan(1, 15, 1), "smoke": Plan(1, 3, 1)}


def run(size: str) -> list[Row]:
    plan = PLANS[size]
    cases = {name: Case("peer", {"name": name, "count": plan.count}) for name in peers_of(size)}
    cases["linq-typing"] = Case("ours", {"count": plan.count})
    warm = measure("first", cases, plan.rounds)
    fresh_cases = {name: Case("fresh_httpx", there) for name, there in FLOORS.items()}
    for how in WAYS:
        for computing in (False, True):
            fresh_cases[_fresh(how, computing)] = Case("fresh", {"how": how, "computing": computing})
    fresh = measure("first", fresh_cases, plan.fresh_rounds)
    return [
        _warm_row(warm, "enter to first request, idle", "idle", "at most 1.5 ms"),
        _warm_row(warm, "the same, idle, slowest", "idle_max", "-"),
        _warm_row(warm, "enter to first request, beside a computing thread", "computing", "at most 30 ms"),
        _blocked_row(warm),
        *(_fresh_row(fresh, how, computing) for how in WAYS for computing in (False, True)),
    ]


def _fresh(how: str, computing: bool) -> str:
    return f"linq-typing, {how}{', computing' if computing else ''}"


def _peers_in(samples: Samples) -> list[str]:
    return [name for name in PEERS if name in samples]


def _warm_row(samples: Samples, what: str, key: str, reach: str) -> Row:
    common = {"ours": "linq-typing", "others": _peers_in(samples), "unit": "ms", "against": "naive task"}
    return compare(what, samples, key, **common, reach=reach)


def _blocked_row(samples: Samples) -> Row:
    """How many of the requests that were due while the loop was blocked arrived before it went on."""
    told = [f"{name} {middle(samples, name, 'blocked_share'):.0%}" for name in _peers_in(samples)]
    ours = f"{middle(samples, 'linq-typing', 'blocked'):.3g} ms ({middle(samples, 'linq-typing', 'blocked_share'):.0%})"
    return Row("first request during a blocked event loop", ", ".join(told), ours, "-", "at most 30 ms")


def _fresh_row(samples: Samples, how: str, computing: bool) -> Row:
    name = _fresh(how, computing)
    there, floor = WAYS[how]
    what = f"first session of a process, {there}{', the caller computing' if computing else ''} (over http)"
    if not computing:
        return compare(
            what, samples, "ms", ours=name, others=list(FLOORS), against=floor, unit="ms", reach="at most 1.5 ms"
        )
    values = sorted(column(samples, name, "ms"))
    told = f"{figure(median(values))} ms ({figure(values[0])} to {figure(values[-1])})"
    return Row(what, "-", told, "-", "at most 30 ms")


# -- In the worker


def peer(name: str, count: int) -> dict[str, float]:
    with Server() as server:
        return asyncio.run(_peer(name, server, count))


async def _peer(name: str, server: Server, count: int) -> dict[str, float]:
    import httpx

    async with httpx.AsyncClient() as client:
        ids = iter(chat_ids(3 * count + 1))

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
        stop = _compute_in_thread()
        computing = [await _then_sleep(begin) for _ in range(count // 3 + 1)]
        stop.set()
        await asyncio.sleep(0.1)
        return _figures(server, idle, computing, blocked)


async def _then_sleep(begin: Callable[[], Any]) -> float:
    began: float = await begin()
    await asyncio.sleep(GAP)
    return began


def ours(count: int) -> dict[str, float]:
    with Server() as server:
        made = manager(server.base_url)
        ids = iter(chat_ids(3 * count + 1))

        def begin() -> float:
            block = _kept(made.typing_while(next(ids)))
            began = monotonic()
            copy_context().run(block.__enter__)
            return began

        begin()
        time.sleep(0.2)
        idle = [_begin_and_wait(begin, time.sleep) for _ in range(count)]
        blocked = asyncio.run(_blocked(begin, count))
        computing = [_begin_and_wait(begin, _compute) for _ in range(count // 3 + 1)]
        time.sleep(0.1)
        return _figures(server, idle, computing, blocked)


def _begin_and_wait(begin: Callable[[], float], wait: Callable[[float], object]) -> float:
    began = begin()
    wait(3 * GAP if wait is _compute else GAP)
    return began


async def _blocked(begin: Callable[[], float], count: int) -> list[float]:
    began = []
    for _ in range(max(count // 10, 1)):
        began.append(begin())
        time.sleep(BLOCKED)  # the loop is blocked, but not the interpreter
        await asyncio.sleep(GAP)
    return began


def _compute(seconds: float) -> None:
    until = monotonic() + seconds
    number = 0
    while monotonic() < until:
        number += sum(range(100))


def _compute_in_thread() -> threading.Event:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            sum(range(1000))

    threading.Thread(target=work, daemon=True).start()
    return stop


def _figures(server: Server, idle: list[float], computing: list[float], blocked: list[float]) -> dict[str, float]:
    """The n-th session's request is that of the n-th chat. The order of the three is that of the sessions."""
    arrived = {arrival.chat_id: arrival.at for arrival in reversed(server.arrivals()) if arrival.method == "POST"}
    order = sorted(idle + computing + blocked)
    ids = chat_ids(len(order) + 1)[1:]
    waits = {began: arrived[chat_id] - began for began, chat_id in zip(order, ids, strict=True)}
    return {
        "idle": 1000 * median(waits[began] for began in idle),
        "idle_max": 1000 * max(waits[began] for began in idle),
        "computing": 1000 * median(waits[began] for began in computing),
        "computing_max": 1000 * max(waits[began] for began in computing),
        "blocked": 1000 * median(waits[began] for began in blocked),
        "blocked_share": sum(waits[began] < BLOCKED for began in blocked) / len(blocked),
    }


def fresh(how: str, computing: bool) -> dict[str, float]:
    """The very first session of a process."""
    with Server() as server:
        begin = _ways(server, chat_ids(1)[0])[how]()
        began = monotonic()
        begin()
        if computing:
            _compute(1.0)
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
