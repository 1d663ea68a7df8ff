"""What the sandbox's own tests share."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import httpx

from linq_typing.sandbox import Sandbox
from patience import PATIENCE


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def __iadd__(self, seconds: float) -> FakeClock:
        self.now += seconds
        return self


def client(linq: Sandbox) -> httpx.Client:
    """A client with the right key. Without verification: loading certificates takes longer than most tests."""
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    return httpx.Client(base_url=linq.base_url, headers=headers, timeout=PATIENCE, verify=False)


def text(value: str = "hi") -> dict[str, Any]:
    """The body of a request that sends a message."""
    return {"message": {"parts": [{"type": "text", "value": value}]}}


def start(http: httpx.Client, chat: str, **options: Any) -> httpx.Response:
    return http.post(f"/v3/chats/{chat}/typing", **options)


def stop(http: httpx.Client, chat: str) -> httpx.Response:
    return http.delete(f"/v3/chats/{chat}/typing")


def send(http: httpx.Client, chat: str, value: str = "hi") -> httpx.Response:
    return http.post(f"/v3/chats/{chat}/messages", json=text(value))


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own."""
    command = [sys.executable, *options, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
