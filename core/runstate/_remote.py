"""The part of the tracker for code that holds no handle: executions by their ids, cancels anywhere, and the processes themselves."""

from __future__ import annotations

from ._census import ExecutionCounter
from ._checks import checked, error_text, text
from ._decider import CALLER, OWNER
from ._errors import FencedError, InvalidTransitionError, InvalidValueError, NotOwnerError, RunstateError, wrong_type
from ._execution import Execution
from ._fleet import CancelRequest, RejectedMove, Worker
from ._live import fenced
from ._member import Member
from ._records import ExecutionRecord
from ._states import Cause, ExecutionState
from .journal import Fleet


class ExecutionRemote(ExecutionCounter):
    """Reads executions, and finds or cancels them by their ids."""

    _member: Member

    @checked
    def workers(self, *, departed: int = 0) -> tuple[Worker, ...]:
        """Return the processes that share the journal: those that are alive, and those with executions still to be ended.

        Args:
            departed: How many of those that have gone to return as well, the newest ones, 0 to 1,000,000.

        Raises:
            InvalidValueError: *departed* is out of range.
            JournalError: It cannot be read.
        """
        if isinstance(departed, bool) or not isinstance(departed, int):
            raise wrong_type("departed", departed, "an int")
        if not 0 <= departed <= 1_000_000:
            raise InvalidValueError("departed", departed, "between 0 and 1,000,000")
        return tuple(self._journal.workers(departed)) if isinstance(self._journal, Fleet) else ()

    @checked
    def worker(self, incarnation: str) -> Worker | None:
        """Return one of the processes that share the journal, alive or gone; None if the journal knows of none by this name.

        Args:
            incarnation: Which, as in `ExecutionRecord.incarnation`.

        Raises:
            JournalError: It cannot be read.
        """
        incarnation = text("incarnation", incarnation, self._limits.name_bytes)
        return self._journal.worker(incarnation) if isinstance(self._journal, Fleet) else None

    @checked
    def cancel_request(self, execution_id: str) -> CancelRequest | None:
        """Return the request that an execution's owner has not carried out yet, if there is one.

        Args:
            execution_id: Which.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        record = self._get(execution_id)
        if record.is_terminal or not isinstance(self._journal, Fleet):
            return None
        requests = self._journal.requests(record.incarnation)
        return next((request for request in requests if request.execution_id == execution_id), None)

    @checked
    def rejected(self, execution_id: str) -> RejectedMove | None:
        """Return the end that an execution's owner tried to record when it was fenced already, if it did.

        Args:
            execution_id: Which.

        Raises:
            UnknownExecutionError: No execution has this id.
            JournalError: It cannot be read.
        """
        self._check_id(execution_id)
        found = self._journal.rejected(execution_id) if isinstance(self._journal, Fleet) else None
        if found is None:
            self._get(execution_id)
        return found

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
            raise self._refusal(self.get(execution_id), ExecutionState.CANCELLED, is_owner=False)
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

    def _refusal(self, record: ExecutionRecord, target: ExecutionState, *, is_owner: bool = True) -> RunstateError:
        """Say why an execution that is not live here cannot be moved."""
        self._decider.count_refusal()
        if not record.is_terminal:
            return NotOwnerError(record.execution_id, record.incarnation)
        if record.evidence is not None and record.evidence.observer not in {OWNER, CALLER}:
            return _fenced(record, is_owner=is_owner)
        return InvalidTransitionError(record.execution_id, record.state, target)


def _fenced(record: ExecutionRecord, *, is_owner: bool = True) -> FencedError:
    return fenced(
        record.execution_id, record.state, record.cause, record.evidence, record.updated_at_ns, is_owner=is_owner
    )
