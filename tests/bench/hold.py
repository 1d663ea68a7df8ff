"""How many chats one process holds: all enter within one second, then each is refreshed every 60 s for some rounds.

By hand, because it takes minutes: ``python -m tests.bench.hold --chats 20000 40000 60000`` (``--scale 0.1`` divides
chats and times by ten: the same load, to try it out). The server has a core of its own.
"""

from __future__ import annotations

import argparse
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextvars import copy_context
from itertools import pairwise
from time import monotonic, process_time
from typing import Any, NamedTuple

from ._peers import chat_ids, manager
from ._report import Row, figure, markdown
from ._runner import Case, Result, run_case, show
from ._server import Arrival, Server

INTERVAL = 60.0  # seconds
LONGEST_GAP = 85.0  # seconds: an indicator fades after that
STEPS = 100  # in which the crowd enters within its second
TRANSPORTS = ("httpx", "httpx-aiohttp")


class Plan(NamedTuple):
    chats: tuple[int, ...]
    transports: tuple[str, ...]
    rounds: float
    scale: float


PLANS = {
    "full": Plan((20_000, 40_000, 60_000), TRANSPORTS, 3.0, 1.0),
    "quick": Plan((20_000,), TRANSPORTS, 3.0, 0.05),
    "smoke": Plan((2_000,), ("httpx",), 2.0, 0.01),
}


def run(size: str) -> list[Row]:
    return run_plan(PLANS[size])


def run_plan(plan: Plan) -> list[Row]:
    return [_row(plan, chats, transport) for chats in plan.chats for transport in plan.transports]


def _row(plan: Plan, chats: int, transport: str) -> Row:
    figures = {"chats": round(chats * plan.scale), "transport": transport, "rounds": plan.rounds, "scale": plan.scale}
    result = run_case("hold", Case("held", figures))
    name = f"{chats:,} chats held, {transport}"
    show(name, result)
    limit = LONGEST_GAP * plan.scale
    return Row(
        name if plan.scale == 1 else f"{name} (all times and the crowd x {plan.scale:g})",
        "-",
        f"largest gap {figure(result['gap_max'])} s, lateness p99 {figure(result['late_p99'])} s, "
        f"CPU {result['cpu']:.0%}, {figure(result['rate'])} requests/s, {result['errors']:.0f} errors, "
        f"{result['unseen']:.0f} never shown",
        f"{result['gap_max'] / limit:.2f} of {figure(limit)} s",
        f"no gap over {figure(limit)} s, lateness p99 under {figure(3 * plan.scale)} s after the first round",
    )


def held(chats: int, transport: str, rounds: float, scale: float) -> Result:
    """In the worker: hold them, then ask the server when each request came."""
    interval = INTERVAL * scale
    kinds: Counter[str] = Counter()
    with Server() as server:
        made = manager(
            server.base_url,
            transport=_transport(transport),
            refresh_interval=interval,
            max_duration=None,
            on_event=lambda event: kinds.update((event.kind,)),
        )
        began = monotonic()
        blocks = _enter_within(scale, made, chats)
        entering = monotonic() - began
        processor, counted, before = process_time(), monotonic(), server.count()
        time.sleep(max(0.0, began + rounds * interval + _slack(interval) - monotonic()))
        elapsed, after = monotonic() - counted, server.count()
        cpu = (process_time() - processor) / elapsed
        figures = _gaps(server.arrivals(), began, interval)
        del blocks
    return {
        **figures,
        "entering_s": entering,
        "cpu": cpu,
        "rate": (after - before) / elapsed,
        "errors": kinds["failed"] + kinds["refused"],
        "unseen": chats - figures["chats"],
    }


def _transport(name: str) -> Any:
    if name == "httpx":
        return None
    import httpx
    from httpx_aiohttp import AiohttpTransport

    return AiohttpTransport(limits=httpx.Limits(max_connections=100))


def _enter_within(seconds: float, made: Any, chats: int) -> list[Any]:
    blocks = [made.typing_while(chat_id) for chat_id in chat_ids(chats)]
    began, size = monotonic(), -(-chats // STEPS)
    for step in range(STEPS):
        for block in blocks[step * size : (step + 1) * size]:
            copy_context().run(block.__enter__)
        time.sleep(max(0.0, began + seconds * (step + 1) / STEPS - monotonic()))
    return blocks


def _slack(interval: float) -> float:
    """After the last round is due, for it to come."""
    return interval / 4


def _gaps(arrivals: Iterable[Arrival], began: float, interval: float) -> dict[str, float]:
    """The largest gap (the wait for the first start is one), and how late refreshes were after the first round."""
    times: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for arrival in arrivals:
        times[arrival.chat_id].append(arrival.at)
    end = max(seen[-1] for seen in times.values())
    gap_max, late = 0.0, []
    for seen in times.values():
        moments = [began, *seen, end]
        gap_max = max(gap_max, *(later - earlier for earlier, later in pairwise(moments)))
        late += [later - earlier - interval for earlier, later in pairwise(seen[1:])]
    late.sort()
    return {
        "chats": len(times),
        "first_start_max": max(seen[0] for seen in times.values()) - began,
        "gap_max": gap_max,
        "late_p99": late[int(0.99 * len(late))] if late else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hold", description=__doc__)
    parser.add_argument("--chats", type=int, nargs="+", default=list(PLANS["full"].chats))
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=list(TRANSPORTS))
    parser.add_argument("--rounds", type=float, default=PLANS["full"].rounds, help="refreshes of each chat")
    parser.add_argument("--scale", type=float, default=1.0, help="of chats and of times alike")
    given = parser.parse_args()
    print(markdown(run_plan(Plan(tuple(given.chats), tuple(given.transports), given.rounds, given.scale))))


if __name__ == "__main__":
    main()
