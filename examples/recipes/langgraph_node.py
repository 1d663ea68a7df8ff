"""A node of LangGraph that types while it works.

In the folder `examples`, with LINQ_API_V3_API_KEY and LINQ_CHAT_ID set: python -m recipes.langgraph_node
"""

import asyncio
import os

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from linq import AsyncLinqAPIV3

from fake_llm import answer_async
from linq_typing import typing_while, watch

linq = watch(AsyncLinqAPIV3())


@typing_while(chat_id_from="config.configurable.thread_id")
async def reply(state: MessagesState, config: RunnableConfig) -> MessagesState:
    text = await answer_async(state["messages"][-1].text)
    chat_id = config["configurable"]["thread_id"]
    message = {"parts": [{"type": "text", "value": text}]}
    await linq.chats.messages.send(chat_id, message=message)
    return {"messages": [AIMessage(text)]}


graph = StateGraph(MessagesState).add_node(reply).add_edge(START, "reply")
bot = graph.compile(InMemorySaver())


async def on_message(chat_id: str, text: str) -> None:
    thread = {"configurable": {"thread_id": chat_id}}
    await bot.ainvoke({"messages": [("user", text)]}, thread)


if __name__ == "__main__":
    asyncio.run(on_message(os.environ["LINQ_CHAT_ID"], "Where is my parcel?"))
