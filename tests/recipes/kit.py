"""Recipes that are imported into the test's process. Their models answer once the indicator shows."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from docs.kit import work, work_async
from examples.kit import EXAMPLES, shape
from linq_typing import typing_while
from linq_typing.sandbox import Sandbox

LoadRecipe = Callable[..., Any]


def need(*modules: str) -> None:
    """Skip the tests of a file unless these are installed. It is an error if one is, but can't be imported."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"no {module} here: pip install -e '.[recipes]'", allow_module_level=True)


def loaded(name: str, linq: Sandbox, monkeypatch: pytest.MonkeyPatch, **model: Any) -> Any:
    """The module of a recipe, with a stand-in for `fake_llm` that has the functions in `model`, too."""

    def answer(text: str) -> str:
        work(linq)
        return f"You said: {text}"

    async def answer_async(text: str) -> str:
        await work_async(linq)
        return f"You said: {text}"

    fake_llm = SimpleNamespace(**{"answer": answer, "answer_async": answer_async, **model})
    monkeypatch.setitem(sys.modules, "fake_llm", fake_llm)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / "recipes" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # frameworks look up annotations there
    spec.loader.exec_module(module)
    return module


def run(recipe: Any, main: Coroutine[Any, Any, object]) -> None:
    """Run it in an event loop of its own, and close the recipe's client of Linq."""

    async def run_and_close() -> None:
        async with recipe.linq:
            await main

    asyncio.run(run_and_close())


async def cancelled_once_it_shows(linq: Sandbox, chat: str, main: Coroutine[Any, Any, object]) -> None:
    task = asyncio.create_task(main)
    assert await asyncio.to_thread(linq.wait_until, lambda: linq.visible(chat))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def check_sender(linq: Sandbox, chat: str, send: Callable[[], Awaitable[object]]) -> None:
    """The message that `send` sends is that of the block around it, not that of an older session of the chat: the older
    one shows the indicator again, and once it has left, nobody wants it."""
    older = typing_while(chat)
    contextvars.Context().run(older.__enter__)
    assert linq.wait_until(lambda: linq.visible(chat))
    async with typing_while(chat):
        await send()
        assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start send start")
        contextvars.Context().run(older.__exit__, None, None, None)
        assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start send start stop")
