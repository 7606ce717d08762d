"""Runs a rival in a process of its own, told when to work, so that its background threads do not slow ourselves down.

It is still paired and interleaved with us; it takes its own time, so that the way to it costs it nothing.
"""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path


def _serve(orders: Connection, module: str, function: str, place: Path | str) -> None:
    opened = getattr(importlib.import_module(module), function)
    with opened(place) as batch:
        orders.send(0.0)
        while count := orders.recv():
            begin = time.perf_counter_ns()
            batch(count)
            orders.send((time.perf_counter_ns() - begin) / 1e9)


@contextmanager
def apart(module: str, function: str, place: Path | str) -> Iterator[Callable[[int], float]]:
    """Open *function* of *module* on a folder or URL in a new process; yields `batch(count)`, which returns the seconds that it took there."""
    start = multiprocessing.get_context("spawn")
    here, there = start.Pipe()
    process = start.Process(target=_serve, args=(there, module, function, place), daemon=True)
    process.start()
    there.close()

    def batch(count: int) -> float:
        here.send(count)
        seconds: float = here.recv()
        return seconds

    try:
        here.recv()
        yield batch
    finally:
        with suppress(BrokenPipeError):  # it died, and its traceback is on stderr
            here.send(0)
        process.join(10)
        process.kill()
