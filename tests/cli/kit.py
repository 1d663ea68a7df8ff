"""What the tests of the commands share: the console script as a process of its own, against a sandbox."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

from linq_typing import cli
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

#: The console script, where only the core and click are installed.
SCRIPT = """
import sys
sys.modules.update(dict.fromkeys(("starlette", "uvicorn", "rich")))
from linq_typing.cli import main
sys.exit(main())
"""

Variables = Mapping[str, str | None]


@contextmanager
def signals(action: signal.Handlers, *names: str) -> Iterator[None]:
    """Processes started inside begin with this action for the signals. In the background some may be ignored."""
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, action) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Terminal:
    """Somebody at a command line, whose environment points at the sandbox."""

    def __init__(self, linq: Sandbox) -> None:
        self.linq = linq

    def run(self, *arguments: str, env: Variables | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            check=False,
            env=self.env(env),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            **options,
        )

    def main(self, *arguments: str, env: Variables | None = None) -> subprocess.CompletedProcess[str]:
        """`run` without a process of its own, which takes ten times as long."""
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, self.env(env), clear=True), redirect_stdout(out), redirect_stderr(err):
            status = cli.main(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    @contextmanager
    def spawn(
        self, *arguments: str, env: Variables | None = None, ignored: str = "", **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Start the command and, in the end, wait for it. It ignores only that signal."""
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with signals(signal.SIG_DFL, "SIGINT", "SIGHUP"), signals(signal.SIG_IGN, *filter(None, [ignored])):
            process = subprocess.Popen(self.command(*arguments), env=self.env(env), text=True, **{**pipes, **options})
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def command(self, *arguments: str, before: str = "") -> list[str]:
        return [sys.executable, "-W", "error", "-c", f"{before}\n{SCRIPT}", *arguments]

    def env(self, changes: Variables | None = None) -> dict[str, str]:
        """The sandbox's variables and no others of Linq's; None takes one out."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("LINQ_")}
        merged = {**own, "NO_PROXY": "*", **self.linq.env(), **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def asked(self, chat: str) -> list[str]:
        """The requests of a chat, in order of arrival."""
        return [request.endpoint for request in self.linq.timeline(chat).requests]

    def wait_until_visible(self, chat: str) -> None:
        assert self.linq.wait_until(lambda: self.linq.visible(chat), PATIENCE)


def read_terminal(ours: int) -> bytes:
    """What a program has written into the pseudo-terminal; empty at its end."""
    try:
        return os.read(ours, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""
