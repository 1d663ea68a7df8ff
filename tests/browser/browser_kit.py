"""The processes of the browser tests: a sandbox and a bot, as their users start them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time


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
    """Twice does no harm."""
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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")
