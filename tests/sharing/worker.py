"""A process that shares its chats: does what each line of its standard input says, and answers with a line of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
import warnings
from typing import Any

import httpx

from linq_typing import TypingManager, TypingSession
from linq_typing._engine import lifecycle, process

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)

GUARD = 60.0  #: seconds for what takes far less on an idle machine
process.EXIT_TIMEOUT, lifecycle.PATIENCE = 2 * GUARD, GUARD


class Worker:
    """What a bot does, one step at a time."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.manager = self.make()
        self.sessions: dict[str, list[Any]] = {}
        self.unwatched, self.client = self.make_client(), self.manager.watch(self.make_client())

    def make(self) -> TypingManager:
        options = json.loads(os.environ["WORKER"])
        return TypingManager(**options, on_event=lambda event: self.kinds.append(event.kind))

    def make_client(self) -> httpx.Client:
        key = os.environ["LINQ_API_V3_API_KEY"]
        base = os.environ["LINQ_API_V3_BASE_URL"]
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=GUARD, trust_env=False)

    def enter(self, *chats: str, **options: Any) -> float:
        """Returns the longest time that entering took."""
        longest = 0.0
        for chat in chats:
            block = self.manager.typing_while(chat, **options)
            before = time.perf_counter()
            session = block.__enter__()
            longest = max(longest, time.perf_counter() - before)
            assert isinstance(session, TypingSession)
            self.sessions.setdefault(chat, []).append((block, session))
        return longest

    def leave(self, *chats: str) -> float:
        longest = 0.0
        for chat in chats:
            block, _ = self.sessions[chat].pop()
            before = time.perf_counter()
            block.__exit__(None, None, None)
            longest = max(longest, time.perf_counter() - before)
        return longest

    def held_up(self, chat: str) -> float:
        """The shortest of several times that a whole block took."""
        times = []
        for _ in range(20):
            before = time.perf_counter()
            with self.manager.typing_while(chat, start_delay=60.0):
                pass
            times.append(time.perf_counter() - before)
        return min(times)

    def mark(self, chat: str) -> None:
        """A message that the library can't detect."""
        self.post(self.unwatched, chat)
        self.manager.mark_sent(chat)

    def send(self, chat: str) -> None:
        self.post(self.client, chat)

    def post(self, client: httpx.Client, chat: str) -> None:
        message = {"message": {"parts": [{"type": "text", "value": "Done."}]}}
        assert client.post(f"/v3/chats/{chat}/messages", json=message).is_success

    def stats(self) -> dict[str, Any]:
        stats = self.manager.stats()
        return {name: getattr(stats, name) for name in ("sessions", "chats", "shown", "sharing", "requests")}

    def events(self) -> list[str]:
        return self.kinds

    def close(self) -> bool:
        return self.manager.close()

    def in_asyncio(self, chat: str, hold: float) -> None:
        async def work() -> None:
            async def one() -> None:
                async with self.manager.typing_while(chat):
                    await asyncio.sleep(hold)

            await asyncio.gather(one(), one())

        asyncio.run(work())

    def in_threads(self, chat: str, hold: float) -> None:
        def one() -> None:
            with self.manager.typing_while(chat):
                time.sleep(hold)

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def compute(self, seconds: float) -> None:
        """Keep the interpreter busy in two threads."""

        def spin() -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                sum(range(1000))

        threads = [threading.Thread(target=spin) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def fork(self, chat: str, hold: float) -> int:
        """A child has the indicator of that chat for a while; returns its exit status: 3 if it was alone at first."""
        before = len(self.kinds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later: there are other threads
            child = os.fork()
        if not child:
            status = 1
            try:
                with self.manager.typing_while(chat):
                    time.sleep(hold)
                    until = time.monotonic() + GUARD
                    while self.manager.stats().sharing != "shared" and time.monotonic() < until:
                        time.sleep(0.02)
                if self.manager.stats().sharing == "shared" and self.manager.close():
                    status = 3 if "alone" in self.kinds[before:] else 0
                else:
                    status = 2
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    worker = Worker()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, args, options = json.loads(line)
        print(json.dumps(getattr(worker, name)(*args, **options)), flush=True)


if __name__ == "__main__":
    main()
