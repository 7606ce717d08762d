"""Fixtures for the facades: a core on a clock that stands still, put behind all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator

import pytest

import runstate.legacy
from runstate import ExecutionTracker
from runstate.legacy import execution_tracker
from runstate.legacy.agent_execution_tracker import AgentExecutionTracker
from runstate.legacy.agent_execution_tracker._lifecycle import TRACKERS

from ..clock import FakeClock
from ..stores import Store


@pytest.fixture
def core(store: Store, clock: FakeClock) -> Iterator[ExecutionTracker]:
    """The tracker behind the facades, on each store in turn. Limits pass only by `pass_time`."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        runstate.legacy.use(tracker, clock=clock)
        yield tracker
        runstate.legacy.use(None)
    for (
        one
    ) in execution_tracker.TRACKERS.all():  # a callback that refers to its tracker keeps it until the next collection
        one.recovery.clear()
    for other in TRACKERS.all():
        other.deaths.clear()
        other.timeouts.clear()


@pytest.fixture
def tracker(core: ExecutionTracker) -> AgentExecutionTracker:
    """A tracker of facade B, on each store."""
    return AgentExecutionTracker()


@pytest.fixture
def pass_time(core: ExecutionTracker, clock: FakeClock) -> Callable[[float], int]:
    """Let seconds pass, and enforce the limits that have passed by then; returns how many executions that ended."""

    def advance(seconds: float) -> int:
        clock.advance(seconds)
        return runstate.legacy.sweep()

    return advance


@pytest.fixture
def run() -> Callable[[Coroutine[object, object, object]], object]:
    """Run a coroutine on an event loop of its own."""
    return asyncio.run
