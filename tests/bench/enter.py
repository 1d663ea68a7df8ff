"""What entering and leaving cost the caller, with the sending stubbed.

Two ways: back to back; and paced, with a pause in the block and after it, so that the library's loop falls asleep in
between. Every session has a task, or a context, of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import copy_context
from statistics import median
from time import perf_counter_ns
from typing import Any, NamedTuple

from ._peers import PEERS, Maker, chat_ids, manager, nothing, peers_of
from ._results import Measured, of
from ._runner import Case, measure

OURS, FORMS = "linq-typing", ("async", "sync")
WAYS = {"back to back": "burst_p50", "paced": "paced_p50"}
PEER = "hikari"  # the one to compare with


class Plan(NamedTuple):
    rounds: int
    count: int
    paced: int
    pause: float = 0.0005


PLANS = {"full": Plan(3, 3000, 600), "quick": Plan(1, 1500, 300), "smoke": Plan(1, 50, 20)}


def run(size: str) -> list[Measured]:
    plan = PLANS[size]
    figures = {"count": plan.count, "paced": plan.paced, "pause": plan.pause}
    peers = peers_of(size)
    cases = {name: Case("peer", {"name": name, **figures}) for name in peers}
    for form in FORMS:
        cases[form] = Case("ours", {"sync": form == "sync", **figures})
    samples = measure("enter", cases, plan.rounds)
    found = []
    for way, key in WAYS.items():
        for form, others in (("async", peers), ("sync", [PEER])):
            compared = {OURS: samples[form], **{name: samples[name] for name in others}}
            what = f"entering and leaving, {form}, {way}"
            found.append(of(what, "µs", compared, key, {OURS: PEER}, "at most hikari's"))
    return found


# -- In the worker


def peer(name: str, count: int, paced: int, pause: float) -> dict[str, float]:
    async def main() -> dict[str, float]:
        return await _both_async(PEERS[name](nothing), count, paced, pause)

    return asyncio.run(main())


def ours(sync: bool, count: int, paced: int, pause: float) -> dict[str, float]:
    return cost_of(manager(), sync=sync, count=count, paced=paced, pause=pause)


def cost_of(made: Any, *, sync: bool, count: int, paced: int, pause: float = 0.0005) -> dict[str, float]:
    maker = _our_maker(made, count + paced)
    return _both(maker, count, paced, pause) if sync else asyncio.run(_both_async(maker, count, paced, pause))


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
    return {"burst_p50": median(burst) / 1000, "paced_p50": median(paced) / 1000}
