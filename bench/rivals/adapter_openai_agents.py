"""An agent of the OpenAI Agents SDK whose model calls the agent's one tool and then answers, with our runner, or with empty hooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from agents import Agent, ModelResponse, RunHooks, Runner, Usage, function_tool, set_tracing_disabled
from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

import runstate
from runstate.contrib.openai_agents import track

set_tracing_disabled(True)  # it would export to OpenAI


class _Model(Model):
    latency = 0.0
    """Seconds that a request takes."""

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:  # noqa: A002
        if self.latency:
            await asyncio.sleep(self.latency)
        if isinstance(input, list) and len(input) > 1:
            text = ResponseOutputText(text="u-1: gold", type="output_text", annotations=[])
            answer: Any = ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
        else:
            answer = ResponseFunctionToolCall(
                id="f", call_id="c", name="get_user_details", arguments='{"user_id": "u-1"}', type="function_call"
            )
        return ModelResponse(output=[answer], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def _agent(latency: float) -> Agent[Any]:
    model = _Model()
    model.latency = latency

    @function_tool
    async def get_user_details(user_id: str) -> str:
        return f"{user_id}: gold"

    return Agent(name="agent", model=model, tools=[get_user_details])


def untracked(latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The loop with empty hooks."""
    agent = _agent(latency)

    async def run() -> Any:
        return (await Runner.run(agent, "Who am I?", hooks=RunHooks[Any]())).final_output

    return run


def tracked(tracker: runstate.ExecutionTracker, latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The same loop with our runner, which has hooks of its own."""
    agent = _agent(latency)
    runner = track(tracker, thread_id="t-1", user_id="u-1", timeout=25.0)

    async def run() -> Any:
        return (await runner.run(agent, "Who am I?")).final_output

    return run
