"""`HeartbeatMonitor`: which executions give signs of life.

Whoever monitors an execution expects it to beat: silence counts from there, also if no heartbeat ever comes. It ends as DEAD after
`max_missed_heartbeats` intervals, or after `timeout_seconds` where that is sooner. An end is final: a dead one cannot be revived,
and what is late can until it is dead.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from ... import ExecutionState, InvalidValueError
from .._arguments import positive
from .._calls import legacy_call
from .._life import Life
from .._shared import found, shared
from .._times import when
from ._followed import Followed
from ._lives import id_of, is_late, require_live

__all__ = ["HeartbeatMonitor", "HeartbeatStatus"]


class HeartbeatStatus(BaseModel):
    """The signs of life of one execution, as they stood when it was made."""

    execution_id: str
    last_heartbeat: datetime
    """The last sign of life: a heartbeat, a move or a phase. Its end does not change it."""
    is_alive: bool
    missed_heartbeats: int
    heartbeat_interval: float
    next_expected: datetime


class HeartbeatMonitor:
    """Follows executions by their heartbeats.

    From `start_monitoring` on, silence counts: an execution that gives no sign of life for `max_missed_heartbeats` intervals ends as
    DEAD, whatever state it is in and however few heartbeats came before. Moves and phases are signs of life, too.

    Args:
        heartbeat_interval_seconds: Seconds between two heartbeats.
        timeout_seconds: Seconds of silence that are death, however many heartbeats that is.
        max_missed_heartbeats: How many missed ones are death.
        recovery_delay_seconds: Kept for its name: callbacks are called at once, and nothing waits for them.
        strict: Raise refusals instead of answering False or None.

    Raises:
        InvalidValueError: A figure is not positive.
    """

    heartbeat_interval: float
    timeout_seconds: float
    max_missed_heartbeats: int
    recovery_delay: float

    def __init__(
        self,
        heartbeat_interval_seconds: float = 5.0,
        timeout_seconds: float = 30.0,
        max_missed_heartbeats: int = 6,
        recovery_delay_seconds: float = 2.0,
        *,
        strict: bool = False,
    ) -> None:
        positive("heartbeat_interval_seconds", heartbeat_interval_seconds)
        positive("timeout_seconds", timeout_seconds)
        positive("max_missed_heartbeats", max_missed_heartbeats)
        self.heartbeat_interval = heartbeat_interval_seconds
        self.timeout_seconds = timeout_seconds
        self.max_missed_heartbeats = max_missed_heartbeats
        self.recovery_delay = recovery_delay_seconds
        self.strict = strict
        self.followed: Followed = Followed(
            ExecutionState.DEAD, lambda life: heartbeat_status(life, self.heartbeat_interval)
        )
        """What it monitors, and who hears of deaths."""

    def __len__(self) -> int:
        """How many live executions it monitors."""
        return len(self.followed)

    @property
    def limit(self) -> float:
        """Seconds of silence that are death."""
        return min(self.heartbeat_interval * self.max_missed_heartbeats, self.timeout_seconds)

    @legacy_call("runstate.ExecutionTracker.create(heartbeat_timeout=…)", refused=None)
    async def start_monitoring(self, execution_id: str, metadata: dict[str, Any] | None = None) -> None:
        """Expect heartbeats of a live execution, from now on; this is the first. Refused if it is unknown or has ended.

        It answers None in any case, as it always did. A refusal is logged and counted, and raised with `strict`; `is_alive` is
        None of what is not monitored.

        Args:
            execution_id: Which.
            metadata: Goes to the execution's.
        """
        life = shared().find(execution_id)
        follow(self, life)
        life.metadata.update(metadata or {})

    @legacy_call("Execution.heartbeat()", refused=False)
    async def send_heartbeat(self, execution_id: str, metadata: dict[str, Any] | None = None) -> bool:
        """Note a sign of life; False if it is unknown or has ended. What *metadata* says goes to the execution's."""
        core = shared()
        life = core.find(execution_id)
        core.heartbeat(life)
        life.metadata.update(metadata or {})
        return True

    @legacy_call("nothing: an end ends its monitoring", refused=False)
    async def stop_monitoring(self, execution_id: str) -> bool:
        """Expect no more heartbeats; False if it is not monitored, nor was to its end."""
        life = shared().find(execution_id)
        if not self.followed.drop(life):
            raise InvalidValueError("execution_id", execution_id, "that of an execution that is monitored here")
        if not life.state.is_terminal:
            life.expect_no_beats()
        return True

    @legacy_call("runstate.ExecutionTracker.get(execution_id).state")
    async def is_alive(self, execution_id: str) -> bool | None:
        """Return whether an execution is live and not past its limit; None if it is not monitored, or ended otherwise."""
        life = self._monitored(execution_id)
        return None if life is None else not (is_late(life) or life.state.is_terminal)

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    async def get_heartbeat_status(self, execution_id: str) -> HeartbeatStatus | None:
        """Return the signs of life of an execution; None if it is not monitored, or ended otherwise than by death."""
        life = self._monitored(execution_id)
        return None if life is None else heartbeat_status(life, self.heartbeat_interval)

    @legacy_call("runstate.ExecutionTracker.find(state=…)")
    async def get_all_monitored_executions(self) -> list[HeartbeatStatus]:
        """Return the signs of life of all live executions that are monitored, oldest first."""
        return [heartbeat_status(life, self.heartbeat_interval) for life in self.followed.live()]

    @legacy_call("runstate.ExecutionTracker.find(state=ExecutionState.DEAD)")
    async def get_dead_executions(self) -> list[HeartbeatStatus]:
        """Return the newest that died while monitored, and the live ones that are past their limit."""
        return [heartbeat_status(life, self.heartbeat_interval) for life in self._dead()]

    @legacy_call("runstate.ExecutionTracker.subscribe(…)")
    def add_failure_callback(self, callback: Callable[[str, HeartbeatStatus], object]) -> Callable[[], None]:
        """Have a callback called with each execution that is found dead while monitored.

        Args:
            callback: Takes id and status; sync or async, a `functools.partial` too. A bound method is held weakly.

        Returns:
            A function that takes it back.
        """
        return self.followed.callbacks.add(callback)

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_monitor_metrics(self) -> dict[str, Any]:
        """Return how many executions are monitored, and the figures of the monitor."""
        return monitor_metrics(self)

    @legacy_call("runstate.ExecutionTracker.statistics()")
    async def get_health_status(self) -> dict[str, Any]:
        """Return whether any live execution is past its limit."""
        return monitor_health(self)

    @legacy_call("runstate.ExecutionTracker.sweep()", refused=False)
    async def force_check_execution(self, execution_id: str) -> bool:
        """Enforce the limits now; return whether the execution is alive after that. False if it is unknown."""
        core = shared()
        life = core.find(execution_id)
        core.watch.sweep()
        return not (is_late(life) or life.state.is_terminal)

    @legacy_call("Execution.heartbeat(), and a new execution for one that has ended", refused=False)
    async def revive_execution(self, execution_id: str) -> bool:
        """Take a live execution that is late for one that lives; False if it is unknown or has ended: an end is final."""
        life = shared().find(execution_id)
        require_live(life)
        life.sign()
        return True

    @legacy_call("runstate.ExecutionTracker.close()")
    async def shutdown(self) -> None:
        """Call no more callbacks and show nothing more. Of what was monitored, only what has beaten twice is still expected to."""
        let_go(self)

    def _monitored(self, execution_id: str) -> Life | None:
        life = found(execution_id)
        if life is None or life not in self.followed:
            return None
        return None if life.state.is_terminal and life.state is not ExecutionState.DEAD else life

    def _dead(self) -> list[Life]:
        return [*self.followed.ended(), *filter(is_late, self.followed.live())]


def follow(monitor: HeartbeatMonitor, life: Life) -> None:
    """Expect heartbeats of a live execution, from now on.

    Raises:
        InvalidValueError: It has ended.
    """
    monitor.followed.add(life)
    life.expect_beats(monitor.limit)


def let_go(monitor: HeartbeatMonitor) -> None:
    """Follow nothing any more, and expect no heartbeats but of what has shown that it beats."""
    for life in monitor.followed.live():
        life.beats_expected = False
    monitor.followed.clear()


def heartbeat_status(life: Life, interval: float) -> HeartbeatStatus:
    """Describe the signs of life of an execution that beats every *interval* seconds."""
    last = when(life.beat_time_ns)
    return HeartbeatStatus(
        execution_id=id_of(life),
        last_heartbeat=last,
        is_alive=not (is_late(life) or life.state.is_terminal),
        missed_heartbeats=round(life.silent() * 1e9) // round(interval * 1e9),
        heartbeat_interval=interval,
        next_expected=last + timedelta(seconds=interval),
    )


def monitor_metrics(monitor: HeartbeatMonitor) -> dict[str, Any]:
    """Describe a monitor in figures."""
    live = monitor.followed.live()
    late = sum(map(is_late, live))
    return {
        "monitored_executions": len(live),
        "alive_executions": len(live) - late,
        "dead_executions": len(monitor.followed.ended()) + late,
        "heartbeat_interval_seconds": monitor.heartbeat_interval,
        "timeout_seconds": monitor.limit,
        "max_missed_heartbeats": monitor.max_missed_heartbeats,
    }


def monitor_health(monitor: HeartbeatMonitor) -> dict[str, Any]:
    """Describe the health of a monitor."""
    live = monitor.followed.live()
    late = [id_of(life) for life in live if is_late(life)]
    return {
        "status": "degraded" if late else "healthy",
        "healthy": not late,
        "monitored_executions": len(live),
        "late_executions": late,
    }
