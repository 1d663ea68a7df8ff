"""A long run of three processes in which everything fails that can. By hand.

From the root of the project::

    PYTHONPATH=src:tests python -m sharing.soak --minutes 10 --seed 1

It ends with the first ghost, the first two requests in flight where nothing had failed, or the first line on standard
error that is not expected, and prints what had happened.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

import redis

from linq_typing.sandbox import Sandbox

from .processes import Cast, Worker, all_share, until
from .proxy import Proxy
from .servers import Server, executables


class Soak:
    """One server, a proxy in front of it, and workers that come and go."""

    def __init__(self, linq: Sandbox, server: Server, seed: int) -> None:
        self.linq, self.server, self.chance = linq, server, random.Random(seed)
        self.proxy = Proxy(server.socket)
        self.cast = Cast(linq)
        self.open: list[tuple[Worker, str]] = []
        self.log: list[str] = []
        self.rounds: Counter[str] = Counter()

    def note(self, text: str) -> None:
        self.log.append(f"{self.linq.now:8.2f}  {text}")

    @property
    def living(self) -> list[Worker]:
        return [worker for worker in self.cast.workers if not worker.killed]

    def name(self, worker: Worker) -> str:
        return f"w{self.cast.workers.index(worker)}"

    def recruit(self) -> None:
        while len(self.living) < 3:
            url = self.chance.choice([self.proxy.url, self.server.url])
            self.cast.meet(1, url, refresh_interval=self.chance.choice([1.0, 3.0, 50.0]), settle=1.0)
        all_share(self.living)

    def step(self, chats: list[str]) -> None:
        """One thing that a bot does."""
        chance, worker, chat = self.chance, self.chance.choice(self.living), self.chance.choice(chats)
        what = chance.choice(["enter", "enter", "leave", "leave", "mark", "send", "wait"])
        if what == "enter":
            worker.do("enter", chat, stop_delay=chance.choice([0.0, 0.2, 1.0]))
            self.open.append((worker, chat))
        elif what == "leave" and self.open:
            worker, chat = self.open.pop(chance.randrange(len(self.open)))
            worker.do("leave", chat)
        elif what in ("mark", "send"):
            worker.do(what, chat)
        else:
            time.sleep(chance.uniform(0, 0.5))
        self.note(f"{self.name(worker)} {what} {chat[:4]}")

    def fail(self) -> str:
        """One thing that goes wrong."""
        chance, worker = self.chance, self.chance.choice(self.living)

        def kill() -> None:
            worker.kill()
            self.open = [(each, chat) for each, chat in self.open if each is not worker]

        def stop() -> None:
            worker.freeze()
            time.sleep(chance.choice([0.3, 1.0, 4.0, 9.0, 14.0]))
            worker.thaw()

        def restart() -> None:
            self.server.kill()
            time.sleep(chance.uniform(0, 3))
            self.server.start()

        def freeze() -> None:
            self.server.freeze()
            time.sleep(chance.uniform(0, 3))
            self.server.thaw()

        def command(*args: object) -> Callable[[], object]:
            def run() -> None:
                with redis.Redis.from_url(self.server.url) as client:
                    client.execute_command(*args)

            return run

        def slow() -> None:
            self.proxy.delay = chance.choice([0.0, 0.02, 0.08, 0.2])

        def hold() -> None:
            self.proxy.hold()
            time.sleep(chance.uniform(0, 4))
            self.proxy.let_go()

        failures: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            "kill": kill,
            "stop": stop,
            "restart": restart,
            "freeze": freeze,
            "flush": command("FLUSHALL"),
            "script flush": command("SCRIPT", "FLUSH"),
            "pause": command("CLIENT", "PAUSE", 1500),
            "slow": slow,
            "hold": hold,
            "cut": self.proxy.cut,
        }
        name = chance.choice(list(failures))
        self.note(f"{name} ({self.name(worker)})")
        failures[name]()
        self.note(f"{name} is over")
        return name

    def round(self) -> None:
        self.recruit()
        chats = [self.linq.chat() for _ in range(3)]
        self.log.clear()
        for _ in range(self.chance.randint(1, 12)):
            self.step(chats)
        failed = self.fail()
        for _ in range(self.chance.randint(0, 12)):
            self.step(chats)
        while self.open:
            worker, chat = self.open.pop()
            worker.do("leave", chat)
            self.note(f"{self.name(worker)} leave {chat[:4]}")
        self.proxy.delay = 0.0
        try:
            until(lambda: not any(self.linq.visible(chat) for chat in chats), "a ghost")
            assert not self.linq.ghosts()
            for chat in chats:
                assert failed != "nothing" or self.linq.timeline(chat).max_typing_in_flight <= 1
        except AssertionError:
            print(*self.log, *map(self.linq.timeline, chats), sep="\n")
            print(*(f"{self.name(worker)}\n{worker.log()}" for worker in self.cast.workers), sep="\n")
            raise
        two = any(self.linq.timeline(chat).max_typing_in_flight > 1 for chat in chats)
        self.rounds[f"{failed}{', two in flight' if two else ''}"] += 1

    def run(self, minutes: float) -> None:
        end = time.monotonic() + 60 * minutes
        try:
            while time.monotonic() < end:
                self.round()
            self.cast.end(late=True)
        finally:
            print(self.rounds)
            self.cast.clean_up()
            self.proxy.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    server = Server(next(iter(executables().values())))
    try:
        with Sandbox(settle=0.3, active_for=float("inf")) as linq:
            Soak(linq, server, options.seed).run(options.minutes)
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
