"""The example of the design's public names, as a program that type checkers read and nobody runs.

It must be clean under mypy, pyright, basedpyright, ty and pyrefly. `assert_type` pins what each call gives, so that a
type that silently widens to `Any` or to a union is an error here.
"""

from __future__ import annotations

from typing import Literal, assert_type

import runstate
from runstate import (
    TRANSITIONS,
    Cancelled,
    Cause,
    Completed,
    Died,
    Execution,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    Failed,
    Json,
    Outcome,
    Phase,
    TimedOut,
    Transition,
)

tracker = runstate.open("runs.db")
assert_type(tracker, ExecutionTracker)


def by_handle() -> None:
    """Move one execution along the golden path."""
    pending = tracker.create(
        agent="airline",
        thread_id="t-1",
        user_id="u-1",
        timeout=25.0,
        heartbeat_timeout=10.0,
        metadata={"tier": "free"},
    )
    assert_type(pending, Execution[Literal[ExecutionState.PENDING]])
    starting = pending.start()
    assert_type(starting, Execution[Literal[ExecutionState.STARTING]])
    running = starting.run()
    assert_type(running, Execution[Literal[ExecutionState.RUNNING]])
    assert_type(pending.run(), Execution[Literal[ExecutionState.RUNNING]])
    running.phase(Phase.TOOL_EXECUTION, "get_user_details")
    running.heartbeat()
    completing = running.finish()
    assert_type(completing, Execution[Literal[ExecutionState.COMPLETING]])
    completed = completing.complete({"text": "…"})
    assert_type(completed, Execution[Literal[ExecutionState.COMPLETED]])
    assert_type(running.complete(), Execution[Literal[ExecutionState.COMPLETED]])
    assert_type(starting.fail("no seat"), Execution[Literal[ExecutionState.FAILED]])
    assert_type(running.time_out(), Execution[Literal[ExecutionState.TIMEOUT]])
    assert_type(completing.cancel("the user left"), Execution[Literal[ExecutionState.CANCELLED]])
    assert_type(pending.die(Cause.REPORTED), Execution[Literal[ExecutionState.DEAD]])


def by_block(answer: dict[str, str]) -> None:
    """Track a block."""
    with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0) as run:
        assert_type(run, Execution[Literal[ExecutionState.RUNNING]])
        assert_type(run.known_state, Literal[ExecutionState.RUNNING])
        if run.state is ExecutionState.TIMEOUT:  # the live truth: no checker may call this branch unreachable
            raise TimeoutError
        run.complete(answer)


async def by_async_block(answer: dict[str, str]) -> None:
    """Track an async block."""
    async with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0) as run:
        assert_type(run, Execution[Literal[ExecutionState.RUNNING]])
        run.complete(answer)


@tracker.agent("airline", timeout=25.0)
async def airline(message: str) -> str:
    """Answer a message."""
    return message.upper()


async def by_agent() -> str:
    """Call a tracked agent, and handle every way in which it can end."""
    outcome = await airline.bind(thread_id="t-1", user_id="u-1")("hello")
    assert_type(outcome, Outcome[str])
    match outcome:
        case Completed(result):
            assert_type(result, str)
            return result
        case Failed(error) | TimedOut(error) | Died(error) | Cancelled(error):
            assert_type(error, str)
            return f"sorry: {error}"


def by_id(execution_id: str) -> None:
    """Move, read and await executions by id."""
    moved = tracker.update_execution_state(execution_id, ExecutionState.FAILED, error="…")
    assert_type(moved, Transition)
    assert_type(tracker.get(execution_id), ExecutionRecord)
    handle = tracker.handle(execution_id)
    assert_type(handle, Execution[ExecutionState])
    assert_type(handle.expect(ExecutionState.RUNNING), Execution[Literal[ExecutionState.RUNNING]])
    assert_type(tracker.history(execution_id), tuple[Transition, ...])
    found = tracker.find(state=ExecutionState.RUNNING, agent="airline", thread_id="t-1", user_id="u-1", limit=10)
    assert_type(found, tuple[ExecutionRecord, ...])
    assert_type(tracker.wait(execution_id, timeout=5.0), Outcome[Json])
    assert_type(TRANSITIONS[ExecutionState.RUNNING], frozenset[ExecutionState])


async def follow() -> None:
    """Subscribe, synchronously and asynchronously."""
    with tracker.subscribe(agent="airline") as subscription:
        for event in subscription:
            assert_type(event, runstate.Event)
            break
        async for event in subscription:
            assert_type(event, runstate.Event)
            break


async def end() -> None:
    """Flush and close."""
    assert_type(tracker.statistics(), runstate.Statistics)
    tracker.flush(timeout=1.0)
    await tracker.aflush()
    tracker.close()


def use_as_a_block() -> None:
    """Have the tracker closed by a block."""
    with runstate.open("memory:") as own:
        assert_type(own, ExecutionTracker)


async def use_as_an_async_block() -> None:
    """Have the tracker closed by an async block."""
    async with runstate.open("memory:") as own:
        assert_type(own, ExecutionTracker)
