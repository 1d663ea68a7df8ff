"""Real processes over one sandbox and one server, and what must hold after every story."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from linq_typing.sandbox import Sandbox

GUARD = 60.0  #: seconds; no test waits longer for anything
_EXPECTED = re.compile(
    r"INFO linq_typing typing indicators are shared with other processes"
    r"|WARNING linq_typing typing indicators are not shared with other processes: .*"
    r"|ERROR linq_typing typing indicators are not shared with other processes: .*"
)
#: What a process says that stood still while a request of its was in flight.
_LATE = re.compile(r"\w+ linq_typing typing .* in chat .*")


def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline, what or condition
        time.sleep(0.02)


class Worker:
    """A process of a bot; see :mod:`.worker`."""

    def __init__(self, linq: Sandbox, url: str, **options: Any) -> None:
        options = {"redis": url, "refresh_interval": 50.0, **options}
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            env={**os.environ, **linq.env(), "WORKER": json.dumps(options)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self.killed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> None:
        assert self._answer() == "ready"

    def do(self, name: str, *args: Any, **options: Any) -> Any:
        self.begin(name, *args, **options)
        return self._answer()

    def begin(self, name: str, *args: Any, **options: Any) -> None:
        """Say what to do, and don't wait; ``finish`` does."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, args, options]) + "\n")
        self._process.stdin.flush()

    def finish(self) -> Any:
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log()
        return json.loads(line)

    @property
    def sharing(self) -> str:
        return str(self.do("stats")["sharing"])

    def events(self, *kinds: str) -> list[str]:
        return [kind for kind in self.do("events") if not kinds or kind in kinds]

    def kill(self) -> None:
        self.killed = True
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Let it end in order, as a program does."""
        if not self.killed:
            assert self._process.stdin is not None
            self._process.stdin.close()
            assert self._process.wait(GUARD) == 0, self.log()

    def log(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()

    def clean_up(self) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it was killed before it read all
                    pipe.close()


class Cast:
    """The processes of one story."""

    def __init__(self, linq: Sandbox) -> None:
        self.linq = linq
        self.workers: list[Worker] = []

    def start(self, number: int, url: str, **options: Any) -> list[Worker]:
        return self.start_at(*[url] * number, **options)

    def start_at(self, *urls: str, **options: Any) -> list[Worker]:
        new = [Worker(self.linq, url, **options) for url in urls]
        self.workers += new
        for worker in new:
            worker.ready()
        return new

    def meet(self, number: int, url: str, **options: Any) -> list[Worker]:
        """Start processes that share already."""
        new = self.start(number, url, **options)
        lobby = self.linq.chat()
        for worker in new:
            worker.do("enter", lobby, start_delay=3600.0)
            worker.do("leave", lobby)
        all_share(new)
        return new

    def end(self, *chats: str, late: bool = False) -> None:
        """All leave in order. Then nothing is left on any screen, and nothing unexpected was said."""
        for worker in self.workers:
            worker.end()
        until(lambda: not any(self.linq.visible(chat) for chat in chats), "a ghost")
        assert not self.linq.ghosts()
        for chat in chats:
            timeline = self.linq.timeline(chat)
            assert timeline.max_typing_in_flight <= 1, timeline
        for worker in self.workers:
            for line in worker.log().splitlines():
                assert _EXPECTED.fullmatch(line) or (late and _LATE.fullmatch(line)), worker.log()

    def clean_up(self) -> None:
        for worker in self.workers:
            worker.clean_up()


def all_share(workers: Iterable[Worker]) -> None:
    for worker in workers:
        until(lambda worker=worker: worker.sharing == "shared", "not shared")  # type: ignore[misc]


def asked(linq: Sandbox, chat: str) -> list[str]:
    """The typing requests of the chat, in the order of arrival."""
    return [request.endpoint for request in linq.timeline(chat).of("start", "stop")]
