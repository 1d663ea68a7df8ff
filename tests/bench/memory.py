"""Memory per session held: how much the resident set of a process grows while N sessions are entered.

Each is entered in a context of its own, which is there before; the caller's own tasks are not counted.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextvars import copy_context
from typing import Any, NamedTuple

from ._peers import PEERS, chat_ids, manager, nothing, peers_of
from ._results import Measured, of
from ._runner import Case, measure


class Plan(NamedTuple):
    rounds: int
    count: int


PLANS = {"full": Plan(3, 10_000), "quick": Plan(1, 3_000), "smoke": Plan(1, 100)}
THREADS = "a thread for each"  # a tenth of them
OURS, NEXT = "linq-typing", "naive task"


def run(size: str) -> list[Measured]:
    plan = PLANS[size]
    cases = {OURS: Case("ours", {"count": plan.count})}
    cases |= {name: Case("peer", {"name": name, "count": plan.count}) for name in peers_of(size)}
    cases[THREADS] = Case("threads", {"count": plan.count // 10})
    samples = measure("memory", cases, plan.rounds)
    return [of(f"memory for each session, {plan.count:,} held", "B", samples, "bytes", {OURS: NEXT}, "at most 900 B")]


# -- In the worker


def peer(name: str, count: int) -> dict[str, float]:
    return asyncio.run(_peer(name, count))


async def _peer(name: str, count: int) -> dict[str, float]:
    maker = PEERS[name](nothing)
    loop = asyncio.get_running_loop()
    kept = [maker(0)]
    await kept[0].__aenter__()  # what there is once
    contexts = [copy_context() for _ in range(count)]
    kept += [None] * count
    before = _resident()
    for number, context in enumerate(contexts, 1):
        kept[number] = maker(number)
        await loop.create_task(kept[number].__aenter__(), context=context)
    await asyncio.sleep(0.5)
    return {"bytes": (_resident() - before) / count}


def ours(count: int) -> dict[str, float]:
    return held_by(manager(), count)


def held_by(made: Any, count: int) -> dict[str, float]:
    ids = chat_ids(count + 1)
    kept = [made.typing_while(ids[0])]
    copy_context().run(kept[0].__enter__)
    contexts = [copy_context() for _ in range(count)]
    kept += [None] * count
    time.sleep(0.2)
    before = _resident()
    for number, context in enumerate(contexts, 1):
        kept[number] = made.typing_while(ids[number])
        context.run(kept[number].__enter__)
        if number % 50 == 0:
            time.sleep(0.002)  # a crowd of starts that wait is not what sessions cost
    while made.stats().shown < len(kept):
        time.sleep(0.05)
    time.sleep(0.2)
    return {"bytes": (_resident() - before) / count}


def threads(count: int) -> dict[str, float]:
    done = threading.Event()
    before = _resident()
    held = [threading.Thread(target=done.wait, daemon=True) for _ in range(count)]
    for thread in held:
        thread.start()
    return {"bytes": (_resident() - before) / count}


def _resident() -> int:
    import psutil

    gc.collect()
    return int(psutil.Process().memory_info().rss)
