"""An agent of OpenAI's agents SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from docs.kit import send, work_async
from examples.kit import settled, shape
from linq_typing import typing_while
from linq_typing.sandbox import Sandbox

from .kit import LoadRecipe, cancelled_once_it_shows, check_sender, need, run

need("agents", "linq")

from agents import (
    Agent,
    Model,
    ModelResponse,
    RunContextWrapper,
    Runner,
    Usage,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

set_tracing_disabled(True)


def says(text: str) -> ResponseOutputMessage:
    content = [ResponseOutputText(text=text, type="output_text", annotations=[])]
    return ResponseOutputMessage(id="1", content=content, role="assistant", status="completed", type="message")


def calls(tool: str, arguments: str = "{}") -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(call_id="2", name=tool, arguments=arguments, type="function_call")


class FakeModel(Model):
    """Gives one answer after the other, each after `think`."""

    def __init__(self, *answers: Any, think: Callable[[], Awaitable[object]]) -> None:
        self._answers, self._think = iter(answers), think

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        await self._think()
        return ModelResponse(output=[next(self._answers)], usage=Usage(), response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        answer = await self.get_response()
        response = Response(
            id="3",
            created_at=0,
            model="fake",
            object="response",
            output=answer.output,
            tool_choice="auto",
            tools=[],
            parallel_tool_calls=False,
        )
        yield ResponseCompletedEvent(response=response, sequence_number=0, type="response.completed")


@pytest.fixture
def recipe(load: LoadRecipe) -> Any:
    return load("openai_agent")


def test_the_indicator_comes_back_after_the_message_of_a_tool(recipe: Any, linq: Sandbox, chat: str) -> None:
    answers = calls("say", '{"text": "One moment."}'), says("It is on its way.")
    recipe.agent.model = FakeModel(*answers, think=lambda: work_async(linq))
    run(recipe, recipe.reply(chat, "Where is my parcel?"))
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send start send"
    assert [message.text for message in timeline.messages] == ["One moment.", "It is on its way."]
    assert [showing.ended_by for showing in timeline.showings] == ["message", "message"]


def test_a_model_that_fails_leaves_nothing(recipe: Any, linq: Sandbox, chat: str) -> None:
    async def fail() -> None:
        await work_async(linq)
        raise ConnectionError("no model")

    recipe.agent.model = FakeModel(think=fail)
    with pytest.raises(ConnectionError, match="no model"):
        run(recipe, recipe.reply(chat, "Where is my parcel?"))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_run_that_is_cancelled_leaves_nothing(recipe: Any, linq: Sandbox, chat: str) -> None:
    recipe.agent.model = FakeModel(think=lambda: asyncio.Event().wait())
    run(recipe, cancelled_once_it_shows(linq, chat, recipe.reply(chat, "Where is my parcel?")))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_tool_of_its_own_finds_the_chat_in_the_context(linq: Sandbox, chat: str) -> None:
    """The model is told the signature of the tool; the indicator shows only while the tool runs."""

    @function_tool
    @typing_while(chat_id_from="run.context.chat_id")
    async def look_up(run: RunContextWrapper[dict[str, str]], number: int) -> str:
        await work_async(linq)
        return f"parcel {number}"

    assert set(look_up.params_json_schema["properties"]) == {"number"}
    model = FakeModel(calls("look_up", '{"number": 7}'), says("Found."), think=lambda: asyncio.sleep(0))
    agent = Agent(name="bot", tools=[look_up], model=model)
    asyncio.run(Runner.run(agent, "Where is my parcel?", context={"chat_id": chat}))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


@pytest.mark.usefixtures("watching_all")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_plain_tool_sends_for_the_block_around_the_run(linq: Sandbox, chat: str, streamed: bool) -> None:
    """A streamed run is a task of its own."""

    @function_tool
    def say() -> str:
        send(chat, "Hello")
        return "sent"

    agent = Agent(name="bot", tools=[say], model=FakeModel(calls("say"), says("Done."), think=lambda: asyncio.sleep(0)))

    async def reply() -> None:
        if streamed:
            result = Runner.run_streamed(agent, "Hi")
            assert [event async for event in result.stream_events()]
        else:
            await Runner.run(agent, "Hi")

    asyncio.run(check_sender(linq, chat, reply))
