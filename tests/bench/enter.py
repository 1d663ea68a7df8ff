"""What entering and leaving cost the caller, with the sending stubbed.

Three ways: back to back; paced, with a pause in the block and after it, so that the library's loop falls asleep in
between; and paced while the library's loop is saturated by other chats. Every session has a task, or a context, of
its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from time import perf_counter_ns
from typing import Any, NamedTuple

from ._peers import PEERS, Maker, chat_ids, manager, nothing, stub_transport
from ._report import Row
from ._runner import Case, compare, measure

OURS = ("linq-typing, async", "linq-typing, sync")
CROWD = 500
CROWD_INTERVAL = 0.02  # seconds: asks for more than the loop can do


class SmallObjects:
    """A block that enters and exits with about as much Python as ours: two dozen small objects each way."""

    def __enter__(self) -> None:
        self._made = {str(number): number for number in range(12)}

    def __exit__(self, *_: object) -> None:
        self._made = {str(number): number for number in range(12)}

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


FLOORS: dict[str, Callable[[], Any]] = {"empty block": nullcontext, "some plain Python": SmallObjects}


class Plan(NamedTuple):
    rounds: int
    count: int
    paced: int
    pause: float = 0.0005


PLANS = {"full": Plan(3, 3000, 600), "quick": Plan(2, 1500, 300), "smoke": Plan(1, 50, 20)}


def run(size: str) -> list[Row]:
    plan = PLANS[size]
    figures = {"count": plan.count, "paced": plan.paced, "pause": plan.pause}
    cases = {name: Case("peer", {"name": name, **figures}) for name in PEERS}
    for name in OURS:
        cases[name] = Case("ours", {"sync": "async" not in name, **figures})
        cases[f"{name}, busy"] = Case("ours_busy", {"sync": "async" not in name, **figures})
        for floor in FLOORS:
            floor_case = Case("floor_busy", {**figures, "floor": floor, "sync": "async" not in name, "count": 50})
            cases[f"{floor}, {_form(name)}"] = floor_case
    samples = measure("enter", cases, plan.rounds)
    rows = []
    for key, how in (("burst_p50", "back to back"), ("paced_p50", "paced")):
        for ours in OURS:
            rows.append(
                compare(
                    f"enter + exit, {_form(ours)}, {how} (peers: async)", samples, key, ours=ours, others=list(PEERS),
                    unit="us", against="hikari", reach="at most hikari's",
                )
            )  # fmt: skip
    for ours in OURS:
        floors = [f"{floor}, {_form(ours)}" for floor in FLOORS]
        for key, how, reach in (("paced_p999", f"p99.9 of {plan.paced}", "under 100 us"), ("paced_p50", "median", "-")):
            rows.append(
                compare(
                    f"enter + exit, {_form(ours)}, loop saturated, {how}", samples, key, ours=f"{ours}, busy",
                    others=floors, against=floors[1], unit="us", reach=reach,
                )
            )  # fmt: skip
    return rows


def _form(name: str) -> str:
    return name.split(", ")[1]


# -- In the worker


def peer(name: str, count: int, paced: int, pause: float) -> dict[str, float]:
    async def main() -> dict[str, float]:
        return await _both_async(PEERS[name](nothing), count, paced, pause)

    return asyncio.run(main())


def ours(sync: bool, count: int, paced: int, pause: float) -> dict[str, float]:
    maker = _our_maker(manager(), count + paced)
    return _both(maker, count, paced, pause) if sync else asyncio.run(_both_async(maker, count, paced, pause))


def ours_busy(sync: bool, count: int, paced: int, pause: float) -> dict[str, float]:
    made = manager()
    crowd = [made.typing_while(chat_id, refresh_interval=CROWD_INTERVAL) for chat_id in chat_ids(CROWD, kind=2)]
    for block in crowd:
        copy_context().run(block.__enter__)
    time.sleep(0.5)
    maker = _our_maker(made, count + paced)
    return _both(maker, count, paced, pause) if sync else asyncio.run(_both_async(maker, count, paced, pause))


def floor_busy(floor: str, sync: bool, count: int, paced: int, pause: float) -> dict[str, float]:
    """What a block without an indicator costs beside a thread that makes stubbed httpx requests all the time."""
    threading.Thread(target=lambda: asyncio.run(_stubbed_traffic()), daemon=True).start()
    time.sleep(0.5)
    if sync:
        return _both(lambda number: FLOORS[floor](), count, paced, pause)
    return asyncio.run(_both_async(lambda number: FLOORS[floor](), count, paced, pause))


async def _stubbed_traffic() -> None:
    import httpx

    async with httpx.AsyncClient(transport=stub_transport()) as client:
        while True:
            await client.post("http://127.0.0.1:9/")
            await asyncio.sleep(0)


def _our_maker(made: Any, count: int) -> Callable[[int], Any]:
    ids = chat_ids(count)
    made.typing_while(chat_ids(1, kind=3)[0]).__enter__()  # the first session starts the loop
    time.sleep(0.1)
    return lambda number: made.typing_while(ids[number])


async def _both_async(maker: Maker, count: int, paced: int, pause: float) -> dict[str, float]:
    burst = [await asyncio.create_task(_cost_async(maker, number, 0.0)) for number in range(count)]
    await asyncio.sleep(0.2)
    rest = [await _paced_async(maker, count + number, pause) for number in range(paced)]
    return _figures(burst, rest)


async def _paced_async(maker: Maker, number: int, pause: float) -> int:
    await asyncio.sleep(pause)
    return await asyncio.create_task(_cost_async(maker, number, pause))


async def _cost_async(maker: Maker, number: int, pause: float) -> int:
    began = perf_counter_ns()
    block = maker(number)
    await block.__aenter__()
    entered = perf_counter_ns()
    await asyncio.sleep(pause)  # the body, in which a peer's task begins
    leaving = perf_counter_ns()
    await block.__aexit__(None, None, None)
    return entered - began + perf_counter_ns() - leaving


def _both(maker: Callable[[int], Any], count: int, paced: int, pause: float) -> dict[str, float]:
    burst = [copy_context().run(_cost, maker, number, 0.0) for number in range(count)]
    time.sleep(0.2)
    rest = [_paced(maker, count + number, pause) for number in range(paced)]
    return _figures(burst, rest)


def _paced(maker: Callable[[int], Any], number: int, pause: float) -> int:
    time.sleep(pause)
    return copy_context().run(_cost, maker, number, pause)


def _cost(maker: Callable[[int], Any], number: int, pause: float) -> int:
    began = perf_counter_ns()
    block = maker(number)
    block.__enter__()
    entered = perf_counter_ns()
    if pause:
        time.sleep(pause)
    leaving = perf_counter_ns()
    block.__exit__(None, None, None)
    return entered - began + perf_counter_ns() - leaving


def _figures(burst: list[int], paced: list[int]) -> dict[str, float]:
    return {
        f"{name}_{label}": sorted(costs)[int(len(costs) * share)] / 1000
        for name, costs in (("burst", burst), ("paced", paced))
        for label, share in (("p50", 0.5), ("p999", 0.999))
    }
