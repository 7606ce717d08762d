"""The executions of one call of an agent, and what must be waited for on the way through them.

What is waited for is a *step*, which can be taken blocking or not; so the chain itself, in `_chain`, is written once for both colours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ._async import library
from ._breaker import Admission, Breakers, Gate, logger
from ._decider import Decider
from ._durable import durable
from ._errors import FencedError, InvalidTransitionError, JournalConflictError, JournalError, WaitTimeoutError
from ._execution import Execution
from ._live import Live
from ._policies import Breaker, Retry
from ._reading import ExecutionReader
from ._records import ExecutionRecord, Selection
from ._scope import ExecutionScope, Pending
from ._states import Cause, ExecutionState
from ._wake import Wake
from ._watch import LimitWatch
from .journal._writer import JournalWriter

_PENDING: Final = ExecutionState.PENDING
_LONG: Final = 86_400.0
"""Seconds of one wait for an execution that ends by itself; then comes the next."""


class Plan(NamedTuple):
    """What an agent does about failures."""

    retry: Retry | None = None
    breaker: Breaker | None = None
    fallback: Callable[..., Any] | None = None


class Begin(Protocol):
    """Creates the first execution of a call."""

    def __call__(
        self,
        *,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        metadata: Mapping[str, object] | None,
        message_id: str | None,
    ) -> Pending:
        """Create it, PENDING, not yet durable."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """What the chains of one agent need of its tracker."""

    plan: Plan
    """What there is to do about failures."""
    begin: Begin
    reader: ExecutionReader
    decider: Decider
    writer: JournalWriter
    watch: LimitWatch
    breakers: Breakers
    gate: Gate | None
    """The agent's breaker."""
    timeout: float | None
    """Seconds for a call that names no limit."""


Follow: TypeAlias = Callable[["Attempt", ExecutionState, ExecutionState, Cause], None]
"""Decides what follows an attempt that is about to end: given as source, target and cause."""


class Attempt(ExecutionScope):
    """One execution of a chain, as a block."""

    def __init__(self, means: Means, live: Live, follow: Follow, begins_ns: int, before: Attempt | None = None) -> None:
        pending: Pending = Execution(means.decider, live, _PENDING)
        super().__init__(lambda: pending, means.decider, means.writer)
        self.begun: Live = live
        """The execution, also before its block is entered."""
        self.begins_ns: int = begins_ns
        """When its pause is over."""
        self.before: Attempt | None = before
        """The attempt that this one, a fallback, stands in for; None of every other."""
        self.raised: Exception | None = None
        """What has left its function."""
        live.succession = partial(follow, self)
        means.decider.enter_block(live)
        if before is not None:
            self._completed_as = self._failed_as = Cause.FALLBACK

    def _end(self, live: Live, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self.raised = error
            end = None if self.before is None else self.before.begun.end
            if self.before is not None and end is not None and end.cause is not None and not live.closed:
                error.add_note(f"runstate: it stood in for {end.target.name} ({end.cause.name}): {end.error}")
                error.__cause__ = error.__cause__ or self.before.raised
        super()._end(live, error)

    def refuse(self, why: str) -> None:
        """End it without its having begun, unless somebody else has ended it."""
        with suppress(InvalidTransitionError, FencedError):
            self._decider.end(self.begun, None, ExecutionState.FAILED, Cause.BREAKER_OPEN, why)

    def give_up(self, error: BaseException) -> None:
        """End it because *error* ends the whole call, unless it has ended. Nothing follows."""
        self.begun.succession = None
        self._fail(self.begun, error)

    def check(self, conflict: JournalConflictError) -> None:
        """Raise what a refusal of the journal means for it."""
        self._check_entry(self.begun, conflict)

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self._decider.leave_block(self.begun)


Body: TypeAlias = Callable[[Attempt], Any]
"""Runs an attempt's function in its block; gives its outcome, or for an async agent what that is awaited from."""


class Step(Protocol):
    """Something that a chain waits for."""

    def take(self, body: Body) -> Any:
        """Wait, blocking."""
        ...

    async def atake(self, body: Body) -> Any:
        """Wait, without blocking the event loop."""
        ...


class Pause(NamedTuple):
    """Until an attempt may begin, or has ended."""

    means: Means
    attempt: Attempt

    def _is_early(self) -> bool:
        return not self.attempt.begun.closed and self.means.decider.monotonic_ns() < self.attempt.begins_ns

    def take(self, body: Body) -> None:
        del body
        means, attempt, wake = self.means, self.attempt, Wake()
        means.decider.watch(attempt.begun, wake.set)
        try:
            while self._is_early():
                wake.clear()
                left = means.watch.pause(wake, attempt.begins_ns)
                if self._is_early():
                    wake.wait(left)
        finally:
            means.decider.unwatch(attempt.begun, wake.set)

    async def atake(self, body: Body) -> None:
        del body
        means, attempt, signal = self.means, self.attempt, library().signal()
        means.decider.watch(attempt.begun, signal.set)
        try:
            while self._is_early():
                signal.clear()
                left = means.watch.pause(signal, attempt.begins_ns)
                if self._is_early():
                    await signal.wait(left)
        finally:
            means.decider.unwatch(attempt.begun, signal.set)


class Durable(NamedTuple):
    """Until what was decided about an attempt is stored."""

    attempt: Attempt

    def take(self, body: Body) -> None:
        del body
        try:
            self.attempt._writer.flush()
        except JournalConflictError as conflict:
            self.attempt.check(conflict)

    async def atake(self, body: Body) -> None:
        del body
        try:
            await durable(self.attempt._writer)
        except JournalConflictError as conflict:
            self.attempt.check(conflict)


class Look(NamedTuple):
    """Until what the journal has got is taken. It is not needed for the answer, so it costs none."""

    gate: Gate

    def take(self, body: Body) -> None:
        del body
        try:
            self.gate.look()
        except JournalError as error:
            logger.warning("runstate: a breaker cannot be followed now: %s", error)

    async def atake(self, body: Body) -> None:
        await library().in_thread(self.take, body)


class Probe(NamedTuple):
    """Until it is known whether an attempt is the first probe. If the journal cannot be read it is made: answers come first."""

    gate: Gate
    attempt: Attempt

    def take(self, body: Body) -> Admission:
        del body
        try:
            is_first = self.gate.may_probe(self.attempt.begun.execution_id)
        except JournalError as error:
            logger.warning("runstate: a probe is made although a breaker cannot be followed now: %s", error)
            is_first = True
        return Admission.OPEN_DOOR if is_first else Admission.REFUSED

    async def atake(self, body: Body) -> Admission:
        return await library().in_thread(self.take, body)


class Run(NamedTuple):
    """Until an attempt's function has ended."""

    attempt: Attempt

    def take(self, body: Body) -> Any:
        return body(self.attempt)

    async def atake(self, body: Body) -> Any:
        outcome: Awaitable[Any] = body(self.attempt)
        return await outcome


class Newest(NamedTuple):
    """Until the newest execution of a chain is known."""

    reader: ExecutionReader
    first: str

    def take(self, body: Body) -> ExecutionRecord:
        del body
        return newest_of(self.reader, self.first)

    async def atake(self, body: Body) -> ExecutionRecord:
        return await library().in_thread(self.take, body)


class End(NamedTuple):
    """Until an execution has ended, as each does."""

    reader: ExecutionReader
    execution_id: str

    def take(self, body: Body) -> None:
        del body
        with suppress(WaitTimeoutError):
            self.reader.wait(self.execution_id, timeout=_LONG)

    async def atake(self, body: Body) -> None:
        del body
        with suppress(WaitTimeoutError):
            await self.reader.await_outcome(self.execution_id, timeout=_LONG)


def newest_of(reader: ExecutionReader, first: str) -> ExecutionRecord:
    """Read the newest execution of a chain.

    Raises:
        UnknownExecutionError: There is none.
        JournalError: It cannot be read.
    """
    record = reader._get(first)  # before the others: if it has ended, what follows it can be seen from now on
    reader._settle()
    found = reader._journal.executions(Selection(retry_of=first), 1)
    return found[0] if found else record
