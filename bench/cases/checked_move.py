"""Checked moves against the same moves with beartype taken off, by handle and by id, on a memory journal.

Most moves by handle have nothing to check (no argument, or one that may be any object), so those that have are measured:
`fail(error)` and the call of issue #305, `update_execution_state(id, state)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import runstate
from bench.pairs import Prepare, Row, Work, paired
from runstate import Execution, ExecutionState, ExecutionTracker

MOVES = 400
ERROR = "the model refused to answer"


def unchecked(owner: type, name: str) -> Callable[..., Any]:
    """The function inside a checked method.

    Raises:
        TypeError: The method is not checked, so there would be nothing to compare.
    """
    method = owner.__dict__[name]
    plain = inspect.unwrap(method)
    if plain is method:
        raise TypeError(f"{owner.__name__}.{name} is not wrapped by any check")
    return plain


def by_handle(tracker: ExecutionTracker, fail: Callable[..., Any]) -> Prepare:
    """RUNNING -> FAILED by handle."""

    def prepare() -> Work:
        runs = [tracker.create(agent="airline", thread_id="t-1", user_id="u-1").run() for _ in range(MOVES)]
        tracker.flush()

        def work(fail: Callable[..., Any] = fail, runs: Iterable[Execution[Any]] = runs) -> None:
            for run in runs:
                fail(run, ERROR)

        return work

    return prepare


def by_id(tracker: ExecutionTracker, update: Callable[..., Any]) -> Prepare:
    """PENDING -> RUNNING by id."""

    ids: list[str] = []

    def prepare() -> Work:
        for execution_id in ids:  # those of the round before
            tracker.update_execution_state(execution_id, ExecutionState.CANCELLED)
        ids[:] = [tracker.create(agent="airline", thread_id="t-1", user_id="u-1").execution_id for _ in range(MOVES)]
        tracker.flush()

        def work(update: Callable[..., Any] = update, ids: Iterable[str] = ids) -> None:
            for execution_id in ids:
                update(tracker, execution_id, ExecutionState.RUNNING)

        return work

    return prepare


def measure(_: Path) -> list[Row]:
    """Measure both rows."""
    with runstate.open("memory:") as tracker:
        handle = paired(
            by_handle(tracker, Execution.fail),
            by_handle(tracker, unchecked(Execution, "fail")),
            operations=MOVES,
            pairs=101,
        )
        identity = paired(
            by_id(tracker, ExecutionTracker.update_execution_state),
            by_id(tracker, unchecked(ExecutionTracker, "update_execution_state")),
            operations=MOVES,
            pairs=101,
        )
    return [Row.cost("checked_move.handle", handle), Row.cost("checked_move.id", identity)]
