"""An agent of pydantic-ai."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from docs.kit import send, work, work_async
from examples.kit import settled, shape
from linq_typing import typing_while
from linq_typing.sandbox import Sandbox

from .kit import LoadRecipe, cancelled_once_it_shows, check_sender, need, run

need("pydantic_ai", "linq")

from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel


@pytest.fixture
def recipe(load: LoadRecipe) -> Any:
    return load("pydantic_ai_agent")


def reply_with(recipe: Any, model: Callable[..., Any], chat: str) -> Any:
    async def reply() -> None:
        with recipe.agent.override(model=FunctionModel(model)):
            await recipe.reply(chat, "Where is my parcel?")

    return reply()


def test_the_indicator_comes_back_after_the_message_of_a_tool(recipe: Any, linq: Sandbox, chat: str) -> None:
    answers = iter([ToolCallPart("say", {"text": "One moment."}), TextPart("It is on its way.")])

    async def model(messages: list[Any], info: Any) -> ModelResponse:
        await work_async(linq)
        return ModelResponse(parts=[next(answers)])

    run(recipe, reply_with(recipe, model, chat))
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send start send"
    assert [message.text for message in timeline.messages] == ["One moment.", "It is on its way."]
    assert [showing.ended_by for showing in timeline.showings] == ["message", "message"]


def test_a_model_that_fails_leaves_nothing(recipe: Any, linq: Sandbox, chat: str) -> None:
    async def model(messages: list[Any], info: Any) -> ModelResponse:
        await work_async(linq)
        raise ConnectionError("no model")

    with pytest.raises(ConnectionError, match="no model"):
        run(recipe, reply_with(recipe, model, chat))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_run_that_is_cancelled_leaves_nothing(recipe: Any, linq: Sandbox, chat: str) -> None:
    async def model(messages: list[Any], info: Any) -> ModelResponse:
        await asyncio.Event().wait()
        raise AssertionError

    run(recipe, cancelled_once_it_shows(linq, chat, reply_with(recipe, model, chat)))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_tool_of_its_own_finds_the_chat_in_the_deps(linq: Sandbox, chat: str) -> None:
    """The model is told the signature of the tool; the indicator shows only while the tool runs."""
    agent = Agent(TestModel(), deps_type=dict)

    @agent.tool
    @typing_while(chat_id_from="ctx.deps.chat_id")
    def look_up(ctx: RunContext[dict[str, str]], number: int) -> str:
        work(linq)
        return f"parcel {number}"

    result = asyncio.run(agent.run("Where is my parcel?", deps={"chat_id": chat}))
    assert result.output == '{"look_up":"parcel 0"}'
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


@pytest.mark.usefixtures("watching_all")
def test_a_plain_tool_in_a_thread_sends_for_the_block_around_the_run(linq: Sandbox, chat: str) -> None:
    agent = Agent(TestModel(), deps_type=str)

    @agent.tool
    def say(ctx: RunContext[str]) -> str:
        send(ctx.deps, "Hello")
        return "sent"

    asyncio.run(check_sender(linq, chat, lambda: agent.run("Hi", deps=chat)))
