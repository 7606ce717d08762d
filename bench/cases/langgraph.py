"""A tracked LangGraph graph of ten nodes against the same one untracked, on both journals."""

from __future__ import annotations

from pathlib import Path

from bench.loops import measure_loop
from bench.pairs import Row
from bench.rivals import langgraph_graph


def measure(folder: Path) -> list[Row]:
    """Measure the bare loop on either journal, and the loop with a fast model's latency."""
    return [
        *measure_loop("langgraph", langgraph_graph, folder, runs=5, pairs=101),
        *measure_loop("langgraph.memory", langgraph_graph, folder, runs=5, pairs=101, url="memory:"),
        *measure_loop("langgraph.latency", langgraph_graph, folder / "latency", runs=1, pairs=21, latency=0.025),
    ]
