"""`Execution[S]`: the typed handle by which an agent moves its own execution.

S is what the handle knows from its own last move, as a `Literal` of `ExecutionState`. Each move constrains the type of
`self`, so a type checker rejects an illegal move without any plugin, and each move returns a *new* handle that knows the
new state. Python has no linear types: the old variable still exists after a move, and no checker objects to using it. The
handle therefore compares what it knows with the live truth, and a stale one is an `InvalidTransitionError` at run time.
(The pattern is known as typestate, from Strom and Yemini, 1986.)

`state` is typed `ExecutionState`, not S, because a deadline, a cancellation or an observer may have ended the execution
meanwhile; `if run.state is ExecutionState.TIMEOUT` must not be unreachable code for a checker.

The moves here follow `TRANSITIONS`; a test compares the two, pair by pair.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, overload

from ._checks import checked, error_text, text
from ._decider import OWNER, Decider
from ._errors import InvalidTransitionError, wrong_type
from ._json import encode_json
from ._live import Live
from ._records import Evidence, ExecutionRecord
from ._states import Cause, ExecutionState, LiveState, Phase

S_co = TypeVar("S_co", bound=ExecutionState, covariant=True)

_PENDING: TypeAlias = Literal[ExecutionState.PENDING]
_STARTING: TypeAlias = Literal[ExecutionState.STARTING]
_RUNNING: TypeAlias = Literal[ExecutionState.RUNNING]
_COMPLETING: TypeAlias = Literal[ExecutionState.COMPLETING]
_COMPLETED: TypeAlias = Literal[ExecutionState.COMPLETED]
_FAILED: TypeAlias = Literal[ExecutionState.FAILED]
_TIMEOUT: TypeAlias = Literal[ExecutionState.TIMEOUT]
_DEAD: TypeAlias = Literal[ExecutionState.DEAD]
_CANCELLED: TypeAlias = Literal[ExecutionState.CANCELLED]

# Members bound to module names: looking one up on the Enum class costs as much as the rest of a handle's work.
_TO_STARTING: Final = ExecutionState.STARTING
_TO_RUNNING: Final = ExecutionState.RUNNING
_TO_COMPLETING: Final = ExecutionState.COMPLETING
_TO_COMPLETED: Final = ExecutionState.COMPLETED
_RETURNED: Final = Cause.RETURNED
_NULL: Final = b"null"


class Execution(Generic[S_co]):
    """One execution, as known by whoever made its last move. Made by a tracker, never by hand.

    Every move, beat and phase is decided in memory and returns at once; `tracker.flush()` says when it is durable. All of
    them raise `FencedError` (for a passed time limit: its subclass `ExecutionTimeoutError`) when somebody else has ended
    the execution, `InvalidTransitionError` when this handle is stale, and a `JournalError` when the move cannot be
    recorded. A refused call has changed nothing.
    An argument of the wrong type is a `StateTypeError`.
    """

    __slots__ = ("_decider", "_known_state", "_live")

    _decider: Decider
    _known_state: S_co
    _live: Live

    def __init__(self, decider: Decider, live: Live, known_state: S_co) -> None:
        self._decider = decider
        self._live = live
        self._known_state = known_state

    def __repr__(self) -> str:
        return (
            f"<Execution {self._live.execution_id} of {self._live.created.agent!r}: "
            f"{self._known_state.name} known, {self._live.state.name} now>"
        )

    @property
    def known_state(self) -> S_co:
        """The state that this handle's own last move led to."""
        return self._known_state

    @property
    def state(self) -> ExecutionState:
        """The state that the execution is in now."""
        return self._live.state

    @property
    def execution_id(self) -> str:
        """The execution's id: a UUID of version 7 as text."""
        return self._live.execution_id

    @property
    def agent(self) -> str:
        """The agent that runs."""
        return self._live.created.agent

    @property
    def thread_id(self) -> str:
        """The conversation that asked."""
        return self._live.created.thread_id

    @property
    def user_id(self) -> str:
        """The user who asked."""
        return self._live.created.user_id

    @property
    def record(self) -> ExecutionRecord:
        """Everything known of the execution now, from memory."""
        return self._live.record()

    @property
    def beats(self) -> int:
        """Heartbeats so far."""
        return self._live.beats

    @property
    def last_beat_ns(self) -> int:
        """When the last sign of life came (a heartbeat, a phase or a move), in nanoseconds of the tracker's monotonic clock."""
        return self._live.beat_ns

    def heartbeat(self: Execution[LiveState]) -> None:
        """Give a sign of life. Never blocks and never writes: the time is kept in memory.

        Raises:
            FencedError: The execution has ended; stop the work.
        """
        live = self._live
        if live.closed:
            raise self._decider.late(live)
        monotonic_ns = self._decider.monotonic_ns
        live.beat_ns = monotonic_ns()
        live.beats += 1

    @checked
    def phase(self: Execution[LiveState], phase: Phase, detail: str | None = None) -> None:
        """Say what the execution does now. Also a sign of life; goes to the journal and to subscribers.

        Args:
            phase: What it does.
            detail: More, such as the tool's name; at most `Limits.name_bytes` bytes.

        Raises:
            FencedError: The execution has ended; stop the work.
            StateTypeError: An argument has the wrong type.
            InvalidValueError: *detail* is no valid text.
            JournalError: It cannot be recorded.
        """
        if detail is not None:
            detail = text("detail", detail, self._decider.limits.name_bytes, empty=True)
        self._decider.enter_phase(self._live, phase, detail)

    def start(self: Execution[_PENDING]) -> Execution[_STARTING]:
        """Move PENDING -> STARTING."""
        live = self._live
        self._decider.advance(live, self._known_state, _TO_STARTING)
        return Execution(self._decider, live, _TO_STARTING)

    def run(self: Execution[_PENDING | _STARTING]) -> Execution[_RUNNING]:
        """Move PENDING or STARTING -> RUNNING."""
        live = self._live
        self._decider.advance(live, self._known_state, _TO_RUNNING)
        return Execution(self._decider, live, _TO_RUNNING)

    def finish(self: Execution[_RUNNING]) -> Execution[_COMPLETING]:
        """Move RUNNING -> COMPLETING: the work is done, its answer is being delivered."""
        live = self._live
        self._decider.advance(live, self._known_state, _TO_COMPLETING)
        return Execution(self._decider, live, _TO_COMPLETING)

    def complete(self: Execution[_RUNNING | _COMPLETING], result: object = None) -> Execution[_COMPLETED]:
        """Move RUNNING or COMPLETING -> COMPLETED, cause RETURNED.

        Args:
            result: The answer: anything that JSON carries unchanged, at most `Limits.result_bytes` bytes encoded. It is
                encoded now, so changing the object later changes nothing.

        Raises:
            NotJsonError: *result* would not come back equal; says where.
            ResultTooLargeError: *result* is over its budget.
        """
        live = self._live
        result_json = _NULL if result is None else encode_json("result", result, self._decider.limits.result_bytes)
        self._decider.end(live, self._known_state, _TO_COMPLETED, _RETURNED, None, result_json)
        return Execution(self._decider, live, _TO_COMPLETED)

    @checked
    def fail(self: Execution[LiveState], error: str | BaseException) -> Execution[_FAILED]:
        """Move any live state -> FAILED: cause RAISED for an exception, REPORTED for a text.

        Args:
            error: What went wrong. A text over `Limits.error_bytes` is cut and says so.
        """
        cause = Cause.RAISED if isinstance(error, BaseException) else Cause.REPORTED
        return self._end(ExecutionState.FAILED, cause, error_text("error", error, self._decider.limits.error_bytes))

    @checked
    def time_out(self: Execution[LiveState], error: str | None = None) -> Execution[_TIMEOUT]:
        """Move any live state -> TIMEOUT, cause REPORTED; the tracker's own deadline says DEADLINE.

        Args:
            error: What ran out of time.
        """
        said = None if error is None else error_text("error", error, self._decider.limits.error_bytes)
        return self._end(ExecutionState.TIMEOUT, Cause.REPORTED, said)

    @checked
    def cancel(self: Execution[LiveState], reason: str | None = None) -> Execution[_CANCELLED]:
        """Move any live state -> CANCELLED, cause CANCELLED_BY_CALLER.

        Args:
            reason: Why; kept in the evidence.
        """
        said = None if reason is None else error_text("reason", reason, self._decider.limits.error_bytes)
        return self._end(ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER, said, said)

    @checked
    def die(
        self: Execution[LiveState], cause: Cause = Cause.REPORTED, evidence: Evidence | None = None
    ) -> Execution[_DEAD]:
        """Move any live state -> DEAD.

        Args:
            cause: One of the causes that `CAUSES` lists for DEAD.
            evidence: What was observed; None takes what the tracker knows itself.

        Raises:
            InvalidValueError: *cause* is no cause of DEAD.
        """
        if cause.__class__ is not Cause:
            raise wrong_type("cause", cause, "a Cause")
        if evidence is not None:
            from ._codec import check_evidence

            evidence = check_evidence(evidence)
        return self._end(ExecutionState.DEAD, cause, None, None, evidence)

    @overload
    def expect(self, state: _PENDING) -> Execution[_PENDING]: ...
    @overload
    def expect(self, state: _STARTING) -> Execution[_STARTING]: ...
    @overload
    def expect(self, state: _RUNNING) -> Execution[_RUNNING]: ...
    @overload
    def expect(self, state: _COMPLETING) -> Execution[_COMPLETING]: ...
    @overload
    def expect(self, state: _COMPLETED) -> Execution[_COMPLETED]: ...
    @overload
    def expect(self, state: _FAILED) -> Execution[_FAILED]: ...
    @overload
    def expect(self, state: _TIMEOUT) -> Execution[_TIMEOUT]: ...
    @overload
    def expect(self, state: _DEAD) -> Execution[_DEAD]: ...
    @overload
    def expect(self, state: _CANCELLED) -> Execution[_CANCELLED]: ...
    @checked
    def expect(self, state: ExecutionState) -> Execution[Any]:
        """Check that the execution is in *state* now, and narrow the handle to it.

        Args:
            state: The state that it must be in.

        Raises:
            InvalidTransitionError: It is in another state.
            FencedError: Somebody else has ended it.
        """
        if state.__class__ is not ExecutionState:
            raise wrong_type("state", state, "an ExecutionState")
        live = self._live
        if live.state is not state:
            if live.closed and not state.is_terminal:
                raise self._decider.late(live)
            raise InvalidTransitionError(live.execution_id, live.state, state, state)
        return Execution(self._decider, live, state)

    def _end(
        self,
        target: ExecutionState,
        cause: Cause,
        error: str | None,
        reason: str | None = None,
        evidence: Evidence | None = None,
    ) -> Execution[Any]:
        live = self._live
        self._decider.end(live, self._known_state, target, cause, error, None, OWNER, reason, evidence)
        return Execution(self._decider, live, target)
