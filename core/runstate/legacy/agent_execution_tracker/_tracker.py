"""`AgentExecutionTracker`: the three parts of facade B together. The third is here: limits and the circuit breaker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ... import InvalidValueError, StateTypeError, UnknownExecutionError
from .._calls import legacy_call
from .._life import Life
from .._refusals import logger
from .._shared import found, shared
from ._breaker import CircuitBreaker, breaker_of
from ._records import ID_PREFIX, TimeoutConfig, view
from ._reporting import Reporting, agent_state, state_history

T = TypeVar("T")


class AgentExecutionTracker(Reporting):
    """Tracks executions on the tracker that `runstate.legacy.use` has set. See `Lifecycle` for the arguments.

    An execution that is silent for `heartbeat_timeout` seconds ends as DEAD once it has shown that it beats: from its second
    heartbeat on, or when its `last_heartbeat` was set by hand; never while it is PENDING. One that never beats ends by its time
    limit only. `record.is_dead(limit)` asks otherwise: it counts from the last sign of life, whatever that was.
    """

    @legacy_call("runstate.ExecutionTracker.create(timeout=…)", refused=False)
    def set_timeout(self, execution_id: str, timeout_config: TimeoutConfig) -> bool:
        """Give a live execution other limits, counted from its start; False if it is unknown or has ended.

        Raises:
            StateTypeError: *timeout_config* is no `TimeoutConfig`.
        """
        given: object = timeout_config
        if not isinstance(given, TimeoutConfig):
            raise StateTypeError(
                f"timeout_config must be a TimeoutConfig, not {type(given).__qualname__}: {given!r:.80}"
            )
        life = shared().find(execution_id)
        if life.state.is_terminal:
            raise InvalidValueError(
                "execution_id", execution_id, f"a live execution; it has ended as {life.state.name}"
            )
        life.limit(given.agent_execution_timeout)
        life.facts["timeout_config"] = given
        return True

    @legacy_call("runstate.open(default_timeout=…)")
    def get_default_timeout(self) -> float:
        """Return the seconds until TIMEOUT of executions that name no other limit."""
        return self.execution_timeout

    @legacy_call("runstate.ExecutionTracker.get(execution_id)")
    def check_timeout(self, execution_id: str) -> dict[str, Any] | None:
        """Return how an execution stands to its one time limit, in seconds; None if it is unknown."""
        life = found(execution_id)
        return None if life is None else _timeout_status(life)

    @legacy_call("a circuit breaker of your own", refused=False)
    def register_circuit_breaker(self, execution_id: str) -> bool:
        """Have a circuit breaker; False if the execution is unknown. An agent's breaker is shared, and stays as it is."""
        breaker_of(shared().find(execution_id).record.agent)
        return True

    @legacy_call("a circuit breaker of your own", refused=False)
    def reset_circuit_breaker(self, execution_id: str) -> bool:
        """Close the circuit breaker of the execution's agent; False if the execution is unknown."""
        breaker_of(shared().find(execution_id).record.agent).reset()
        return True

    @legacy_call("a circuit breaker of your own")
    def circuit_breaker_status(self, execution_id: str) -> dict[str, Any] | None:
        """Return how the circuit breaker of the execution's agent stands; None if the execution is unknown."""
        life = found(execution_id)
        return None if life is None else self._breaker_status(life)

    @legacy_call("a circuit breaker of your own")
    async def execute_with_circuit_breaker(
        self, execution_id: str, func: Callable[[], Awaitable[T]], operation_name: str = "operation"
    ) -> T:
        """Await a call through the circuit breaker of the execution's agent.

        Args:
            execution_id: Which.
            func: Makes the call; it has `llm_api_timeout` seconds.
            operation_name: What it does; for messages.

        Raises:
            CircuitBreakerOpenError: The call was not made.
            TimeoutError: It took too long.
            ValueError: The execution is unknown.
        """
        life = found(execution_id)
        if life is None:
            raise ValueError(f"Unknown execution ID: {execution_id}") from UnknownExecutionError(str(execution_id))
        config, breaker = self._config(life), breaker_of(life.record.agent)
        limit = asyncio.timeout(config.llm_api_timeout)
        probe = breaker.enter(operation_name)
        try:
            async with limit:
                answer = await func()
        except Exception as error:
            self._note_failure(life, breaker, operation_name, error, probe=probe)
            if isinstance(error, TimeoutError) and limit.expired():
                raise TimeoutError(f"Operation {operation_name} timed out") from error
            raise
        except BaseException:
            breaker.left(probe=probe)
            raise
        breaker.succeeded(config.success_threshold, probe=probe)
        return answer

    @legacy_call("runstate.ExecutionTracker.get(execution_id) and timeline(execution_id)")
    def get_execution_with_full_context(self, execution_id: str) -> dict[str, Any] | None:
        """Return everything known of an execution, its state's name in capitals; None if it is unknown."""
        life = found(execution_id)
        if life is None:
            return None
        record = view(life)
        return {
            "execution_id": ID_PREFIX + life.execution_id,
            "agent_name": record.agent_name,
            "user_id": record.user_id,
            "thread_id": record.thread_id,
            "state": record.state.name,
            "timeout_seconds": record.timeout_seconds,
            "metadata": record.metadata,
            "state_info": agent_state(execution_id),
            "timeout_status": _timeout_status(life),
            "circuit_breaker_status": self._breaker_status(life),
            "state_history": state_history(execution_id),
            "consolidated": True,
            "created_with_ssot": True,
        }

    def _config(self, life: Life) -> TimeoutConfig:
        config: TimeoutConfig | None = life.facts.get("timeout_config")
        return self.timeout_config if config is None else config

    def _breaker_status(self, life: Life) -> dict[str, Any]:
        config, record = self._config(life), view(life)
        return {
            "execution_id": ID_PREFIX + life.execution_id,
            "state": record.circuit_breaker_state.value,
            "failure_count": record.circuit_breaker_failures,
            "failure_threshold": config.failure_threshold,
            "last_failure_time": record.last_failure_time,
            "next_attempt_time": record.next_attempt_time,
            "is_open": record.is_circuit_breaker_open(),
            "can_retry": record.should_retry(config.max_retries),
            "recovery_timeout": config.recovery_timeout,
        }

    def _note_failure(
        self, life: Life, breaker: CircuitBreaker, operation_name: str, error: Exception, *, probe: bool
    ) -> None:
        config = self._config(life)
        if breaker.failed(config.failure_threshold, config.recovery_timeout, probe=probe):
            logger.critical(
                "the circuit breaker of %s opened after %d failures of %s; next attempt in %s s",
                life.record.agent,
                breaker.circuit_breaker_failures,
                operation_name,
                config.recovery_timeout,
            )
        else:
            logger.warning("%s failed for %s: %r", operation_name, life.execution_id, error)


def _timeout_status(life: Life) -> dict[str, Any]:
    record, elapsed = view(life), life.elapsed()
    return {
        "execution_id": ID_PREFIX + life.execution_id,
        "elapsed_seconds": elapsed,
        "timeout_seconds": life.timeout,
        "is_timed_out": record.is_timed_out(),
        "circuit_breaker_state": record.circuit_breaker_state.value,
        "circuit_breaker_failures": record.circuit_breaker_failures,
        "time_until_timeout": max(0.0, life.timeout - elapsed),
    }
