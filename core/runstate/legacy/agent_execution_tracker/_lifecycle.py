"""The first part of facade B's tracker: creating, moving and finding executions, and hearing of their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from ... import ExecutionRecord as CoreRecord
from ... import ExecutionState, InvalidValueError
from .._arguments import positive, require, require_name
from .._callbacks import Callbacks, Listeners
from .._calls import legacy_call
from .._life import UNSET, Facade, Life
from .._monitor import Monitor
from .._shared import Shared, failed, found, shared
from .._states import require_state
from ._records import ID_PREFIX, ExecutionRecord, TimeoutConfig, view

_FOUND: Final = 1_000_000
"""At most this many executions of one agent or thread are returned."""

_NOBODY: Final = "unknown"
"""Stands for the thread or user of an execution whose context names none."""

_CONFIGURED: Final[Mapping[str, str]] = {
    "timeout_seconds": "agent_execution_timeout",
    "llm_timeout": "llm_api_timeout",
    "failure_threshold": "failure_threshold",
    "recovery_timeout": "recovery_timeout",
    "success_threshold": "success_threshold",
    "max_retries": "max_retries",
}
"""What a timeout configuration may say as a dict, and the field that it is."""


class Lifecycle:
    """Creates, moves and finds executions.

    Args:
        heartbeat_timeout: Seconds of silence that are taken for death, once an execution has shown that it beats.
        execution_timeout: Seconds until TIMEOUT for executions that name no other limit.
        cleanup_interval: Kept for its name: what is kept of ended executions is `runstate.Limits`; in memory 10,000, for a day.
        timeout_config: Limits for `create_execution_with_full_context` and for the circuit breaker.
        strict: Raise refusals instead of answering False or None.

    Raises:
        InvalidValueError: A limit is not positive.
    """

    heartbeat_timeout: float
    execution_timeout: float
    cleanup_interval: float
    timeout_config: TimeoutConfig

    def __init__(
        self,
        heartbeat_timeout: float = 10,
        execution_timeout: float = 15,
        cleanup_interval: float = 60,
        timeout_config: TimeoutConfig | None = None,
        *,
        strict: bool = False,
    ) -> None:
        positive("heartbeat_timeout", heartbeat_timeout)
        positive("execution_timeout", execution_timeout)
        self.heartbeat_timeout = heartbeat_timeout
        self.execution_timeout = execution_timeout
        self.cleanup_interval = cleanup_interval
        self.timeout_config = timeout_config if timeout_config is not None else TimeoutConfig()
        self.strict = strict
        self.deaths: Callbacks = Callbacks("deaths")
        """What hears of executions that ended as DEAD."""
        self.timeouts: Callbacks = Callbacks("timeouts")
        """What hears of executions that ended as TIMEOUT."""
        self.monitor: Monitor = Monitor()
        """What `start_monitoring` starts."""
        TRACKERS.add(self)

    # -- creating -----------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.create(…)")
    def create_execution(
        self,
        agent_name: str,
        thread_id: str,
        user_id: str,
        timeout_seconds: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """Register an execution, PENDING, and return its id.

        Args:
            agent_name: Which agent runs.
            thread_id: The conversation that asked.
            user_id: The user who asked.
            timeout_seconds: Seconds from now until it is TIMEOUT; None takes `execution_timeout`.
            metadata: Facts to keep with it. A `run_id` in it is the id that events carry.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: *timeout_seconds* is not positive, or a name is empty.
        """
        limit = self.execution_timeout if timeout_seconds is None else timeout_seconds
        return ID_PREFIX + self._create(agent_name, thread_id, user_id, limit, metadata).execution_id

    @legacy_call("runstate.ExecutionTracker.create(…)")
    def create_execution_with_full_context(
        self,
        agent_name: str,
        user_context: dict[str, Any],
        timeout_config: dict[str, Any] | None = None,
        initial_state: str = "PENDING",
    ) -> str:
        """Register an execution with all its limits, and return its id.

        Args:
            agent_name: Which agent runs.
            user_context: `user_id`, `thread_id` and `metadata`.
            timeout_config: Limits: `timeout_seconds`, `llm_timeout`, `recovery_timeout` (seconds), `failure_threshold`,
                `success_threshold`, `max_retries`. None takes the tracker's.
            initial_state: The name of the state to move it to at once.

        Raises:
            StateTypeError: An argument has the wrong type.
            InvalidValueError: A limit, a key or a name of a state is not known or impossible.
        """
        config = self.timeout_config if timeout_config is None else _config(timeout_config)
        state = _state_named(initial_state)
        require("user_context", user_context, Mapping)
        life = self._create(
            agent_name,
            user_context.get("thread_id", _NOBODY),
            user_context.get("user_id", _NOBODY),
            config.agent_execution_timeout,
            user_context.get("metadata"),
        )
        life.facts["timeout_config"] = config
        if state is not ExecutionState.PENDING:
            shared().move(life, state, result=None if state is ExecutionState.COMPLETED else UNSET)
        return ID_PREFIX + life.execution_id

    @legacy_call("runstate.ExecutionTracker.create(…), whose handle has an execution_id")
    def create_execution_id(self, agent_name: str, context: dict[str, Any] | None = None) -> str:
        """Return the id of a new execution, PENDING. No call makes an execution of an id that names none.

        Args:
            agent_name: Which agent runs.
            context: `user_id`, `thread_id` and `metadata`.
        """
        given = {} if context is None else context
        require("context", given, Mapping)
        thread_id, user_id = given.get("thread_id", _NOBODY), given.get("user_id", _NOBODY)
        life = self._create(agent_name, thread_id, user_id, self.execution_timeout, given.get("metadata"))
        return ID_PREFIX + life.execution_id

    # -- moving -------------------------------------------------------------------------------------------------------

    @legacy_call("Execution.start()", refused=False)
    def start_execution(self, execution_id: str) -> bool:
        """Move PENDING to STARTING; False if it is unknown or not PENDING."""
        core = shared()
        life = core.find(execution_id)
        core.tracker.update_execution_state(life.execution_id, ExecutionState.STARTING)
        life.sign()
        return True

    @legacy_call("runstate.ExecutionTracker.update_execution_state(…), or a move of the handle", refused=False)
    def update_execution_state(
        self, execution_id: str, state: ExecutionState, error: str | None = None, result: Any = None
    ) -> bool:
        """Take an execution to a state, through the legal moves on the way; False if it is unknown or cannot get there.

        Args:
            execution_id: Which.
            state: A member of the one `ExecutionState`.
            error: What went wrong. An empty text is one.
            result: The answer. 0, "" and [] are answers.

        Raises:
            StateTypeError: *state* is a dict, a text, another enum, or anything else that is no `ExecutionState`.
        """
        core, target = shared(), require_state(state)
        self._report(core, core.find(execution_id), target, error, result)
        return True

    @legacy_call("Execution.complete(result)", refused=False)
    def complete_execution(self, execution_id: str, result: Any = None, execution_time_ms: int | None = None) -> bool:
        """End as COMPLETED; False if it is unknown or has ended. A time that is given goes to the record's metadata."""
        core = shared()
        life = core.find(execution_id)
        self._report(core, life, ExecutionState.COMPLETED, None, result)
        if execution_time_ms is not None:
            life.metadata["execution_time_ms"] = execution_time_ms
        return True

    @legacy_call("Execution.fail(error)", refused=False)
    def fail_execution(self, execution_id: str, error: str, error_context: dict[str, Any] | None = None) -> bool:
        """End as FAILED; False if it is unknown or has ended. A context that is given goes to the record's metadata."""
        core = shared()
        life = core.find(execution_id)
        self._report(core, life, ExecutionState.FAILED, error, None)
        if error_context is not None:
            life.metadata["error_context"] = error_context
        return True

    @legacy_call("Execution.heartbeat()", refused=False)
    def heartbeat(self, execution_id: str) -> bool:
        """Note a sign of life, and move STARTING to RUNNING; False if it is unknown or has ended."""
        core = shared()
        life = core.find(execution_id)
        if life.state is ExecutionState.STARTING:
            core.move(life, ExecutionState.RUNNING)
        core.heartbeat(life)
        return True

    # -- reading ------------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    def get_execution(self, execution_id: str) -> ExecutionRecord | None:
        """Return the live record of an execution, whoever created it; None if it is unknown."""
        life = found(execution_id)
        return None if life is None else view(life)

    @legacy_call("runstate.ExecutionTracker.get(execution_id).state")
    def get_execution_state(self, execution_id: str) -> ExecutionState | None:
        """Return an execution's state; None if it is unknown."""
        life = found(execution_id)
        return None if life is None else life.state

    @legacy_call("runstate.ExecutionTracker.find(state=…)")
    def get_active_executions(self) -> list[ExecutionRecord]:
        """Return the live executions that legacy trackers have created, oldest first."""
        return [view(life) for life in shared().book.live()]

    @legacy_call("runstate.ExecutionTracker.find(agent=…)")
    def get_executions_by_agent(self, agent_name: str) -> list[ExecutionRecord]:
        """Return all executions of an agent that the journal keeps, oldest first."""
        return _views(shared().tracker.find(agent=agent_name, limit=_FOUND))

    @legacy_call("runstate.ExecutionTracker.find(thread_id=…)")
    def get_executions_by_thread(self, thread_id: str) -> list[ExecutionRecord]:
        """Return all executions of a thread that the journal keeps, oldest first."""
        return _views(shared().tracker.find(thread_id=thread_id, limit=_FOUND))

    @legacy_call("runstate.ExecutionTracker.find(state=ExecutionState.DEAD)")
    def detect_dead_executions(self) -> list[ExecutionRecord]:
        """Return executions that are past a limit: live ones each time, and those ended by it once."""
        book = shared().book
        ended = [life for life in book.recent() if life.facts.pop("undetected", False)]
        late = [life for life in book.live() if life.is_late(self.heartbeat_timeout) or view(life).is_timed_out()]
        return [view(life) for life in [*ended, *late]]

    @legacy_call("runstate.ExecutionTracker.statistics()")
    def get_metrics(self) -> dict[str, Any]:
        """Return how many executions there were, and how they ended; of the whole tracker."""
        known = shared().tracker.statistics()
        ended = {state: 0 for state in ExecutionState if state.is_terminal}
        for (state, _), count in known.ended.items():
            ended[state] += count
        bad = ended[ExecutionState.FAILED] + ended[ExecutionState.TIMEOUT] + ended[ExecutionState.DEAD]
        return {
            "total_executions": known.created,
            "active_executions": known.live,
            "successful_executions": ended[ExecutionState.COMPLETED],
            "failed_executions": ended[ExecutionState.FAILED],
            "timeout_executions": ended[ExecutionState.TIMEOUT],
            "dead_executions": ended[ExecutionState.DEAD],
            "cancelled_executions": ended[ExecutionState.CANCELLED],
            "success_rate": ended[ExecutionState.COMPLETED] / known.created if known.created else 0,
            "failure_rate": bad / known.created if known.created else 0,
        }

    # -- watching -----------------------------------------------------------------------------------------------------

    @legacy_call("runstate.ExecutionTracker.subscribe(…)")
    def register_death_callback(self, callback: Callable[[ExecutionRecord], object]) -> Callable[[], None]:
        """Have a callback called, sync or async, with the record of each execution that is found dead.

        Args:
            callback: Takes the record, which keeps the evidence. A bound method is held weakly.

        Returns:
            A function that takes it back.
        """
        return self.deaths.add(callback)

    @legacy_call("runstate.ExecutionTracker.subscribe(…)")
    def register_timeout_callback(self, callback: Callable[[ExecutionRecord], object]) -> Callable[[], None]:
        """Have a callback called, sync or async, with the record of each execution whose time limit has passed.

        Args:
            callback: Takes the record. A bound method is held weakly.

        Returns:
            A function that takes it back.
        """
        return self.timeouts.add(callback)

    @legacy_call("nothing: runstate enforces limits by itself")
    async def start_monitoring(self) -> None:
        """Start the monitor, or start it again. Limits are enforced without it."""
        await self.monitor.start()

    @legacy_call("nothing: runstate enforces limits by itself")
    async def stop_monitoring(self) -> None:
        """Stop the monitor. Limits are enforced without it."""
        await self.monitor.stop()

    @property
    def monitor_task(self) -> asyncio.Task[None] | None:
        """The monitor's task, or None."""
        return self.monitor.task

    # -- within -------------------------------------------------------------------------------------------------------

    def _create(
        self, agent_name: str, thread_id: str, user_id: str, timeout: float, metadata: Mapping[str, Any] | None
    ) -> Life:
        for name, value in (("agent_name", agent_name), ("thread_id", thread_id), ("user_id", user_id)):
            require_name(name, value)
        positive("timeout_seconds", timeout)
        if metadata is not None:
            require("metadata", metadata, Mapping)
        return shared().create(
            FACADE,
            agent=agent_name,
            thread_id=thread_id,
            user_id=user_id,
            timeout=timeout,
            heartbeat_timeout=self.heartbeat_timeout,
            metadata=metadata,
        )

    def _report(self, core: Shared, life: Life, state: ExecutionState, error: str | None, result: object) -> None:
        if error is None and result is None and life.state is state and life.facts.get("announced") is state:
            return  # its phase has said so before
        completes = state is ExecutionState.COMPLETED
        core.move(
            life,
            state,
            error=UNSET if error is None else error,
            result=UNSET if result is None and not completes else result,
        )


def _views(newest_first: Iterable[CoreRecord]) -> list[ExecutionRecord]:
    return [view(life) for life in shared().book.those(newest_first)]


def _config(given: Mapping[str, Any]) -> TimeoutConfig:
    require("timeout_config", given, Mapping)
    unknown = [key for key in given if key not in _CONFIGURED]
    if unknown:
        raise InvalidValueError("timeout_config", ", ".join(unknown), f"a dict with {', '.join(_CONFIGURED)}")
    make = cast("Callable[..., TimeoutConfig]", TimeoutConfig)
    return make(**{_CONFIGURED[key]: value for key, value in given.items()})


def _state_named(name: object) -> ExecutionState:
    if isinstance(name, ExecutionState):
        return name
    if not isinstance(name, str) or name.upper() not in ExecutionState.__members__:
        raise InvalidValueError("initial_state", name, f"one of {', '.join(ExecutionState.__members__)}")
    return ExecutionState[name.upper()]


def _tell(life: Life, observed: bool) -> None:  # noqa: FBT001 - the shape of Facade.ended
    if observed:
        life.facts["undetected"] = True
        for tracker in TRACKERS.all():
            heard = tracker.deaths if life.state is ExecutionState.DEAD else tracker.timeouts
            failed(heard.deliver(view(life)))


FACADE: Final = Facade(
    name="agent_execution_tracker",
    timeout_error="Execution exceeded {limit}s timeout",
    death_error="No heartbeat for {age}s",
    ended=_tell,
)

TRACKERS: Final[Listeners[Lifecycle]] = Listeners()
"""The trackers of this facade that are in use."""
