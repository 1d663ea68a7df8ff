"""A soak: thousands of chats come and go, with random faults and messages, against the sandbox in its own process.

At the end there must be no ghost, no session, task, timer or connection left, no growing memory, and the events, the
manager's numbers and the server's log must agree to the last request. Exit status 1 otherwise.

    python -m tests.bench.soak --seconds 180 --plot soak.svg
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

from ._plot import fitted_line, write_plot

SETTLE = 0.6  # seconds, of the manager; the sandbox's messages clear within them
LANDS = 0.3
TIMEOUT = 15.0  # seconds; a right answer never takes so long, or the counts could not agree
REFUSING_SHARE = 0.02  # of the chats are groups that refuse
WARM_UP_SHARE = 1 / 3  # of the time, in which memory may grow
GROWTH_ALLOWED = 0.05  # of the resident memory, over the time after the warm-up
QUIET = 45.0  # seconds at most until everything has ended
IDLE, WORK = (0.5, 30.0), (0.05, 12.0)  # seconds between sessions, and of one; less in a short soak


MESSAGE = {"message": {"parts": [{"type": "text", "value": "hello"}]}}


class BodyError(Exception):
    """What a body ends with, now and then."""


# -- The server's process


def serve(pipe: Connection, chats: int, seed: int) -> None:
    """The sandbox, asked over a pipe: ``log`` gives all requests, ``ghosts`` what shows; ``calm`` ends the faults."""
    from linq_typing.sandbox import Sandbox

    with Sandbox(settle=LANDS, active_for=float("inf"), seed=seed) as linq:
        refusing = [linq.group(typing_allowed=False) for _ in range(int(chats * REFUSING_SHARE))]
        ids = [*refusing, *(linq.chat() for _ in range(chats - len(refusing)))]
        _set_faults(linq)
        pipe.send((linq.base_url, linq.api_key, ids))
        while (asked := pipe.recv()) != "end":
            pipe.send(_answer(linq, asked))


def _set_faults(linq: Any) -> None:
    linq.slow("typing", before=(0.0, 0.3), after=(0.0, 0.1), rate=0.05)
    linq.fail("typing", status=500, rate=0.02)
    linq.fail("typing", status=503, rate=0.01, effect=True)
    linq.fail("typing", status=429, rate=0.01, retry_after=0.3)
    linq.fail("typing", status=409, rate=0.005)
    linq.lose("typing", rate=0.005)
    linq.lose("typing", rate=0.005, effect_after=1.0)
    linq.lose("typing", rate=0.001, hang=True)
    linq.fail("send", status=500, rate=0.03)
    linq.lose("send", rate=0.02)


def _answer(linq: Any, asked: str) -> Any:
    if asked == "calm":
        return linq.clear_faults()
    if asked == "ghosts":
        return linq.ghosts()
    return [(request.endpoint, request.outcome, request.status) for request in linq.requests]


# -- The client's


@dataclass
class Soak:
    """What runs, and what is counted. Nothing here grows with time but the samples of memory."""

    manager: Any
    client: Any
    unwatched: Any
    base_url: str
    dice: random.Random
    seconds: float
    events: Counter[str]
    sessions: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)

    async def chat(self, chat_id: str) -> None:
        """One chat, for as long as the soak lasts."""
        until = monotonic() + self.seconds
        kinds = (self.plain, self.replies, self.replies_after, self.fails, self.pauses, self.overlaps, self.threaded)
        while True:
            await asyncio.sleep(self._some(IDLE))
            if monotonic() > until:
                return
            self.sessions += 1
            await self.dice.choice(kinds)(chat_id)

    async def plain(self, chat_id: str) -> None:
        async with self._block(chat_id):
            await self._work()

    async def replies(self, chat_id: str) -> None:
        async with self._block(chat_id, resume_after=self.dice.choice((None, 0.0))):
            await self._work()
            await self._send(chat_id)
            await self._work(0.3)

    async def replies_after(self, chat_id: str) -> None:
        async with self._block(chat_id):
            await self._work()
        await self._send(chat_id)

    async def fails(self, chat_id: str) -> None:
        with suppress(BodyError):
            async with self._block(chat_id):
                await self._work()
                raise BodyError

    async def pauses(self, chat_id: str) -> None:
        async with self._block(chat_id) as session:
            await self._work(0.5)
            with session.paused():
                await self._work(0.5)
            await self._work(0.5)

    async def overlaps(self, chat_id: str) -> None:
        self.sessions += 1
        await asyncio.gather(self.plain(chat_id), self.replies(chat_id))

    async def threaded(self, chat_id: str) -> None:
        await asyncio.to_thread(self._in_thread, chat_id, self.dice.uniform(0.05, 1.0))

    def _in_thread(self, chat_id: str, seconds: float) -> None:
        with self._block(chat_id) as session:
            time.sleep(seconds)
            if self._send_unseen(chat_id):
                session.mark_sent()

    def _send_unseen(self, chat_id: str) -> bool:
        """Send a message in a way the library can't detect. Returns whether it was accepted."""
        import httpx

        try:
            answer = self.unwatched.post(self._messages(chat_id), json=MESSAGE)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _block(self, chat_id: str, **options: Any) -> Any:
        return self.manager.typing_while(chat_id, refresh_interval=self.dice.choice((3.0, 6.0, 60.0)), **options)

    async def _work(self, share: float = 1.0) -> None:
        await asyncio.sleep(share * self._some(WORK))

    def _some(self, range_: tuple[float, float]) -> float:
        return self.dice.uniform(range_[0], min(range_[1], self.seconds / 3))

    async def _send(self, chat_id: str) -> None:
        import httpx

        with suppress(httpx.HTTPError):  # a lost answer is part of it
            await self.client.post(self._messages(chat_id), json=MESSAGE)

    def _messages(self, chat_id: str) -> str:
        return f"{self.base_url}/v3/chats/{chat_id}/messages"

    async def watch_memory(self) -> None:
        import psutil

        process = psutil.Process()
        began = monotonic()
        while True:
            self.memory.append((monotonic() - began, process.memory_info().rss / 1e6))
            await asyncio.sleep(0.5)


async def soak(pipe: Connection, chats: int, seconds: float, seed: int) -> tuple[Soak, list[str]]:
    """Run it; what was counted, and what is wrong."""
    import httpx

    from linq_typing import TypingManager

    base_url, api_key, ids = pipe.recv()
    events: Counter[str] = Counter()
    settings: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {api_key}"},
        "limits": httpx.Limits(max_connections=10),
        "timeout": httpx.Timeout(30.0, pool=None),
    }
    async with httpx.AsyncClient(**settings) as client:
        unwatched = httpx.Client(**settings)
        manager = TypingManager(
            api_key=api_key, base_url=base_url, client=client, settle=SETTLE, timeout=TIMEOUT, max_retries=8,
            backoff_max=2.0, on_event=lambda event: events.update((event.kind,)),
        )  # fmt: skip
        run = Soak(manager, client, unwatched, base_url, random.Random(seed), seconds, events)
        memory = asyncio.create_task(run.watch_memory())
        await asyncio.gather(*(run.chat(chat_id) for chat_id in ids))
        memory.cancel()
        pipe.send("calm")
        pipe.recv()
        wrong = await _end(run, pipe)
        await asyncio.to_thread(unwatched.close)
    return run, wrong + await _alive()


async def _end(run: Soak, pipe: Connection) -> list[str]:
    """Let it end, close, and compare all that can be compared."""
    manager, wrong = run.manager, []
    quiet = await _eventually(lambda: not manager.stats().in_flight and not manager.stats().shown)
    if not (await manager.aflush(QUIET) and quiet):
        wrong.append(f"it does not come to rest: {manager.stats()}")
    stats = manager.stats()
    wrong += _left_over(manager, stats)
    await manager.aclose()
    await asyncio.sleep(2 * LANDS)
    pipe.send("ghosts")
    if ghosts := pipe.recv():
        wrong.append(f"ghosts: {ghosts}")
    pipe.send("log")
    return wrong + _disagreements(stats, run.events, pipe.recv()) + _growth(run.memory)


async def _eventually(predicate: Callable[[], object]) -> bool:
    for _ in range(int(QUIET / 0.05)):
        if predicate():
            return True
        await asyncio.sleep(0.05)
    return False


def _left_over(manager: Any, stats: Any) -> list[str]:
    runner = manager._engines.engine._runner
    leaks = {
        "open sessions": stats.sessions,
        "requests in flight": stats.in_flight,
        "waiting chats": stats.waiting,
        "tasks": len(runner._tasks),
        "flushes": len(runner._flushes._flushes),
        "timers": 0 if runner._chats else int(runner._timer is not None),
        "chats with nothing to remember": sum(map(_forgettable, runner._chats.values())),
    }
    return [f"left over: {count} {what}" for what, count in leaks.items() if count]


def _forgettable(chat: Any) -> bool:
    forgettable: bool = chat.forgettable(monotonic())
    return forgettable


async def _alive() -> list[str]:
    """What outlives the manager and the bot's client, whose connections keep the contexts that they were made in."""
    import psutil

    await asyncio.sleep(0.1)
    gc.collect()
    alive = {
        "sessions alive": sum(type(thing).__name__ == "TypingSession" for thing in gc.get_objects()),
        "connections": sum(bool(c.raddr) for c in psutil.Process().net_connections("tcp") if c.status == "ESTABLISHED"),
    }
    return [f"left over: {count} {what}" for what, count in alive.items() if count]


def _disagreements(stats: Any, events: Counter[str], log: list[tuple[str, str, int | None]]) -> list[str]:
    typing = [(outcome, status) for endpoint, outcome, status in log if endpoint in ("start", "stop")]
    seen = Counter(_outcome(outcome, status) for outcome, status in typing)
    accepted = events["started"] + events["refreshed"] + events["stopped"]
    pairs = {
        **{f"requests {name}": (stats.requests.get(name, 0), seen[name]) for name in {*stats.requests, *seen}},
        "accepted requests and their events": (accepted, seen["accepted"]),
        "failed requests and their events": (events["failed"] + events["refused"], len(typing) - seen["accepted"]),
        "sum of the requests": (sum(stats.requests.values()), len(typing)),
    }
    return [f"{what}: {ours} here, {theirs} at the server" for what, (ours, theirs) in pairs.items() if ours != theirs]


def _outcome(outcome: str, status: int | None) -> str:
    """What the client must have taken it for."""
    if outcome != "answered" or status is None:
        return "no_answer"
    if status < 300:
        return "accepted"
    if status >= 500 or status == 408:
        return "unknown"
    return "not_applied" if status in (409, 429) else "refused"


def _growth(memory: list[tuple[float, float]]) -> list[str]:
    slope, level = fitted_line(_after_warm_up(memory))
    grown = slope * memory[-1][0] * (1 - WARM_UP_SHARE)
    return [f"memory grew by {grown:.1f} MB on {level:.0f}"] if grown > GROWTH_ALLOWED * level else []


def _after_warm_up(memory: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return memory[int(len(memory) * WARM_UP_SHARE) :]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--chats", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--plot", type=Path, default=Path("soak.svg"), help="where the plot of the memory goes")
    given = parser.parse_args()
    logging.getLogger("linq_typing").setLevel(logging.CRITICAL)  # faults are meant
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(there, given.chats, given.seed), daemon=True)
    server.start()
    print(f"{given.chats} chats for {given.seconds:g} s, seed {given.seed}", flush=True)
    run, wrong = asyncio.run(soak(here, given.chats, given.seconds, given.seed))
    here.send("end")
    server.join(10)
    _report(run, wrong, given.plot)
    sys.exit(1 if wrong else 0)


def _report(run: Soak, wrong: list[str], plot: Path) -> None:
    slope, level = fitted_line(_after_warm_up(run.memory))
    title = f"Resident memory: {level:.0f} MB, {60 * slope:+.2f} MB/min after the first {WARM_UP_SHARE:.0%} of the time"
    write_plot(plot, run.memory, title, line_from=run.memory[-1][0] * WARM_UP_SHARE)
    print(f"{run.sessions} sessions; {dict(run.events)}\n{title}: {plot}")
    print("\n".join(wrong) if wrong else "nothing wrong: no ghost, no leak, all counts agree")


if __name__ == "__main__":
    main()
