"""What the tests of the commands share: the console script as a process of its own, against a sandbox."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

from linq_typing import cli
from linq_typing.sandbox import Sandbox

#: The console script, where only the core and click are installed.
SCRIPT = """
import sys
sys.modules.update(dict.fromkeys(("starlette", "uvicorn", "rich")))
from linq_typing.cli import main
sys.exit(main())
"""

Variables = Mapping[str, str | None]


def hear_ctrl_c() -> None:
    """In the child: where the tests run in the background, SIGINT is ignored, which would be inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
            timeout=30,
            **options,
        )

    def main(self, *arguments: str, env: Variables | None = None) -> subprocess.CompletedProcess[str]:
        """`run` without a process of its own, which takes ten times as long."""
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, self.env(env), clear=True), redirect_stdout(out), redirect_stderr(err):
            status = cli.main(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def spawn(self, *arguments: str, env: Variables | None = None, **options: Any) -> subprocess.Popen[str]:
        usual: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        if os.name == "posix":
            usual["preexec_fn"] = hear_ctrl_c
        return subprocess.Popen(self.command(*arguments), env=self.env(env), **{**usual, **options})

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-c", SCRIPT, *arguments]

    def env(self, changes: Variables | None = None) -> dict[str, str]:
        """The sandbox's variables and no others of Linq's; None takes one out."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("LINQ_")}
        merged = {**own, "NO_PROXY": "*", **self.linq.env(), **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def asked(self, chat: str) -> list[str]:
        """The requests of a chat, in order of arrival."""
        return [request.endpoint for request in self.linq.timeline(chat).requests]
