"""The pydantic-ai adapter against an empty hook of the framework's own, in memory, and with a fast model's latency on disk."""

from __future__ import annotations

from pathlib import Path

from bench.loops import measure_loop
from bench.pairs import Row
from bench.rivals import adapter_pydantic_ai


def measure(folder: Path) -> list[Row]:
    """Measure the bare loop with a journal in memory, and the loop with latency and a file."""
    return [
        *measure_loop("adapter_pydantic_ai", adapter_pydantic_ai, folder, runs=5, pairs=101, url="memory:"),
        *measure_loop(
            "adapter_pydantic_ai.latency", adapter_pydantic_ai, folder / "latency", runs=1, pairs=21, latency=0.125
        ),
    ]
