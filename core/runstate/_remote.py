"""The part of the tracker for code that holds no handle: it finds executions by their ids, or cancels them in whichever process."""

from __future__ import annotations

from ._census import ExecutionCounter
from ._checks import checked, error_text
from ._decider import CALLER, OWNER
from ._errors import FencedError, InvalidTransitionError, NotOwnerError, RunstateError
from ._execution import Execution
from ._fleet import CancelRequest
from ._live import fenced
from ._member import Member
from ._records import ExecutionRecord
from ._states import Cause, ExecutionState


class ExecutionRemote(ExecutionCounter):
    """Reads executions, and finds or cancels them by their ids."""

    _member: Member

    @checked
    def cancel(self, execution_id: str, reason: str | None = None) -> CancelRequest:
        """Have an execution cancelled, whichever process owns it. `wait` tells when it is.

        One of this process ends at once. Of any other the wish is recorded, durably, and its owner is told within milliseconds; the
        owner ends it as CANCELLED, cause CANCELLED_BY_CALLER, and so does whoever buries an owner that has died. Agents that are
        async are interrupted; what runs in a thread learns of it at its next call on the handle.

        Args:
            execution_id: Which.
            reason: Why; kept in the evidence.

        Returns:
            The request that stands: the first one, whoever asks again.

        Raises:
            UnknownExecutionError: No execution has this id.
            InvalidTransitionError: It has ended.
            FencedError: It was ended by its limits or another process.
            InvalidValueError: *reason* cannot be stored.
            JournalError: The request cannot be recorded.
            TrackerClosedError: The tracker is closed.
        """
        said = None if reason is None else error_text("reason", reason, self._limits.error_bytes)
        live = self._find_live(execution_id)
        if live is not None:
            end = self._decider.end(
                live, None, ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER, said, None, CALLER, said
            )
            own = self._decider.incarnation
            return CancelRequest(execution_id, own, own, said, end.at_ns)
        record = self._get(execution_id)
        request = None if record.is_terminal else self._member.request(execution_id, said)
        if request is None:
            raise self._refusal(self.get(execution_id), ExecutionState.CANCELLED)
        return request

    @checked
    def handle(self, execution_id: str) -> Execution[ExecutionState]:
        """Return a handle for a live execution of this process; `.expect(state)` narrows it.

        Args:
            execution_id: Which.

        Raises:
            UnknownExecutionError: No execution has this id.
            FencedError: It has ended.
            NotOwnerError: Another process owns it.
        """
        live = self._find_live(execution_id)
        if live is None:
            record = self.get(execution_id)
            if record.is_terminal:
                raise _fenced(record)
            raise NotOwnerError(execution_id, record.incarnation)
        return Execution(self._decider, live, live.state)

    def _refusal(self, record: ExecutionRecord, target: ExecutionState) -> RunstateError:
        """Say why an execution that is not live here cannot be moved."""
        self._decider.count_refusal()
        if not record.is_terminal:
            return NotOwnerError(record.execution_id, record.incarnation)
        if record.evidence is not None and record.evidence.observer not in {OWNER, CALLER}:
            return _fenced(record)
        return InvalidTransitionError(record.execution_id, record.state, target)


def _fenced(record: ExecutionRecord) -> FencedError:
    return fenced(record.execution_id, record.state, record.cause, record.evidence, record.updated_at_ns)
