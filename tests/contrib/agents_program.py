"""Agents of the OpenAI Agents SDK on a model that says what it is told to, and the runner that tracks them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, FunctionTool, ModelResponse, Usage, function_tool, set_tracing_disabled
from agents.models.interface import Model
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from runstate import ExecutionTracker
from runstate.contrib.openai_agents import TrackedRunner, track

from .endings import Tool, _found

set_tracing_disabled(True)  # it would export to OpenAI


def says(text: str) -> list[Any]:
    """An answer of the model."""
    content = ResponseOutputText(text=text, type="output_text", annotations=[])
    return [ResponseOutputMessage(id="m", content=[content], role="assistant", status="completed", type="message")]


def calls(*names: str) -> list[Any]:
    """Calls of tools."""
    return [
        ResponseFunctionToolCall(id=f"f-{name}", call_id=f"c-{name}", name=name, arguments="{}", type="function_call")
        for name in names
    ]


class Scripted(Model):
    """Gives these answers one after the other; raises those that are errors."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)

    def _next(self) -> list[Any]:
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return said  # type: ignore[no-any-return]

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return ModelResponse(output=self._next(), usage=Usage(), response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        response = Response(
            id="r",
            created_at=0,
            model="m",
            object="response",
            output=self._next(),
            tool_choice="auto",
            tools=[],
            parallel_tool_calls=True,
        )
        yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)


def named(name: str, tool: Tool, **arguments: Any) -> FunctionTool:
    """A tool of the SDK without parameters."""

    async def call() -> str:
        return await tool()

    return function_tool(call, name_override=name, failure_error_function=None, **arguments)


def agent(*script: Any, tools: tuple[FunctionTool, ...] = (), **arguments: Any) -> Agent[Any]:
    """Agent "bob" with a model that says this."""
    return Agent(name="bob", model=Scripted(*script), tools=list(tools), **arguments)


def looking(tool: Tool = _found) -> Agent[Any]:
    """An agent that calls the tool and answers "done"."""
    return agent(calls("look_up"), says("done"), tools=(named("look_up", tool),))


def tracking(tracker: ExecutionTracker, **options: Any) -> TrackedRunner:
    """The adapter, with the thread and user of all tests."""
    return track(tracker, **{"thread_id": "t-1", "user_id": "u-1", **options})
