"""The LangGraph graph of `langgraph_graph` with a callback handler: ours, or an empty one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.callbacks import GraphCallbackHandler

import runstate
from bench.rivals.langgraph_graph import _compiled, _untracked
from runstate.contrib.langchain import track


class _Empty(GraphCallbackHandler):
    run_inline = True


def _graph(handler: GraphCallbackHandler, latency: float) -> Callable[[], Awaitable[Any]]:
    graph = _compiled(_untracked, latency)
    config: Any = {"callbacks": [handler]}

    async def run() -> Any:
        return await graph.ainvoke({"count": 0}, config)

    return run


def untracked(latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The loop with the empty handler."""
    return _graph(_Empty(), latency)


def tracked(tracker: runstate.ExecutionTracker, latency: float = 0.0) -> Callable[[], Awaitable[Any]]:
    """The same loop with ours: each node is a phase."""
    return _graph(track(tracker, thread_id="t-1", user_id="u-1", timeout=25.0), latency)
