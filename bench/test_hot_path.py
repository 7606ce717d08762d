"""The hot path under pytest-benchmark: `pytest bench` prints its tables. Not a test run, and not the gate: see README.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import Execution, ExecutionState, ExecutionTracker, Phase

from .cases.heartbeat import Plain
from .cases.sweep import tracker_with
from .rivals import (
    plain_call,
    pydantic_check,
    python_statemachine,
    runstate_tracker,
    transitions_machine,
    typeguard_check,
)

Opened = Callable[[Path], AbstractContextManager[Callable[[int], None]]]
ROUNDS = 500
"""Executions made ready for a move that can be made only once in a life."""


@pytest.fixture
def tracker() -> Iterator[ExecutionTracker]:
    """A tracker on a memory journal."""
    with runstate.open("memory:") as opened:
        yield opened


def _pending(tracker: ExecutionTracker) -> Any:
    return tracker.create(agent="airline", thread_id="t-1", user_id="u-1")


@pytest.mark.benchmark(group="heartbeat")
def test_heartbeat(benchmark: Any, tracker: ExecutionTracker) -> None:
    """A heartbeat of a running execution."""
    run = _pending(tracker).run()
    benchmark(run.heartbeat)
    assert run.state is ExecutionState.RUNNING


@pytest.mark.benchmark(group="heartbeat")
def test_plain_method(benchmark: Any) -> None:
    """The same body as a plain method."""
    benchmark(Plain().heartbeat)


@pytest.mark.benchmark(group="checked call")
@pytest.mark.parametrize(
    "checked_calls",
    [
        pytest.param(plain_call.checked_calls, id="unchecked"),
        pytest.param(runstate_tracker.checked_calls, id="runstate"),
        pytest.param(pydantic_check.checked_calls, id="pydantic"),
        pytest.param(typeguard_check.checked_calls, id="typeguard"),
    ],
)
def test_100_checked_calls(benchmark: Any, checked_calls: Opened, tmp_path: Path) -> None:
    """A hundred calls of an empty method with two checked arguments."""
    with checked_calls(tmp_path) as batch:
        benchmark(batch, 100)


@pytest.mark.benchmark(group="life")
@pytest.mark.parametrize(
    "lives",
    [
        pytest.param(runstate_tracker.lives, id="runstate"),
        pytest.param(transitions_machine.lives, id="transitions"),
        pytest.param(python_statemachine.lives, id="python-statemachine"),
    ],
)
def test_10_lives(benchmark: Any, lives: Opened, tmp_path: Path) -> None:
    """Ten lives in memory: create and four moves; ours with ten heartbeats and the journal's work."""
    with lives(tmp_path) as batch:
        benchmark(batch, 10)


def _once_each(benchmark: Any, tracker: ExecutionTracker, ready: list[Any], move: Callable[[Any], Any]) -> None:
    tracker.flush()
    waiting = iter(ready)
    benchmark.pedantic(lambda run: move(run), setup=lambda: ((next(waiting),), {}), rounds=len(ready))


@pytest.mark.benchmark(group="move")
def test_create(benchmark: Any, tracker: ExecutionTracker) -> None:
    """The creation of an execution."""
    benchmark.pedantic(_pending, args=(tracker,), rounds=ROUNDS)


@pytest.mark.benchmark(group="move")
def test_move_by_handle(benchmark: Any, tracker: ExecutionTracker) -> None:
    """PENDING -> RUNNING by handle: nothing to check."""
    _once_each(benchmark, tracker, [_pending(tracker) for _ in range(ROUNDS)], Execution.run)


@pytest.mark.benchmark(group="move")
def test_move_by_id(benchmark: Any, tracker: ExecutionTracker) -> None:
    """PENDING -> RUNNING by id: two checked arguments."""
    ids = [_pending(tracker).execution_id for _ in range(ROUNDS)]
    update = tracker.update_execution_state
    _once_each(benchmark, tracker, ids, lambda execution_id: update(execution_id, ExecutionState.RUNNING))


@pytest.mark.benchmark(group="move")
def test_end_by_handle(benchmark: Any, tracker: ExecutionTracker) -> None:
    """RUNNING -> COMPLETED by handle, with a result."""
    result = {"text": "Your seat is booked."}
    runs = [_pending(tracker).run() for _ in range(ROUNDS)]
    _once_each(benchmark, tracker, runs, lambda run: run.complete(result))


@pytest.mark.benchmark(group="move")
def test_phase(benchmark: Any, tracker: ExecutionTracker) -> None:
    """A phase with a detail."""
    run = _pending(tracker).run()
    benchmark.pedantic(run.phase, args=(Phase.TOOL_EXECUTION, "get_user_details"), rounds=ROUNDS)


@pytest.mark.benchmark(group="sweep")
@pytest.mark.parametrize("live", [1_000, 50_000])
def test_sweep(benchmark: Any, live: int) -> None:
    """A sweep with that many live executions, none expired."""
    with tracker_with(live) as tracker:
        assert benchmark(tracker.sweep) == 0
