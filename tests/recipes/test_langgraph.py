"""A node of LangGraph."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

import pytest

from docs.kit import send, work
from examples.kit import assert_shown_until_the_message, settled, shape
from linq_typing import typing_while
from linq_typing.sandbox import Sandbox

from .kit import LoadRecipe, cancelled_once_it_shows, check_sender, need, run

need("langgraph", "linq")

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt


@pytest.fixture
def recipe(load: LoadRecipe) -> Any:
    return load("langgraph_node")


def test_the_node_types_until_its_message(recipe: Any, linq: Sandbox, chat: str) -> None:
    run(recipe, recipe.on_message(chat, "Hello"))
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send"
    assert timeline.messages[0].text == "You said: Hello"
    assert_shown_until_the_message(timeline)


def test_a_node_that_fails_leaves_nothing(recipe: Any, linq: Sandbox, chat: str) -> None:
    linq.fail("send", status=400)
    with pytest.raises(Exception, match="400"):
        run(recipe, recipe.on_message(chat, "Hello"))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start send stop")


def test_a_graph_that_is_cancelled_leaves_nothing(load: LoadRecipe, linq: Sandbox, chat: str) -> None:
    recipe = load("langgraph_node", answer_async=lambda text: asyncio.Event().wait())
    run(recipe, cancelled_once_it_shows(linq, chat, recipe.on_message(chat, "Hello")))
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


@pytest.mark.usefixtures("watching_all")
def test_an_interrupt_takes_the_indicator_down(linq: Sandbox, chat: str) -> None:
    """A node that asks a person ends by an exception, and begins anew with the answer."""

    @typing_while(chat_id_from="config.configurable.thread_id")
    def ask(state: MessagesState, config: RunnableConfig) -> None:
        work(linq)
        send(chat, interrupt("What shall I say?"))

    config: Any = {"configurable": {"thread_id": chat}}
    graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").compile(InMemorySaver())
    graph.invoke({"messages": [("user", "Hello")]}, config)
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")
    graph.invoke(Command(resume="Good evening"), config)
    timeline = settled(linq, chat)
    assert shape(timeline) == "start stop start send"
    assert timeline.messages[0].text == "Good evening"


class Chat(TypedDict):
    chat_id: str


@pytest.mark.parametrize("where", ["state.chat_id", "runtime.context.chat_id"])
def test_the_chat_may_be_elsewhere(where: str, linq: Sandbox, chat: str) -> None:
    @typing_while(chat_id_from=where)
    def think(state: Chat, runtime: Runtime[Chat]) -> None:
        work(linq)

    here, nowhere = Chat(chat_id=chat), Chat(chat_id="")
    graph = StateGraph(Chat, context_schema=Chat).add_node(think).add_edge(START, "think").compile()
    graph.invoke(here if where.startswith("state") else nowhere, context=nowhere if where.startswith("state") else here)
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


@pytest.mark.usefixtures("watching_all")
def test_a_plain_node_in_a_thread_sends_for_the_block_around_the_graph(linq: Sandbox, chat: str) -> None:
    def say(state: MessagesState) -> None:
        send(chat, "Hello")

    graph = StateGraph(MessagesState).add_node(say).add_edge(START, "say").compile()
    asyncio.run(check_sender(linq, chat, lambda: graph.ainvoke({"messages": []})))
