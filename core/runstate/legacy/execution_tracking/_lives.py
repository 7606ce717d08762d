"""What facade C means by an execution: its id, its run, its limits. All of them are read off the shared `Life`.

An id is `<agent>_<run>_<ms>_<32 hexadecimal digits>`, made of facts that do not change; the digits alone count when it is read.
An execution has no time limit of C's until one is set. The core's own, of a day, stands behind, so each one ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ... import ExecutionState, InvalidValueError
from .._arguments import positive, require
from .._book import CEILING
from .._life import Facade, Life
from .._shared import shared

FACADE: Final = Facade(
    name="execution_tracking",
    timeout_error="Execution timed out {limit}s after its start",
    death_error="No heartbeat for {age}s",
)

_NOBODY: Final = "unknown"
"""Stands for the thread or user of an execution whose context names none."""

_UNHAPPY: Final = frozenset({ExecutionState.FAILED, ExecutionState.TIMEOUT, ExecutionState.DEAD})


def create(
    run_id: str,
    agent_name: str,
    facts: Mapping[str, Any],
    *,
    retry_count: int = 0,
    timeout: float = CEILING,
) -> Life:
    """Create an execution, PENDING. One that retries is linked to the one that it recovers.

    Args:
        run_id: The run that it belongs to; events carry it.
        agent_name: Its agent.
        facts: Its context; `thread_id` and `user_id` of it are the execution's.
        retry_count: How many attempts of the run went before.
        timeout: Seconds from now to TIMEOUT.

    Raises:
        StateTypeError: An argument has the wrong type.
        InvalidValueError: A name is empty, or a limit is not positive.
    """
    for name, given in (("run_id", run_id), ("agent_name", agent_name)):
        require(name, given, str)
        if not given.strip():
            raise InvalidValueError(name, given, "a text that is not empty")
    metadata = {"run_id": run_id, "context": dict(facts)}
    if retry_count and (earlier := _to_recover(run_id, agent_name)) is not None:
        metadata["recovery_of"] = earlier.execution_id
    life = shared().create(
        FACADE,
        agent=agent_name,
        thread_id=str(facts.get("thread_id") or _NOBODY),
        user_id=str(facts.get("user_id") or _NOBODY),
        timeout=timeout,
        metadata=metadata,
    )
    life.facts["retry_count"] = retry_count
    return life


def _to_recover(run_id: str, agent_name: str) -> Life | None:
    """The newest execution of a run that an agent has ended unhappily."""
    for life in reversed(shared().book.recent()):
        if life.state in _UNHAPPY and life.record.agent == agent_name and run_of(life) == run_id:
            return life
    return None


def run_of(life: Life) -> str:
    """The run that an execution belongs to; its own id where nobody has named one."""
    return str(life.metadata.get("run_id") or life.execution_id)


def id_of(life: Life) -> str:
    """The id of an execution as facade C writes it."""
    record = life.record
    return f"{record.agent}_{run_of(life)}_{record.created_at_ns // 1_000_000}_{life.execution_id}"


def require_live(life: Life) -> None:
    """Accept an execution that has not ended.

    Raises:
        InvalidValueError: It has.
    """
    if life.state.is_terminal:
        raise InvalidValueError(
            "execution_id", life.execution_id, f"that of a live execution; it ended as {life.state.name}"
        )


# -- the time limit -----------------------------------------------------------------------------------------------------


def is_limited(life: Life) -> bool:
    """Whether a time limit was set, beside the core's own of a day."""
    return life.timeout != math.inf and not (life.facade is FACADE and life.timeout >= CEILING)


def limit_from_now(life: Life, seconds: float) -> None:
    """Give a live execution so many seconds from now.

    Raises:
        StateTypeError: *seconds* is no number.
        InvalidValueError: It is not positive, or too long; or the execution has ended.
    """
    positive("timeout_seconds", seconds)
    require_live(life)
    now_ns = life.clock()
    life.limit((now_ns - life.started_ns) / 1e9 + seconds)
    life.facts["limited_from_ns"] = now_ns


def lift_limit(life: Life) -> bool:
    """Take the time limit of a live execution away; return whether it had one."""
    if life.state.is_terminal or not is_limited(life):
        return False
    life.timeout = life.record.timeout or math.inf
    return True


# -- silence --------------------------------------------------------------------------------------------------------------


def is_late(life: Life) -> bool:
    """Whether it is live, its silence counts, and it is past its limit."""
    return life.heartbeat_timeout is not None and life.is_late(life.heartbeat_timeout)


def is_overdue(life: Life) -> bool:
    """Whether it is live although its time limit has passed."""
    return not life.state.is_terminal and is_limited(life) and life.clock() >= life.deadline_ns()
