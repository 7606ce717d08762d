"""Facade A: `ExecutionTracker` with UUID ids and awaited calls, as in `netra_backend.app.core.execution_tracker`.

Its calls decide at once and never wait; they are still `async`, because callers await them. Limits are enforced without
`start_monitoring`. An execution that asked for nothing else ends as TIMEOUT after 30 s, also while PENDING; silence is taken for
death after 10 s, once it has shown that it beats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from .. import ExecutionState
from ._arguments import positive, require_name
from ._callbacks import Callbacks, Listeners
from ._calls import legacy_call
from ._fork import ForkSafeLock
from ._life import UNSET, Facade, Life
from ._monitor import Monitor
from ._shared import failed, found, shared
from ._views import attribute, fact, live_view

__all__ = [
    "ExecutionRecord",
    "ExecutionState",
    "ExecutionTracker",
    "get_execution_tracker",
    "init_execution_tracker",
]

HEARTBEAT_TIMEOUT: Final = 10.0
"""Seconds of silence that are taken for death."""

_NOBODY: Final = "unknown"
"""Stands for the thread or user of an execution that named none."""

_FAILURES: Final = frozenset({ExecutionState.FAILED, ExecutionState.TIMEOUT, ExecutionState.DEAD})


@dataclass
class ExecutionRecord:
    """One execution. Those that a tracker hands out are alive; times may be set, to see what follows from them."""

    execution_id: UUID
    agent_name: str
    correlation_id: str | None
    thread_id: str | None
    user_id: str | None
    start_time: float
    """Seconds since the Unix epoch, as are the other times."""
    state: ExecutionState
    last_heartbeat: float
    end_time: float | None = None
    result: Any = None
    error: str | None = None
    heartbeat_count: int = 0
    websocket_updates_sent: int = 0
    timeout_seconds: float = 30.0

    def duration(self) -> float:
        """Seconds from its start to its end, or to now."""
        return (self._now() if self.end_time is None else self.end_time) - self.start_time

    def is_timeout(self) -> bool:
        """Whether it is live although its time limit has passed."""
        return not self.state.is_terminal and self.duration() > self.timeout_seconds

    def is_dead(self, heartbeat_timeout: float | None = None) -> bool:
        """Whether it is running but has been silent for longer than *heartbeat_timeout* seconds.

        Left out, it is the tracker's own verdict: 10 s, and of an execution that a tracker has handed out only where its
        silence counts. A limit that is given is counted from the last sign of life, however few there were.
        """
        limit = HEARTBEAT_TIMEOUT if heartbeat_timeout is None else heartbeat_timeout
        running = self.state is not ExecutionState.PENDING and not self.state.is_terminal
        return running and self._now() - self.last_heartbeat > limit

    def to_dict(self) -> dict[str, Any]:
        """Return its facts as JSON has them; the result is left out."""
        return {
            "execution_id": str(self.execution_id),
            "agent_name": self.agent_name,
            "correlation_id": self.correlation_id,
            "thread_id": self.thread_id,
            "user_id": self.user_id,
            "start_time": self.start_time,
            "state": self.state.value,
            "last_heartbeat": self.last_heartbeat,
            "end_time": self.end_time,
            "error": self.error,
            "heartbeat_count": self.heartbeat_count,
            "websocket_updates_sent": self.websocket_updates_sent,
            "duration": self.duration(),
            "is_timeout": self.is_timeout(),
            "is_dead": self.is_dead(),
        }

    def _now(self) -> float:
        return shared().clock.time_ns() / 1e9


def _duration(self: Any) -> float:
    """Seconds from its start to its end, or to now."""
    life: Life = self.life
    return life.elapsed()


def _is_dead(self: Any, heartbeat_timeout: float | None = None) -> bool:
    """Whether it is live but silent for longer than *heartbeat_timeout* seconds; None asks for the tracker's own verdict."""
    life: Life = self.life
    return life.is_late(HEARTBEAT_TIMEOUT) if heartbeat_timeout is None else life.is_silent(heartbeat_timeout)


def _end_time(life: Life) -> float | None:
    end_ns = life.end_time_ns
    return None if end_ns is None else end_ns / 1e9


_view: Final[Callable[[Life], ExecutionRecord]] = live_view(
    ExecutionRecord,
    {
        "execution_id": attribute("execution_id", lambda life: UUID(life.execution_id)),
        "agent_name": attribute("agent_name", lambda life: life.record.agent),
        "correlation_id": attribute("correlation_id", lambda life: life.metadata.get("correlation_id")),
        "thread_id": attribute("thread_id", lambda life: _somebody(life.record.thread_id)),
        "user_id": attribute("user_id", lambda life: _somebody(life.record.user_id)),
        "start_time": attribute(
            "start_time",
            lambda life: life.start_time_ns / 1e9,
            lambda life, value: setattr(life, "start_time_ns", int(value * 1e9)),
        ),
        "state": attribute("state", lambda life: life.state, lambda life, value: shared().move(life, value)),
        "last_heartbeat": attribute(
            "last_heartbeat",
            lambda life: life.beat_time_ns / 1e9,
            lambda life, value: setattr(life, "beat_time_ns", int(value * 1e9)),
        ),
        "end_time": attribute("end_time", _end_time),
        "result": attribute("result", lambda life: life.record.result if life.result is UNSET else life.result),
        "error": attribute("error", lambda life: life.record.error if life.error is UNSET else life.error),
        "heartbeat_count": attribute(
            "heartbeat_count", lambda life: life.beats, lambda life, value: setattr(life, "beats", value)
        ),
        "websocket_updates_sent": fact("websocket_updates_sent", int),
        "timeout_seconds": attribute("timeout_seconds", lambda life: life.timeout, Life.limit),
        "duration": _duration,
        "is_dead": _is_dead,
    },
)


def _somebody(name: str) -> str | None:
    return None if name == _NOBODY else name


class ExecutionTracker:
    """Tracks executions on the tracker that `runstate.legacy.use` has set.

    An execution that is silent for 10 s ends as DEAD once it has shown that it beats: from its second heartbeat on, or when
    its `last_heartbeat` was set by hand. One that never beats ends by its time limit only. `record.is_dead(limit)` asks
    otherwise: it counts from the last sign of life, whatever that was.

    Args:
        strict: Raise refusals instead of answering False or None.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.recovery: Callbacks = Callbacks("timeouts and deaths")
        """What hears of ends by a limit."""
        self.monitor: Monitor = Monitor()
        """What `start_monitoring` starts."""
        TRACKERS.add(self)

    # -- moving -------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.create(…)")
    async def register_execution(
        self,
        agent_name: str,
        correlation_id: str | None = None,
        thread_id: str | None = None,
        user_id: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> UUID:
        """Register an execution, PENDING, and return its id.

        Args:
            agent_name: Which agent runs.
            correlation_id: Kept in the metadata.
            thread_id: The conversation that asked.
            user_id: The user who asked.
            timeout_seconds: Seconds from now until it is TIMEOUT.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: *timeout_seconds* is not positive, or a name is empty.
        """
        given = {"agent_name": agent_name, "thread_id": thread_id, "user_id": user_id}
        for name, value in given.items():
            if value is not None or name == "agent_name":
                require_name(name, value)
        positive("timeout_seconds", timeout_seconds)
        life = shared().create(
            FACADE,
            agent=agent_name,
            thread_id=_NOBODY if thread_id is None else thread_id,
            user_id=_NOBODY if user_id is None else user_id,
            timeout=timeout_seconds,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            metadata=None if correlation_id is None else {"correlation_id": correlation_id},
        )
        return UUID(life.execution_id)

    @legacy_call("Execution.start() and Execution.run(), or `with tracker.execution(…)`", refused=None)
    async def start_execution(self, exec_id: UUID) -> None:
        """Move to RUNNING. Refused once it has ended."""
        core = shared()
        core.move(core.find(exec_id), ExecutionState.RUNNING)

    @legacy_call("Execution.heartbeat()", refused=False)
    async def heartbeat(self, exec_id: UUID) -> bool:
        """Note a sign of life; False if it is unknown or has ended."""
        core = shared()
        core.heartbeat(core.find(exec_id))
        return True

    @legacy_call("Execution.complete(result) or Execution.fail(error)", refused=None)
    async def complete_execution(self, exec_id: UUID, result: Any = None, error: str | None = None) -> None:
        """End as FAILED if there is an error, also an empty one, and as COMPLETED otherwise. Refused once it has ended."""
        core = shared()
        life = core.find(exec_id)
        if error is None:
            core.move(life, ExecutionState.COMPLETED, result=result)
        else:
            core.move(life, ExecutionState.FAILED, error=error, result=UNSET if result is None else result)

    @legacy_call("Execution.cancel(reason)", refused=None)
    async def kill_execution(self, exec_id: UUID) -> None:
        """End as FAILED. Refused once it has ended."""
        core = shared()
        core.move(core.find(exec_id), ExecutionState.FAILED, error="Execution killed manually")

    # -- reading ------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    def get_execution(self, exec_id: UUID) -> ExecutionRecord | None:
        """Return the live record of an execution, whoever created it; None if it is unknown."""
        return _record(exec_id)

    @legacy_call("runstate.ExecutionTracker.find(state=…)")
    def get_active_executions(self) -> list[ExecutionRecord]:
        """Return the live executions that legacy trackers have created, oldest first."""
        return [_view(life) for life in shared().book.live()]

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    async def collect_metrics(self, exec_id: UUID) -> dict[str, Any] | None:
        """Return durations and counts of an execution; None if it is unknown."""
        record = _record(exec_id)
        if record is None:
            return None
        return {
            "execution_id": str(exec_id),
            "agent_name": record.agent_name,
            "duration_seconds": record.duration(),
            "state": record.state.value,
            "heartbeat_count": record.heartbeat_count,
            "websocket_updates_sent": record.websocket_updates_sent,
            "is_timeout": record.is_timeout(),
            "is_dead": record.is_dead(),
        }

    @legacy_call("runstate.ExecutionTracker.statistics()")
    def get_health_status(self) -> dict[str, Any]:
        """Return how many executions there are, and which are past a limit."""
        records = [_view(life) for life in shared().book.live()]
        stuck = [record for record in records if record.is_timeout() or record.is_dead()]
        known = shared().tracker.statistics()
        health: dict[str, Any] = {
            "healthy": not stuck,
            "total_executions": known.created,
            "active_executions": len(records),
            "failed_executions": sum(count for (state, _), count in known.ended.items() if state in _FAILURES),
            "stuck_executions": len(stuck),
            "monitoring_active": self.monitor.active,
        }
        if stuck:
            health["stuck_details"] = [
                {
                    "exec_id": str(record.execution_id),
                    "agent": record.agent_name,
                    "duration": record.duration(),
                    "is_timeout": record.is_timeout(),
                    "is_dead": record.is_dead(),
                }
                for record in stuck
            ]
        return health

    @property
    def executions(self) -> dict[UUID, ExecutionRecord]:
        """The live executions of legacy trackers and the newest ended ones, by id; a copy."""
        book = shared().book
        return {UUID(life.execution_id): _view(life) for life in [*book.recent(), *book.live()]}

    @property
    def active_executions(self) -> set[UUID]:
        """The ids of the live executions of legacy trackers; a copy."""
        return {UUID(life.execution_id) for life in shared().book.live()}

    @property
    def failed_executions(self) -> list[UUID]:
        """The ids of the newest executions that ended as FAILED, TIMEOUT or DEAD, each once; a copy."""
        return [UUID(life.execution_id) for life in shared().book.recent() if life.state in _FAILURES]

    # -- watching -----------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.subscribe(…)")
    def register_recovery_callback(self, callback: Callable[[ExecutionRecord], object]) -> Callable[[], None]:
        """Have a callback called, sync or async, with each execution that ended by a limit: TIMEOUT or DEAD.

        Args:
            callback: Takes the record, which keeps the evidence. A bound method is held weakly.

        Returns:
            A function that takes it back.
        """
        return self.recovery.add(callback)

    @property
    def recovery_callbacks(self) -> list[Callable[..., object]]:
        """What is registered; a copy."""
        return self.recovery.all()

    @legacy_call("nothing: runstate enforces limits by itself")
    async def start_monitoring(self) -> None:
        """Start the monitor, or start it again. Limits are enforced without it."""
        await self.monitor.start()

    @legacy_call("nothing: runstate enforces limits by itself")
    async def stop_monitoring(self) -> None:
        """Stop the monitor. Limits are enforced without it."""
        await self.monitor.stop()

    @property
    def monitoring_task(self) -> asyncio.Task[None] | None:
        """The monitor's task, or None."""
        return self.monitor.task


def _record(exec_id: object) -> ExecutionRecord | None:
    life = found(exec_id)
    return None if life is None else _view(life)


def _tell(life: Life, observed: bool) -> None:  # noqa: FBT001 - the shape of Facade.ended
    if observed:
        for tracker in TRACKERS.all():
            failed(tracker.recovery.deliver(_view(life)))


FACADE: Final = Facade(
    name="execution_tracker",
    timeout_error="Execution timeout after {limit}s",
    death_error="Agent died - no heartbeat received for {age}s (limit {limit}s)",
    ended=_tell,
)

TRACKERS: Final[Listeners[ExecutionTracker]] = Listeners()
"""The trackers of this facade that are in use."""
_singleton: Final[list[ExecutionTracker]] = []
_singleton_lock: Final = ForkSafeLock()


def _the_tracker() -> ExecutionTracker:
    with _singleton_lock:
        if not _singleton:
            _singleton.append(ExecutionTracker())
        return _singleton[0]


@legacy_call("runstate.open(url)")
def get_execution_tracker() -> ExecutionTracker:
    """Return the one tracker of this process."""
    return _the_tracker()


@legacy_call("runstate.open(url)")
async def init_execution_tracker() -> ExecutionTracker:
    """Return the one tracker of this process, with its monitor started."""
    tracker = _the_tracker()
    await tracker.monitor.start()
    return tracker
