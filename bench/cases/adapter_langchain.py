"""The LangGraph adapter against an empty hook of the framework's own, in memory, and with a fast model's latency on disk."""

from __future__ import annotations

from pathlib import Path

from bench.loops import measure_loop
from bench.pairs import Row
from bench.rivals import adapter_langchain


def measure(folder: Path) -> list[Row]:
    """Measure the bare loop with a journal in memory, and the loop with latency and a file."""
    return [
        *measure_loop("adapter_langchain", adapter_langchain, folder, runs=5, pairs=101, url="memory:"),
        *measure_loop(
            "adapter_langchain.latency", adapter_langchain, folder / "latency", runs=1, pairs=21, latency=0.025
        ),
    ]
