"""Runnables and graphs on models of LangChain that need no network, and the configuration that tracks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

from runstate import ExecutionTracker
from runstate.contrib.langchain import track

from .endings import Hanging, Tool


class Chat(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]


class Counted(TypedDict):
    n: int


class Broken(BaseChatModel):
    error: Any

    @property
    def _llm_type(self) -> str:
        return "broken"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise self.error


class Answering(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "answering"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("done"))])

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate()


def config(tracker: ExecutionTracker, **options: Any) -> Any:
    """A configuration with the adapter, and the thread and user of all tests."""
    return {"callbacks": [track(tracker, **{"thread_id": "t-1", "user_id": "u-1", **options})], "run_name": "bob"}


def chatting(model: BaseChatModel, tool: Tool) -> Any:
    """A graph whose model is asked, then the tool, then the model again."""
    look_up = StructuredTool.from_function(
        coroutine=tool.__call__ if isinstance(tool, Hanging) else tool, name="look_up", description="Look it up."
    )

    async def ask(state: Chat) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def call(state: Chat) -> Any:
        return {"messages": [AIMessage(await look_up.ainvoke({}))]}

    graph = StateGraph(Chat)
    graph.add_node("ask", ask)
    graph.add_node("call", call)
    graph.add_node("answer", ask)
    for one, next_one in ((START, "ask"), ("ask", "call"), ("call", "answer"), ("answer", END)):
        graph.add_edge(one, next_one)
    return graph.compile()


def counting(*nodes: Callable[[Counted], Any], **compiled: Any) -> Any:
    """A graph of these nodes in a row."""
    graph = StateGraph(Counted)
    names = [node.__name__ for node in nodes]
    for node in nodes:
        graph.add_node(node.__name__, node)
    for one, next_one in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, next_one)
    return graph.compile(**compiled)


def one_more(state: Counted) -> Counted:
    """Count."""
    return {"n": state["n"] + 1}
