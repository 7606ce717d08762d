"""`ExecutionRegistry`: creates, moves and finds executions. Its calls decide at once; they are `async` because callers await them."""

from __future__ import annotations

from typing import Any, Final

from ... import ExecutionState as _State
from ... import FencedError, InvalidTransitionError
from .._arguments import positive, require
from .._calls import legacy_call
from .._shared import found, shared
from .._states import require_state
from ._lives import create, is_overdue, limit_from_now
from ._names import ExecutionState, NoWayBackError
from ._records import ExecutionMetrics, ExecutionProgress, ExecutionRecord, Notes, view

__all__ = ["ExecutionMetrics", "ExecutionProgress", "ExecutionRecord", "ExecutionRegistry", "ExecutionState"]

_FOUND: Final = 1_000_000
"""At most this many executions of one agent are returned."""

_SEARCHED: Final = 10_000
"""A run is looked for among this many executions, the newest. It stands in their metadata, which no journal can search."""

_BEGUN: Final = frozenset({_State.RUNNING, _State.COMPLETING})


class ExecutionRegistry:
    """Creates, moves and finds executions.

    Args:
        cleanup_interval_seconds: Kept for its name: what is kept of ended executions is `runstate.Limits`; in memory 10,000,
            for a day.
        strict: Raise refusals as runstate's own errors, instead of answering False or raising `ValueError`.
    """

    def __init__(self, cleanup_interval_seconds: float = 60, *, strict: bool = False) -> None:
        positive("cleanup_interval_seconds", cleanup_interval_seconds)
        self.cleanup_interval = cleanup_interval_seconds
        self.strict = strict

    def __len__(self) -> int:
        """How many executions are shown: the live ones of facades, and the newest ended ones."""
        book = shared().book
        return len(book.live()) + len(book.recent())

    # -- moving -------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.create(…)")
    async def register_execution(
        self, run_id: str, agent_name: str, context: dict[str, Any] | None = None
    ) -> ExecutionRecord:
        """Register an execution, PENDING, and return its live record. It has no time limit until one is set.

        Args:
            run_id: The run that it belongs to; events carry it.
            agent_name: Which agent runs.
            context: Facts to keep with it. Its `thread_id` and `user_id` are the execution's; with a `retry_count`, it is
                linked to the execution of the same run and agent that it recovers.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: A name is empty; it is a `ValueError`.
        """
        given = {} if context is None else context
        require("context", given, dict)
        retries: int = given.get("retry_count", 0)
        require("retry_count", retries, int)
        return view(create(run_id, agent_name, given, retry_count=retries))

    @legacy_call(
        "runstate.ExecutionTracker.update_execution_state(…), or a move of the handle",
        refused=False,
        value_errors=(InvalidTransitionError, FencedError, NoWayBackError),
    )
    async def update_execution_state(
        self, execution_id: str, new_state: _State, metadata: dict[str, Any] | None = None
    ) -> bool:
        """Take an execution to a state, through the legal moves on the way; False if it is unknown.

        Args:
            execution_id: Which.
            new_state: A member of `ExecutionState`. The state that it has is taken too.
            metadata: `error` (text), `progress` (`ExecutionProgress`), `recovery_action` (text), `retry_count`; whatever
                else is in it goes to the execution's metadata.

        Raises:
            StateTypeError: *new_state* is a dict, a text, another enum, or anything else that is no `ExecutionState`.
            ValueError: No legal move leads there: it has ended, or would have to begin again.
        """
        core = shared()
        require_state(new_state, name="new_state", rest="in metadata=, such as its error")
        notes = Notes(metadata)
        life = core.find(execution_id)
        if new_state is _State.STARTING and (life.state in _BEGUN or life.state.is_terminal):
            raise NoWayBackError(life.execution_id, life.state)
        if life.state is not new_state or not new_state.is_terminal:
            core.move(life, new_state, error=notes.error)
        notes.keep(life)
        return True

    @legacy_call("Execution.heartbeat()", refused=False)
    async def update_heartbeat(self, execution_id: str) -> bool:
        """Note a sign of life; False if it is unknown or has ended."""
        core = shared()
        core.heartbeat(core.find(execution_id))
        return True

    @legacy_call("runstate.ExecutionTracker.create(timeout=…)", refused=False)
    async def set_execution_timeout(self, execution_id: str, timeout_seconds: float) -> bool:
        """Give a live execution so many seconds from now; False if it is unknown or has ended, or the limit is impossible."""
        limit_from_now(shared().find(execution_id), timeout_seconds)
        return True

    @legacy_call("runstate.Limits.retention")
    async def cleanup_expired_executions(self, retention_hours: float = 24) -> int:
        """Show ended executions older than so many hours no longer; return how many. The journal keeps them as its `Limits` say."""
        core = shared()
        limit_ns = core.clock.time_ns() - int(retention_hours * 3_600e9)
        expired = [life for life in core.book.recent() if (life.end_time_ns or limit_ns) < limit_ns]
        for life in expired:
            core.book.drop(life)
        return len(expired)

    @legacy_call("runstate.ExecutionTracker.close()")
    async def shutdown(self) -> None:
        """Do nothing: no task runs here, and the tracker behind it is closed by whoever opened it."""

    # -- reading ------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    async def get_execution(self, execution_id: str) -> ExecutionRecord | None:
        """Return the live record of an execution, whoever created it; None if it is unknown."""
        life = found(execution_id)
        return None if life is None else view(life)

    @legacy_call("runstate.ExecutionTracker.find(state=…)")
    async def get_active_executions(self) -> list[ExecutionRecord]:
        """Return the live executions that legacy trackers have created, oldest first."""
        return [view(life) for life in shared().book.live()]

    @legacy_call("runstate.ExecutionTracker.find(agent=…)")
    async def get_executions_by_agent(self, agent_name: str) -> list[ExecutionRecord]:
        """Return all executions of an agent that the journal keeps, oldest first."""
        return [view(life) for life in shared().book.those(shared().tracker.find(agent=agent_name, limit=_FOUND))]

    @legacy_call("runstate.ExecutionTracker.find(…), with the run as thread_id")
    async def get_executions_by_run_id(self, run_id: str) -> list[ExecutionRecord]:
        """Return the executions of a run among the newest 10,000, oldest first."""
        newest = shared().tracker.find(limit=_SEARCHED)
        return [view(life) for life in shared().book.those(newest) if life.metadata.get("run_id") == run_id]

    @legacy_call("runstate.ExecutionTracker.find(state=ExecutionState.TIMEOUT)")
    async def get_timed_out_executions(self) -> list[ExecutionRecord]:
        """Return those whose time limit has passed: the newest that ended by it, and the live ones that are about to."""
        book = shared().book
        ended = [life for life in book.recent() if life.state is _State.TIMEOUT]
        return [view(life) for life in [*ended, *filter(is_overdue, book.live())]]

    @legacy_call("runstate.ExecutionTracker.create(heartbeat_timeout=…)")
    async def get_stale_executions(self, stale_threshold_seconds: float = 300) -> list[ExecutionRecord]:
        """Return the live executions that have given no sign of life for longer than this, oldest first."""
        return [view(life) for life in shared().book.live() if life.silent() > stale_threshold_seconds]

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_execution_metrics(self) -> ExecutionMetrics:
        """Return how many executions there were, and how they ended; of the whole tracker."""
        return metrics()

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_health_status(self) -> dict[str, Any]:
        """Return how many executions there are, and which are past their time limit."""
        return registry_health()


def metrics() -> ExecutionMetrics:
    """Count executions. Nothing is recounted: the tracker has the figures; the average is that of the newest ended ones."""
    core = shared()
    known = core.tracker.statistics()
    ended = {state: 0 for state in _State if state.is_terminal}
    for (state, _), count in known.ended.items():
        ended[state] += count
    lasted = [life.elapsed() * 1_000 for life in core.book.recent()]
    total = sum(ended.values())
    return ExecutionMetrics(
        active_executions=known.live,
        total_executions=known.created,
        successful_executions=ended[_State.COMPLETED],
        failed_executions=ended[_State.FAILED] + ended[_State.DEAD],
        timeout_executions=ended[_State.TIMEOUT],
        average_execution_time_ms=sum(lasted) / len(lasted) if lasted else 0.0,
        success_rate=ended[_State.COMPLETED] / total if total else 0.0,
    )


def registry_health() -> dict[str, Any]:
    """Describe the registry."""
    overdue = [life for life in shared().book.live() if is_overdue(life)]
    counts = metrics()
    return {
        "status": "degraded" if overdue else "healthy",
        "healthy": not overdue,
        "total_executions": counts.total_executions,
        "active_executions": counts.active_executions,
        "timed_out_executions": len(overdue),
        "success_rate": counts.success_rate,
    }
