"""An example in a process of its own, whose model answers when the test says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from linq_typing.sandbox import Sandbox

PATIENCE = 60.0  # seconds that guard against hanging
EXAMPLES = Path(__file__).parents[2] / "examples"

#: Runs an example in which each answer waits until the file HOLD is removed, and until no typing request is in flight.
RUN = """
import asyncio, os, pathlib, runpy, sys, time, types
from linq_typing import current_session

hold = pathlib.Path(os.environ["HOLD"])

def thinking():
    if hold.exists() or current_session()._engine.stats().in_flight:
        return True
    hold.touch()  # for the next answer
    return False

def answer(text):
    while thinking():
        time.sleep(0.01)
    return f"You said: {text}"

async def answer_async(text):
    while thinking():
        await asyncio.sleep(0.01)
    return f"You said: {text}"

async def stream(text):
    for number in (1, 2):
        await answer_async(text)
        yield f"Thought {number} about: "
        yield f"{text} \\n\\n"

sys.modules["fake_llm"] = types.SimpleNamespace(answer=answer, answer_async=answer_async, stream=stream)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


class Example:
    """An example that runs in a process of its own."""

    def __init__(self, name: str, linq: Sandbox, chat: str, hold: Path, **variables: str) -> None:
        self._linq, self._chat, self._hold = linq, chat, hold
        self._answers = 0
        hold.touch()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LINQ_", "COV_"))}
        env = {**inherited, **linq.env(), "LINQ_CHAT_ID": chat, "HOLD": str(hold), **variables}
        command = [sys.executable, "-W", "error", "-c", RUN, str(EXAMPLES / name)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def __enter__(self) -> Example:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def answer_once_it_shows(self) -> None:
        """Let the model give an answer, as soon as the indicator shows by a start that came after the last answer."""
        assert self._linq.wait_until(lambda: self._shows() and self._hold.exists())
        self._answers += 1
        self._hold.unlink()

    def _shows(self) -> bool:
        return len(self._linq.timeline(self._chat).starts) > self._answers and self._linq.visible(self._chat)

    def type(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def finish(self) -> str:
        """Wait for the end; returns what it printed."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, err
        assert "Traceback" not in err, err
        assert "Warning" not in err, err
        return out
