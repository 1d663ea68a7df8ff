"""Finds the Python blocks of Markdown pages and runs them, against the sandbox on a real socket.

A block is run as it stands: `await` at the top level is allowed, and the names that it does not define itself
(`chat_id`, `slow_llm`, ...) are stand-ins. What it imports may be a stand-in too (`my_bot`).
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib.util
import inspect
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import httpx

import linq_typing
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

ROOT = Path(__file__).parents[2]

Names = dict[str, Any]
Modules = Mapping[str, Callable[[Names], object]]
"""Stand-ins for what blocks import, each made when it is imported."""


@dataclass(frozen=True)
class Block:
    """A Python block of a page."""

    page: str
    heading: str
    code: str
    line: int

    def run(self, names: Names, modules: Modules) -> None:
        """Run it in these names."""
        names["__builtins__"] = {**vars(builtins), "__import__": importer(names, modules)}
        result = eval(self.compiled(), names)
        if inspect.iscoroutine(result):
            asyncio.run(result)

    def compiled(self) -> CodeType:
        """The code; its tracebacks show the page's lines."""
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile("\n" * self.line + self.code, str(ROOT / self.page), "exec", flags=flags, dont_inherit=True)
        assert isinstance(compiled, CodeType)
        return compiled

    def imports(self) -> list[tuple[str, str]]:
        """The modules that it imports, each with the name that it takes from there, or an empty one."""
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        found = []
        for node in ast.walk(compile(self.code, self.page, "exec", flags=flags)):
            if isinstance(node, ast.Import):
                found += [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [(node.module or "", alias.name) for alias in node.names]
        return found

    def missing(self, modules: Modules, *needs: str) -> set[str]:
        """The packages that it imports, or `needs`, and that are not installed."""
        roots = {module.partition(".")[0] for module, _ in self.imports()} - set(modules)
        return {root for root in {*roots, *needs} if importlib.util.find_spec(root) is None}


def blocks_of(page: str) -> list[Block]:
    """The Python blocks of a page, given by its path below the root."""
    return blocks_in((ROOT / page).read_text(encoding="utf-8"), page)


def blocks_in(markdown: str, page: str = "") -> list[Block]:
    """The fenced Python blocks, each with the heading it stands under."""
    blocks, heading, lines = [], "", markdown.splitlines()
    fenced = False
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
            if line == "```python":
                end = lines.index("```", number)
                blocks.append(Block(page, heading, "\n".join(lines[number:end]), number))
        elif not fenced and (title := re.fullmatch(r"#+ (.*)", line)):
            heading = title[1]
    return blocks


def importer(names: Names, modules: Modules) -> Callable[..., object]:
    """An `__import__` that knows the stand-ins."""

    def import_(name: str, *rest: Any) -> object:
        return modules[name](names) if name in modules else __import__(name, *rest)

    return import_


# -- Stand-ins


def shows(sandbox: Sandbox) -> bool:
    """Whether the current session's indicator shows since the latest request, and the library has taken note of it."""
    session = linq_typing.current_session()
    assert session is not None
    requests = sandbox.timeline(session.chat_id).requests
    latest_is_start = bool(requests) and requests[-1].endpoint == "start"
    stats = session._engine.stats()
    return latest_is_start and sandbox.visible(session.chat_id) and stats.shown > 0 and not stats.in_flight


def work(sandbox: Sandbox) -> None:
    """Takes as long as the indicator needs to show."""
    assert sandbox.wait_until(lambda: shows(sandbox), PATIENCE)


async def work_async(sandbox: Sandbox) -> None:
    """The same in an event loop."""

    async def shown() -> None:
        while not shows(sandbox):  # noqa: ASYNC110 - what the sandbox shows sets no event
            await asyncio.sleep(0.005)

    await asyncio.wait_for(shown(), PATIENCE)


def stand_ins(names: Names) -> Names:
    """What readers have in their own programs. `names["sandbox"]` may be replaced."""
    sandbox: Sandbox = names["sandbox"]

    def slow_llm(text: str) -> str:
        work(names["sandbox"])
        return f"{text}, answered"

    async def llm(text: str) -> str:
        await work_async(names["sandbox"])
        return f"{text}, answered"

    async def my_gateway(chat_id: str, text: str) -> bool:
        return await asyncio.to_thread(send, chat_id, text)

    def ask_a_person(draft: str) -> bool:
        session = linq_typing.current_session()
        assert session is not None
        return sandbox.wait_until(lambda: not sandbox.visible(session.chat_id), PATIENCE)

    return {
        "chat_id": sandbox.chat(),
        "text": "hello",
        "slow_llm": slow_llm,
        "llm": llm,
        "my_gateway": my_gateway,
        "my_queue": SimpleNamespace(append=lambda job: send(*job)),
        "ask_a_person": ask_a_person,
        "key_of": lambda customer: sandbox.api_key,
        "base_url": sandbox.base_url,
        "api_key": sandbox.api_key,
    }


def send(chat_id: str, text: str) -> bool:
    """Send a message to the API of the environment."""
    message = {"parts": [{"type": "text", "value": text}]}
    url = f"{os.environ['LINQ_API_V3_BASE_URL']}/v3/chats/{chat_id}/messages"
    headers = {"Authorization": f"Bearer {os.environ['LINQ_API_V3_API_KEY']}"}
    return httpx.post(url, json={"message": message}, headers=headers, timeout=PATIENCE, verify=False).is_success


@linq_typing.typing_while
def my_reply(chat_id: str, text: str) -> None:
    """As much of a bot as the pages' tests need."""
    assert send(chat_id, "It is on its way.")


def with_work(module: Any, sleep: Callable[[Names], object]) -> Callable[[Names], object]:
    """A module whose `sleep` takes as long as the indicator needs to show."""
    return lambda names: SimpleNamespace(**{**vars(module), "sleep": sleep(names)})


def _sleep(names: Names) -> object:
    return lambda seconds: work(names["sandbox"])


def _sleep_async(names: Names) -> object:
    return lambda seconds: work_async(names["sandbox"])


MODULES: Modules = {
    "my_bot": lambda names: SimpleNamespace(reply=my_reply),
    "time": with_work(time, _sleep),
    "asyncio": with_work(asyncio, _sleep_async),
    "sys": lambda names: SimpleNamespace(argv=["first.py", names["chat_id"]], exit=__import__("sys").exit),
}
