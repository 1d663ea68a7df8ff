"""The processes of the browser tests: a sandbox and a bot, as their users start them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from patience import PATIENCE

#: Runs an example whose model answers once the file HOLD is gone, and no typing request is in flight: its message
#: then needs no stop.
BOT = """
import asyncio, os, runpy, sys, types
from linq_typing import current_session

async def answer_async(text):
    while os.path.exists(os.environ["HOLD"]) or current_session()._engine.stats().in_flight:
        await asyncio.sleep(0.02)
    return f"You said: {text}"

sys.modules["fake_llm"] = types.SimpleNamespace(answer_async=answer_async)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@dataclass
class Stage:
    """A sandbox, with a bot behind its webhook."""

    url: str
    env: dict[str, str]
    hold: Path

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}sandbox/state", timeout=PATIENCE).json()
        return found

    def act(self, action: str, **fields: object) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}sandbox/{action}", json=fields, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def typing(self, method: str, chat: str) -> int:
        """A typing request, as a bot would send it."""
        headers = {"Authorization": f"Bearer {self.env['LINQ_API_V3_API_KEY']}"}
        url = f"{self.env['LINQ_API_V3_BASE_URL']}/v3/chats/{chat}/typing"
        return httpx.request(method, url, headers=headers, timeout=PATIENCE).status_code

    @contextmanager
    def bot_at_work(self) -> Iterator[None]:
        """The bot does not answer inside the block."""
        self.hold.touch()
        try:
            yield
        finally:
            self.hold.unlink()


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LINQ_", "COV_"))}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**inherited, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Idempotent."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def exports(sandbox: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that it prints."""
    assert sandbox.stdout is not None
    found: dict[str, str] = {}
    for line in sandbox.stdout:
        if match := re.match(r"export (\w+)=(.*)", line):
            found[match[1]] = match[2]
        if line.startswith("curl"):
            return found
    raise AssertionError("the sandbox did not start")


def wait_for(port: int) -> None:
    """Wait until a server listens there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")
