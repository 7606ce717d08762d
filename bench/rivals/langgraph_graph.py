"""A LangGraph graph of ten nodes in a row, which count, and wait for as long as a model would take if that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

import runstate
from runstate import Phase

NODES = 10


class Counted(TypedDict):
    """The graph's state."""

    count: int


def _untracked(name: str, latency: float) -> Callable[[Counted], Awaitable[Counted]]:
    async def node(state: Counted) -> Counted:
        if latency:
            await asyncio.sleep(latency)
        return {"count": state["count"] + 1}

    node.__name__ = name
    return node


def _tracked(name: str, latency: float) -> Callable[[Counted], Awaitable[Counted]]:
    async def node(state: Counted) -> Counted:
        run = runstate.current()
        run.phase(Phase.TOOL_EXECUTION, name)
        run.heartbeat()
        if latency:
            await asyncio.sleep(latency)
        return {"count": state["count"] + 1}

    node.__name__ = name
    return node


def _compiled(make_node: Callable[[str, float], Any], latency: float) -> Any:
    graph = StateGraph(Counted)
    names = [f"node_{number}" for number in range(NODES)]
    for name in names:
        graph.add_node(name, make_node(name, latency))
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph.compile()


def untracked(latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The loop as it is."""
    graph = _compiled(_untracked, latency)

    async def run() -> Any:
        return await graph.ainvoke({"count": 0})

    return run


def tracked(tracker: runstate.ExecutionTracker, latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The same loop as one execution, with a phase and a heartbeat in each node."""
    graph = _compiled(_tracked, latency)

    async def run() -> Any:
        async with tracker.execution(agent="graph", thread_id="t-1", user_id="u-1", timeout=25.0) as execution:
            state = await graph.ainvoke({"count": 0})
            execution.complete(state)
        return state

    return run
