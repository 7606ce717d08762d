"""A tracked pydantic-ai run on TestModel against the same one untracked, on both journals."""

from __future__ import annotations

from pathlib import Path

from bench.loops import measure_loop
from bench.pairs import Row
from bench.rivals import pydantic_ai_agent


def measure(folder: Path) -> list[Row]:
    """Measure the bare loop on either journal, and the loop with a fast model's latency."""
    return [
        *measure_loop("pydantic_ai", pydantic_ai_agent, folder, runs=5, pairs=101),
        *measure_loop("pydantic_ai.memory", pydantic_ai_agent, folder, runs=5, pairs=101, url="memory:"),
        *measure_loop("pydantic_ai.latency", pydantic_ai_agent, folder / "latency", runs=1, pairs=21, latency=0.125),
    ]
