"""`TimeoutManager`: how long executions may take.

A limit is set in seconds from now, counts from PENDING on, and ends the execution as TIMEOUT whatever state it is in. It is
enforced without `check_timeouts`, to the millisecond and not to the next round.

The limit of an agent is that of the longest configured name that its own begins with: `data_helper_agent` is a `data_helper`,
which has 45 s, and not a `data`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from ... import ExecutionState, InvalidValueError, RunstateError
from .._arguments import positive, require
from .._calls import legacy_call
from .._life import Life
from .._shared import found, shared
from .._times import when
from ._followed import Followed
from ._lives import id_of, is_limited, is_overdue, lift_limit, limit_from_now, require_live

__all__ = ["TimeoutInfo", "TimeoutManager"]

DEFAULT: Final = "default"
"""The entry of the configuration for agents that have none of their own."""

_LIMITS: Final = {
    DEFAULT: 30.0,
    "triage": 15.0,
    "data": 60.0,
    "optimization": 45.0,
    "reporting": 30.0,
    "actions": 20.0,
    "synthetic_data": 120.0,
    "corpus_admin": 30.0,
    "data_helper": 45.0,
}


class TimeoutInfo(BaseModel):
    """The time limit of one execution, as it stood when it was made."""

    execution_id: str
    timeout_seconds: float
    """From `started_at` to `timeout_at`."""
    started_at: datetime
    """When the limit was set."""
    timeout_at: datetime
    remaining_seconds: float
    has_timed_out: bool
    timeout_reason: str | None = None
    """Why it ended, or why the limit was extended."""


def _refused(
    error: RunstateError, _limits: object, execution_id: str, *_given: object, **_named: object
) -> TimeoutInfo:
    """What `set_timeout` answers where it is refused: the limit as it stands, of 0 s where there is none, and why."""
    info = _info(execution_id)
    if info is None:
        now = when(shared().clock.time_ns())
        info = TimeoutInfo(
            execution_id=str(execution_id),
            timeout_seconds=0.0,
            started_at=now,
            timeout_at=now,
            remaining_seconds=0.0,
            has_timed_out=False,
        )
    return info.model_copy(update={"timeout_reason": f"refused: {error}"})


class TimeoutManager:
    """Sets and shows time limits.

    Args:
        check_interval_seconds: Kept for its name: a limit is enforced when it passes.
        strict: Raise refusals instead of answering False or None.

    Raises:
        InvalidValueError: The interval is not positive.
    """

    check_interval: float
    timeout_config: dict[str, float]
    """Seconds by the beginning of an agent's name."""

    def __init__(self, check_interval_seconds: float = 5.0, *, strict: bool = False) -> None:
        positive("check_interval_seconds", check_interval_seconds)
        self.check_interval = check_interval_seconds
        self.timeout_config = dict(_LIMITS)
        self.strict = strict
        self.followed: Followed = Followed(ExecutionState.TIMEOUT, timeout_info)
        """What it has set limits for, and who hears of passed ones."""

    def __len__(self) -> int:
        """How many live executions it has set limits for."""
        return len(self.followed)

    @legacy_call("a mapping of your own")
    def get_timeout_for_agent(self, agent_name: str) -> float:
        """Return the seconds that an agent has: those of the longest configured name that its own begins with."""
        return limit_of(self.timeout_config, agent_name)

    @legacy_call("a mapping of your own")
    def set_agent_timeout(self, agent_name: str, timeout_seconds: float) -> None:
        """Give an agent, and those whose names begin with it, so many seconds. It changes no execution that there is."""
        positive("timeout_seconds", timeout_seconds)
        self.timeout_config[agent_name] = timeout_seconds

    @legacy_call("runstate.ExecutionTracker.create(timeout=…)", answer=_refused)
    async def set_timeout(
        self, execution_id: str, timeout_seconds: float | None = None, agent_name: str | None = None
    ) -> TimeoutInfo:
        """Give a live execution so many seconds from now. Refused if it is unknown or has ended, or the limit is impossible.

        Args:
            execution_id: Which.
            timeout_seconds: Seconds; None takes those of the agent.
            agent_name: Whose limit it takes; None takes that of its own agent.

        Returns:
            The limit. Where it is refused, which is logged and counted, and raised with `strict`: the limit as it stands,
            0 s if there is none, and a `timeout_reason` that says why.

        Raises:
            StateTypeError: *timeout_seconds* is no number.
        """
        life = shared().find(execution_id)
        if timeout_seconds is None:
            timeout_seconds = limit_of(self.timeout_config, agent_name or life.record.agent)
        limit_from_now(life, timeout_seconds)
        self.followed.add(life)
        return timeout_info(life)

    @legacy_call("runstate.ExecutionTracker.create(timeout=…)", refused=False)
    async def extend_timeout(
        self, execution_id: str, additional_seconds: float, reason: str = "extension_requested"
    ) -> bool:
        """Give a live execution more time; False if it is unknown, has ended, or has no limit."""
        positive("additional_seconds", additional_seconds)
        life = shared().find(execution_id)
        require_live(life)
        if not is_limited(life):
            raise InvalidValueError("execution_id", execution_id, "that of an execution with a time limit")
        life.limit(life.timeout + additional_seconds)
        life.facts["timeout_reason"] = reason
        return True

    @legacy_call("runstate.ExecutionTracker.create(timeout=…)", refused=False)
    async def clear_timeout(self, execution_id: str) -> bool:
        """Take the limit of an execution away; False if it is unknown or has none, True too if it has ended meanwhile."""
        self._clear(execution_id)
        return True

    @legacy_call("runstate.ExecutionTracker.sweep()")
    async def check_timeouts(self) -> list[str]:
        """Enforce the limits now; return the ids of those that ended by them since the last call."""
        shared().watch.sweep()
        return [id_of(life) for life in self.followed.news()]

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    async def get_remaining_time(self, execution_id: str) -> float | None:
        """Return the seconds that an execution has left, 0 if it has ended; None if it is unknown or has no limit."""
        info = _info(execution_id)
        return None if info is None else info.remaining_seconds

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    async def get_timeout_info(self, execution_id: str) -> TimeoutInfo | None:
        """Return the limit of an execution; None if it is unknown or has none."""
        return _info(execution_id)

    @legacy_call("runstate.ExecutionTracker.find(state=…)")
    async def get_all_timeouts(self) -> list[TimeoutInfo]:
        """Return the limits of all live executions that were set here, oldest first."""
        return [timeout_info(life) for life in self.followed.live()]

    @legacy_call("runstate.ExecutionTracker.find(state=ExecutionState.TIMEOUT)")
    async def get_expired_timeouts(self) -> list[TimeoutInfo]:
        """Return the limits that have passed: of the newest that ended by them, and of those that are about to."""
        return [timeout_info(life) for life in self._expired()]

    @legacy_call("runstate.ExecutionTracker.subscribe(…)")
    def add_timeout_callback(self, callback: Callable[[str, TimeoutInfo], object]) -> Callable[[], None]:
        """Have a callback called with each execution whose limit, set here, has passed.

        Args:
            callback: Takes id and limit; sync or async, a `functools.partial` too. A bound method is held weakly.

        Returns:
            A function that takes it back.
        """
        return self.followed.callbacks.add(callback)

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_timeout_metrics(self) -> dict[str, Any]:
        """Return how many limits there are, and how many have passed."""
        return timeout_metrics(self)

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_health_status(self) -> dict[str, Any]:
        """Return whether any live execution is past its limit."""
        return timeout_health(self)

    @legacy_call("runstate.ExecutionTracker.create(timeout=…)")
    async def bulk_clear_timeouts(self, execution_ids: list[str]) -> int:
        """Take the limits of several away; return how many that were. What has none is refused by itself."""
        return sum(map(self._cleared, execution_ids))

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_timeout_summary(self) -> dict[str, Any]:
        """Return the limits of all live executions that were set here, the next to pass first, with the configuration."""
        infos = sorted(map(timeout_info, self.followed.live()), key=lambda info: info.remaining_seconds)
        return {
            **timeout_metrics(self),
            "timeouts": [info.model_dump() for info in infos],
            "timeout_config": dict(self.timeout_config),
        }

    @legacy_call("runstate.ExecutionTracker.close()")
    async def shutdown(self) -> None:
        """Call no more callbacks and show nothing more. The limits stand: they are enforced without it."""
        self.followed.clear()

    def _clear(self, execution_id: str) -> None:
        life = shared().find(execution_id)
        had_one = lift_limit(life)
        if not self.followed.drop(life) and not had_one:
            raise InvalidValueError("execution_id", execution_id, "that of an execution with a time limit")

    def _cleared(self, execution_id: str) -> bool:
        try:
            self._clear(execution_id)
        except RunstateError as error:
            shared().refusals.note(f"TimeoutManager.bulk_clear_timeouts of {execution_id}", error)
            if self.strict:
                raise
            return False
        return True

    def _expired(self) -> list[Life]:
        return [*self.followed.ended(), *filter(is_overdue, self.followed.live())]


def limit_of(config: dict[str, float], agent_name: str) -> float:
    """Return the seconds of the longest configured name that an agent's begins with, word by word."""
    require("agent_name", agent_name, str)
    names = [name for name in config if f"{agent_name}_".startswith(f"{name}_")]
    return config[max(names, key=len, default=DEFAULT)]


def timeout_info(life: Life) -> TimeoutInfo:
    """Describe the time limit of an execution that has one."""
    from_ns: int = life.facts.get("limited_from_ns", life.started_ns)
    deadline_ns = life.deadline_ns()
    timed_out = life.state is ExecutionState.TIMEOUT or is_overdue(life)
    left_ns = 0 if life.state.is_terminal else max(0, deadline_ns - life.clock())
    reason: str | None = life.facts.get("timeout_reason")
    return TimeoutInfo(
        execution_id=id_of(life),
        timeout_seconds=(deadline_ns - from_ns) / 1e9,
        started_at=when(from_ns + life.offset_ns),
        timeout_at=when(deadline_ns + life.offset_ns),
        remaining_seconds=left_ns / 1e9,
        has_timed_out=timed_out,
        timeout_reason=life.record.error if life.state is ExecutionState.TIMEOUT else reason,
    )


def timeout_metrics(limits: TimeoutManager) -> dict[str, Any]:
    """Describe time limits in figures."""
    live, ended = limits.followed.live(), limits.followed.ended()
    return {
        "active_timeouts": len(live),
        "expired_timeouts": len(ended) + sum(map(is_overdue, live)),
        "check_interval_seconds": limits.check_interval,
    }


def timeout_health(limits: TimeoutManager) -> dict[str, Any]:
    """Describe the health of time limits."""
    live = limits.followed.live()
    overdue = [id_of(life) for life in live if is_overdue(life)]
    return {
        "status": "degraded" if overdue else "healthy",
        "healthy": not overdue,
        "active_timeouts": len(live),
        "overdue_executions": overdue,
    }


def _info(execution_id: str) -> TimeoutInfo | None:
    life = found(execution_id)
    return timeout_info(life) if life is not None and is_limited(life) else None
