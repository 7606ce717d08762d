"""The chain of executions that one call of an agent may be: its attempts, and at last its fallback.

Each attempt is an execution of its own, linked to the first by `retry_of`, and for all of them holds what `_agents` says of one. What
follows an attempt is decided in one place, under the lock of its end and before that end is handed on to the journal. So whoever sees
an attempt ended, in any process, sees the next one too, which stands PENDING while its pause lasts; and a chain has ended when its newest
execution has. A chain that its process leaves in the middle ends with the burial of what is live.

| an attempt ends as | what follows |
|---|---|
| COMPLETED, CANCELLED; anything that others did to it | nothing |
| FAILED, RAISED by an exception that `Retry.on` names | the next attempt, if there is one left and time for its pause |
| TIMEOUT, DEADLINE, after it had begun, if `Retry.on` names `TimeoutError` | the same |
| FAILED, TIMEOUT, DEAD, if no attempt follows | the fallback, if there is one |
| the fallback itself, however it ends | nothing |

**Time.** The limit of a call is that of all its attempts and pauses together, as it is what the user waits for; each attempt is recorded
with what is left of it. The fallback has as long once more: it is there to answer when that time has run out.

**One answer for a message.** Who is told that another call of its agent answers its message waits for the end of that chain, and returns
its outcome. What another agent answers is nothing that this one could have returned: then `DuplicateMessageError` is raised.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, cast

from ._attempts import Attempt, Body, Durable, End, Look, Means, Newest, Pause, Probe, Run, Step
from ._breaker import FAILURES, Admission, logger
from ._checks import seconds
from ._errors import (
    DuplicateMessageError,
    ExecutionTimeoutError,
    FencedError,
    InvalidTransitionError,
    RunstateError,
)
from ._live import Live
from ._outcomes import Outcome, outcome_of, unhappy_outcome
from ._policies import pause_after
from ._records import ExecutionRecord
from ._states import Cause, ExecutionState

_PENDING: Final = ExecutionState.PENDING
_FAILED, _TIMEOUT, _DEAD = ExecutionState.FAILED, ExecutionState.TIMEOUT, ExecutionState.DEAD

Steps: TypeAlias = Generator[Step, Any, Outcome[Any]]


class Chain:
    """One call of an agent.

    Args:
        means: The agent's.
        thread_id: Whose message is answered.
        user_id: The user.
        timeout: Seconds for all attempts together; None takes the agent's.
        metadata: Facts to keep with each execution.
        message_id: The client's key of the message, unique for its user in its thread.
    """

    def __init__(
        self,
        means: Means,
        thread_id: str,
        user_id: str,
        timeout: float | None,
        metadata: Mapping[str, object] | None,
        message_id: str | None,
    ) -> None:
        self.means: Means = means
        self._begin = partial(
            means.begin, thread_id=thread_id, user_id=user_id, metadata=metadata, message_id=message_id
        )
        self._following: Attempt | None = None
        self._unrecorded: RunstateError | None = None
        """Why what would follow could not be recorded."""
        self._limit = means.timeout if timeout is None else seconds("timeout", timeout)
        self._until_ns: int | None = None

    def run(self, body: Body) -> Outcome[Any]:
        """Make the call in this thread; see `SyncAgent.bind`."""
        steps = self._steps()
        try:
            step = next(steps)
            while True:
                try:
                    answer = step.take(body)
                except BaseException as error:  # noqa: BLE001 - the chain ends with it, or takes it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return cast("Outcome[Any]", end.value)

    async def arun(self, body: Body) -> Outcome[Any]:
        """Make the call in this task; see `AsyncAgent.bind`."""
        steps = self._steps()
        try:
            step = next(steps)
            while True:
                try:
                    answer = await step.atake(body)
                except BaseException as error:  # noqa: BLE001 - the chain ends with it, or takes it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return cast("Outcome[Any]", end.value)

    def follow(self, attempt: Attempt, source: ExecutionState, target: ExecutionState, cause: Cause) -> None:
        """Decide what follows an attempt that is about to end, and create it. Called under the lock of its end."""
        if attempt.before is not None or target not in {_FAILED, _TIMEOUT, _DEAD}:
            return
        now_ns = self.means.decider.monotonic_ns()
        pause = self._pause_after(attempt, source, cause, now_ns)
        if pause is not None:
            self._create(attempt, now_ns + int(pause * 1e9), self._time_left(now_ns, pause))
        elif self.means.plan.fallback is not None:
            self._create(attempt, now_ns, self._limit, is_fallback=True)

    def _pause_after(self, attempt: Attempt, source: ExecutionState, cause: Cause, now_ns: int) -> float | None:
        """Seconds until the next attempt; None if there is to be none."""
        retry, raised = self.means.plan.retry, attempt.raised
        if retry is None or source is _PENDING or attempt.begun.created.attempt >= retry.attempts:
            return None
        if cause is Cause.DEADLINE:
            is_worth_it = issubclass(ExecutionTimeoutError, retry.on)
        else:
            is_worth_it = cause is Cause.RAISED and isinstance(raised, retry.on)
        pause = pause_after(retry, attempt.begun.created.attempt)
        if not is_worth_it or (self._until_ns is not None and now_ns + pause * 1e9 >= self._until_ns):
            return None
        return pause

    def _time_left(self, now_ns: int, pause: float) -> float | None:
        """The time limit of an attempt that is created now and begins after a pause."""
        retry = self.means.plan.retry
        left = [] if self._until_ns is None else [(self._until_ns - now_ns) / 1e9]
        if retry is not None and retry.attempt_timeout is not None:
            left.append(pause + retry.attempt_timeout)
        return min(left, default=None)

    def _create(self, attempt: Attempt, begins_ns: int, timeout: float | None, *, is_fallback: bool = False) -> None:
        created = attempt.begun.created
        try:
            live = self.means.decider.create(
                created.agent,
                created.thread_id,
                created.user_id,
                timeout,
                created.heartbeat_timeout,
                created.metadata_json,
                created.retry_of or created.execution_id,
                created.attempt + 1,
                created.message_id,
                relieves=False,
            )
        except RunstateError as error:
            self._unrecorded = error
            return
        self._following = Attempt(self.means, live, self.follow, begins_ns, attempt if is_fallback else None)

    def _first(self) -> Attempt:
        retry, limits = self.means.plan.retry, [] if self._limit is None else [self._limit]
        if retry is not None and retry.attempt_timeout is not None:
            limits.append(retry.attempt_timeout)
        live = self._begin(timeout=min(limits, default=None))._live
        if self._limit is not None:
            self._until_ns = live.beat_ns + int(self._limit * 1e9)
        return Attempt(self.means, live, self.follow, live.beat_ns)

    def _steps(self) -> Steps:
        if self.means.gate is not None:
            self.means.breakers.start()
        attempt = self._first()
        try:
            while True:
                outcome = yield from self._make(attempt)
                following, self._following = self._following, None
                if following is None:
                    return self._with_trouble(outcome)
                attempt = following
        except DuplicateMessageError as error:
            if attempt.begun.lost is None or error.execution_id == attempt.begun.execution_id:
                raise  # somebody else's, from inside the function
            self._give_up(attempt, error)
            if error.agent != attempt.begun.created.agent:
                raise
            return (yield from self._await_others(error.execution_id))
        except BaseException as error:
            self._give_up(attempt, error)
            raise

    def _give_up(self, attempt: Attempt, error: BaseException) -> None:
        for one in (attempt, self._following):
            if one is not None:
                one.give_up(error)

    def _make(self, attempt: Attempt) -> Steps:
        gate, live = self.means.gate, attempt.begun
        if attempt.begins_ns > self.means.decider.monotonic_ns():
            yield Pause(self.means, attempt)
        if attempt.before is None and gate is not None:
            if gate.is_new:
                yield Look(gate)
            admission = gate.admit(live.created.attempt)
            if admission is Admission.PROBE:
                yield Durable(attempt)
                admission = yield Probe(gate, attempt)
            if admission is Admission.REFUSED:
                attempt.refuse(gate.refusal())
        if live.closed:
            if self._following is None or live.created.message_id is not None:  # else what follows waits for both
                yield Durable(attempt)
            attempt.leave()
            return self._ended(attempt)
        try:
            outcome: Outcome[Any] = yield Run(attempt)
        except (InvalidTransitionError, FencedError):
            if attempt.live is not None or not attempt.begun.closed:
                raise
            return self._ended(attempt)  # it ended just before it would have begun
        if gate is not None and (gate.circuit.opened_ns is not None or _is_failure(live)):
            yield Look(gate)
        return outcome

    def _ended(self, attempt: Attempt) -> Outcome[Any]:
        """The outcome of an attempt whose function was never called."""
        record = attempt.begun.record()
        if not record.is_terminal:
            raise self.means.decider.late(attempt.begun)
        return unhappy_outcome(record)

    def _with_trouble(self, outcome: Outcome[Any]) -> Outcome[Any]:
        if self._unrecorded is not None:
            logger.error(
                "runstate: what should have followed execution %s could not be recorded, so nothing did: %s",
                outcome.execution_id,
                self._unrecorded,
            )
        return outcome

    def _await_others(self, first: str) -> Steps:
        """Wait for the end of the chain that begins with an execution, and give its outcome."""
        while True:
            newest: ExecutionRecord = yield Newest(self.means.reader, first)
            if newest.is_terminal:
                return outcome_of(newest)
            yield End(self.means.reader, newest.execution_id)


def _is_failure(live: Live) -> bool:
    end = live.end
    return end is not None and (end.target, end.cause) in FAILURES
