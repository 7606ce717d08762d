"""A pydantic-ai agent on its `TestModel`, which calls the agent's one tool and then answers: two model steps, one tool step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import runstate
from runstate import Phase


class _Model(TestModel):
    latency = 0.0
    """Seconds that a request takes."""

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        if self.latency:
            await asyncio.sleep(self.latency)
        return await super().request(*args, **kwargs)


class _TrackedModel(_Model):
    async def request(self, *args: Any, **kwargs: Any) -> Any:
        run = runstate.current()
        run.phase(Phase.LLM_INTERACTION, self.model_name)
        run.heartbeat()
        return await super().request(*args, **kwargs)


def untracked(latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The loop as it is."""
    model = _Model()
    model.latency = latency
    agent = Agent(model)

    @agent.tool_plain
    async def get_user_details(user_id: str) -> str:
        return f"{user_id}: gold"

    async def run() -> Any:
        return (await agent.run("Who am I?")).output

    return run


def tracked(tracker: runstate.ExecutionTracker, latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The same loop as one execution, with a phase and a heartbeat in each model and tool step."""
    model = _TrackedModel()
    model.latency = latency
    agent = Agent(model)

    @agent.tool_plain
    async def get_user_details(user_id: str) -> str:
        execution = runstate.current()
        execution.phase(Phase.TOOL_EXECUTION, "get_user_details")
        execution.heartbeat()
        return f"{user_id}: gold"

    async def run() -> Any:
        async with tracker.execution(agent="pydantic-ai", thread_id="t-1", user_id="u-1", timeout=25.0) as execution:
            output = (await agent.run("Who am I?")).output
            execution.complete(output)
        return output

    return run
