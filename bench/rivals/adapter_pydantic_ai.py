"""The pydantic-ai agent of `pydantic_ai_agent` with a capability: ours, or one with the same hooks that only hands on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability

import runstate
from bench.rivals.pydantic_ai_agent import _Model
from runstate.contrib.pydantic_ai import track


class _Empty(AbstractCapability[Any]):
    async def wrap_run(self, ctx: Any, *, handler: Any) -> Any:
        return await handler()

    async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> Any:
        return await handler(request_context)

    async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
        return await handler(args)


def _agent(capability: AbstractCapability[Any], latency: float) -> Callable[[], Awaitable[Any]]:
    model = _Model()
    model.latency = latency
    agent = Agent(model, name="agent", capabilities=[capability])

    @agent.tool_plain
    async def get_user_details(user_id: str) -> str:
        return f"{user_id}: gold"

    async def run() -> Any:
        return (await agent.run("Who am I?")).output

    return run


def untracked(latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The loop with the empty capability."""
    return _agent(_Empty(), latency)


def tracked(tracker: runstate.ExecutionTracker, latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The same loop with ours."""
    return _agent(track(tracker, thread_id="t-1", user_id="u-1", timeout=25.0), latency)
