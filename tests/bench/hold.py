"""How many chats one process holds: all enter within one second, then each is refreshed every 60 s for some rounds.

By hand, because it takes minutes: ``python -m tests.bench hold``, or ``python -m tests.bench.hold --chats 20000
--scale 0.1``, which divides chats and times by ten: the same load, to try it out (results are given for a scale of 1;
what doesn't scale, as the distance, makes them look worse). The server is at a distance, over TLS, and has a core of
its own.
"""

from __future__ import annotations

import argparse
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from itertools import pairwise
from math import ceil
from time import monotonic, process_time
from typing import Any, NamedTuple

from linq_typing._engine.runner import HEADROOM

from ._peers import chat_ids, manager
from ._results import Measured, of, summary
from ._runner import Case, Result, measure
from ._server import Arrival, Server
from ._transports import TRANSPORTS

INTERVAL = 60.0  # seconds
LONGEST_GAP = 85.0  # seconds: an indicator fades after that
STEPS = 100  # in which the crowd enters within its second
FAR, NEAR = 0.15, 0.01  # seconds of round trip

#: What is measured, in which unit, and the goal.
FIGURES = {
    "gap_max": ("longest time between two starts", "s", f"at most {LONGEST_GAP:g}"),
    "late_p99": ("lateness of refreshes, p99", "s", "under 3"),
    "cpu": ("of one core", "%", ""),
    "resident_mb": ("resident memory", "MB", ""),
    "bytes": ("memory for each chat", "B", ""),
    "connections": ("connections", "", ""),
    "wrong": ("errors, and chats never shown", "", "0"),
}
OF_THE_WHOLE = ("resident_mb", "bytes")  # means nothing at another scale


class Crowd(NamedTuple):
    """So many chats, so far away, and the transports that are to hold them."""

    chats: int
    transports: tuple[str, ...] = ("fast",)
    distance: float = FAR


class Plan(NamedTuple):
    crowds: tuple[Crowd, ...]
    rounds: float = 3.0
    scale: float = 1.0


PLANS = {
    "full": Plan((Crowd(60_000, ("httpx", "fast")), Crowd(200_000), Crowd(200_000, distance=NEAR))),
    "quick": Plan((Crowd(60_000),), scale=0.1),
    "smoke": Plan((Crowd(2_000, ("httpx",), NEAR),), rounds=2.0, scale=0.01),
}


def run(size: str) -> list[Measured]:
    return run_plan(PLANS[size])


def run_plan(plan: Plan) -> list[Measured]:
    return [each for crowd in plan.crowds for each in _held_by(plan, crowd)]


def title(chats: int, distance: float, scale: float = 1.0) -> str:
    scaled = "" if scale == 1 else f", tried at a scale of {scale:g}"
    return f"{chats:,} chats held, {1000 * distance:.0f} ms away{scaled}"


def _held_by(plan: Plan, crowd: Crowd) -> list[Measured]:
    common = {"chats": crowd.chats, "distance": crowd.distance, "rounds": plan.rounds, "scale": plan.scale}
    cases = {transport: Case("held", {"transport": transport, **common}) for transport in crowd.transports}
    samples = measure("hold", cases, rounds=1)
    what = title(crowd.chats, crowd.distance, plan.scale)
    return [
        of(f"{what}: {figure}", unit, samples, key, goal=goal)
        for key, (figure, unit, goal) in FIGURES.items()
        if plan.scale == 1 or key not in OF_THE_WHOLE
    ]


# -- In the worker


def held(transport: str, chats: int, distance: float, rounds: float, scale: float) -> Result:
    """Hold them, then ask the server when each request came. Times are given for a scale of 1."""
    import psutil

    interval, chats = INTERVAL * scale, round(chats * scale)
    connections = connections_for(chats, interval, distance)
    kinds: Counter[str] = Counter()
    with Server(distance=distance, tls=True) as server:
        made = manager(
            server.base_url,
            transport=TRANSPORTS[transport].option(connections),
            max_connections=connections,
            refresh_interval=interval,
            max_duration=None,
            on_event=lambda event: kinds.update((event.kind,)),
        )
        ids = chat_ids(chats)
        memory = psutil.Process().memory_info
        resident, processor, began = memory().rss, process_time(), monotonic()
        blocks = _enter_within(scale, made, ids)
        time.sleep(max(0.0, began + rounds * interval + _slack(interval) - monotonic()))
        figures = {
            "cpu": 100 * (process_time() - processor) / (monotonic() - began),
            "resident_mb": memory().rss / 1e6,
            "bytes": (memory().rss - resident) / chats,
            "connections": connections,
            "server_busy": server.work().cpu / (monotonic() - began),
        }
        del blocks
        times = _times_by_chat(server.arrivals())
        figures["wrong"] = kinds["failed"] + kinds["refused"] + chats - len(times)
        return figures | {key: seconds / scale for key, seconds in _gaps(times, began, interval).items()}


def connections_for(chats: int, interval: float, distance: float) -> int:
    """By the rule that the how-to gives, with some to spare."""
    return max(64, ceil(HEADROOM * chats / interval * distance))


def _enter_within(seconds: float, made: Any, ids: list[str]) -> list[Any]:
    blocks: list[Any] = []
    began, size = monotonic(), -(-len(ids) // STEPS)
    for step in range(STEPS):
        for chat_id in ids[step * size : (step + 1) * size]:
            blocks.append(made.typing_while(chat_id))
            copy_context().run(blocks[-1].__enter__)
        time.sleep(max(0.0, began + seconds * (step + 1) / STEPS - monotonic()))
    return blocks


def _slack(interval: float) -> float:
    """After the last round is due, for it to come."""
    return interval / 4


def _times_by_chat(arrivals: Iterable[Arrival]) -> Mapping[str, array[float]]:
    times: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for arrival in arrivals:
        times[arrival.chat_id].append(arrival.at)
    return times


def _gaps(times: Mapping[str, array[float]], began: float, interval: float) -> Result:
    """The largest gap (the wait for the first start is one), and how late refreshes were after the first round."""
    end = max(seen[-1] for seen in times.values())
    gap_max, late = 0.0, []
    for seen in times.values():
        gap_max = max(gap_max, *(later - earlier for earlier, later in pairwise([began, *seen, end])))
        late += [later - earlier - interval for earlier, later in pairwise(seen[1:])]
    late.sort()
    return {"gap_max": gap_max, "late_p99": late[int(0.99 * len(late))] if late else float("nan")}


def main() -> None:
    full = PLANS["full"]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hold", description=__doc__)
    parser.add_argument("--chats", type=int, nargs="+", default=[crowd.chats for crowd in full.crowds])
    parser.add_argument("--transports", nargs="+", choices=list(TRANSPORTS), default=list(TRANSPORTS))
    parser.add_argument("--distance", type=float, default=FAR, help="seconds of round trip")
    parser.add_argument("--rounds", type=float, default=full.rounds, help="refreshes of each chat")
    parser.add_argument("--scale", type=float, default=full.scale, help="of chats and of times alike")
    given = parser.parse_args()
    crowds = tuple(Crowd(chats, tuple(given.transports), given.distance) for chats in given.chats)
    print(summary(run_plan(Plan(crowds, given.rounds, given.scale))))


if __name__ == "__main__":
    main()
