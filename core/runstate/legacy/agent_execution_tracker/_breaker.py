"""The circuit breaker around calls of a model: one for each agent, shared by all its executions.

After `failure_threshold` failures in a row it opens: calls are refused for `recovery_timeout` seconds. Then it is half open and lets
one call through at a time, as a probe: `success_threshold` successes in a row close it, one failure opens it again.

Written here because none of the known libraries (pybreaker, circuitbreaker, purgatory, aiobreaker; looked at in November 2026)
has all of: asyncio without tornado, one probe at a time, several successes to close, a monotonic clock that can be replaced.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from enum import Enum
from typing import Final

from .._shared import shared

REMEMBERED: Final = 1_024
"""For how many agents, those used last."""


class CircuitBreakerState(Enum):
    """Whether calls are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreakerOpenError(Exception):
    """The circuit breaker is open, or its one probe is under way: the call was not made."""


class CircuitBreaker:
    """One breaker. Safe to use from any thread; nothing here waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._probing = False
        self._successes = 0
        self._opened_ns = 0
        self._failed_ns: int | None = None
        self._recovery_ns = 0
        self.circuit_breaker_state: CircuitBreakerState = CircuitBreakerState.CLOSED
        self.circuit_breaker_failures: int = 0
        """Failures in a row."""

    @property
    def last_failure_time(self) -> float:
        """When the last call failed, in seconds since the Unix epoch; 0.0 if none has."""
        return 0.0 if self._failed_ns is None else (self._failed_ns + _offset_ns()) / 1e9

    @last_failure_time.setter
    def last_failure_time(self, time: float) -> None:
        self._failed_ns = int(time * 1e9) - _offset_ns() if time else None

    @property
    def next_attempt_time(self) -> float:
        """When a probe is let through, in seconds since the Unix epoch; 0.0 unless it is open."""
        is_open = self.circuit_breaker_state is CircuitBreakerState.OPEN
        return (self._opened_ns + self._recovery_ns + _offset_ns()) / 1e9 if is_open else 0.0

    @next_attempt_time.setter
    def next_attempt_time(self, time: float) -> None:
        self._opened_ns, self._recovery_ns = int(time * 1e9) - _offset_ns(), 0

    def enter(self, operation_name: str) -> bool:
        """Ask to make a call; return whether it is a probe. After it, say `succeeded`, `failed` or `left`.

        Raises:
            CircuitBreakerOpenError: It must not be made now.
        """
        with self._lock:
            if self.circuit_breaker_state is CircuitBreakerState.OPEN:
                left_ns = self._opened_ns + self._recovery_ns - shared().clock.monotonic_ns()
                if left_ns > 0:
                    raise CircuitBreakerOpenError(
                        f"Circuit breaker open for {operation_name}. Next attempt allowed in {left_ns / 1e9:.1f}s"
                    )
                self.circuit_breaker_state = CircuitBreakerState.HALF_OPEN
                self._successes, self._probing = 0, False
            if self.circuit_breaker_state is CircuitBreakerState.HALF_OPEN:
                if self._probing:
                    raise CircuitBreakerOpenError(
                        f"Circuit breaker half open for {operation_name}: a probe is under way"
                    )
                self._probing = True
            return self._probing

    def succeeded(self, success_threshold: int, *, probe: bool) -> None:
        """A call went well. *success_threshold* probes in a row close it; a call from before it opened does not."""
        with self._lock:
            if probe:
                self._probing = False
                self._successes += 1
                if self._successes >= success_threshold:
                    self.circuit_breaker_state = CircuitBreakerState.CLOSED
            if self.circuit_breaker_state is CircuitBreakerState.CLOSED:
                self.circuit_breaker_failures = 0

    def failed(self, failure_threshold: int, recovery_timeout: float, *, probe: bool) -> bool:
        """A call went wrong; return whether that opened it, for *recovery_timeout* seconds."""
        with self._lock:
            if probe:
                self._probing = False
            self.circuit_breaker_failures += 1
            self._failed_ns = shared().clock.monotonic_ns()
            if not probe and self.circuit_breaker_failures < failure_threshold:
                return False
            self.circuit_breaker_state = CircuitBreakerState.OPEN
            self._opened_ns, self._recovery_ns = self._failed_ns, int(recovery_timeout * 1e9)
            return True

    def left(self, *, probe: bool) -> None:
        """A call was cancelled: it says nothing about what it called."""
        if probe:
            with self._lock:
                self._probing = False

    def reset(self) -> None:
        """Close it, and forget all failures."""
        with self._lock:
            self.circuit_breaker_state = CircuitBreakerState.CLOSED
            self.circuit_breaker_failures = self._successes = 0
            self._failed_ns, self._probing = None, False


class _Breakers:
    """The breakers of all agents, those used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_agent: OrderedDict[str, CircuitBreaker] = OrderedDict()

    def of(self, agent: str) -> CircuitBreaker:
        """Return the one breaker of an agent."""
        with self._lock:
            breaker = self._by_agent.setdefault(agent, CircuitBreaker())
            self._by_agent.move_to_end(agent)
            while len(self._by_agent) > REMEMBERED:
                self._by_agent.popitem(last=False)
            return breaker


def breaker_of(agent: str) -> CircuitBreaker:
    """Return the one breaker of an agent."""
    return shared().kept(_Breakers).of(agent)


def _offset_ns() -> int:
    clock = shared().clock
    return clock.time_ns() - clock.monotonic_ns()
