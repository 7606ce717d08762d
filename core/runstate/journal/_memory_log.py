"""One execution in the memory of the journal in memory."""

from __future__ import annotations

from .._records import Created, Entry, ExecutionRecord, PhaseChange, Transition
from .._states import INITIAL, ExecutionState


class Log:
    """One execution: how it began, where its log lies, and what it folds to."""

    __slots__ = ("created", "first", "incarnation", "last", "phase", "seq", "state")

    def __init__(self, created: Created, first: int) -> None:
        self.created = created
        self.incarnation = created.incarnation
        self.first = first
        """Position of its first entry. The others follow, among those of other executions."""
        self.seq = 1
        self.state: ExecutionState = INITIAL
        self.phase: PhaseChange | None = None
        self.last: Entry = created

    def record(self) -> ExecutionRecord:
        """Everything known of it."""
        created, phase = self.created, self.phase
        end = self.last if isinstance(self.last, Transition) and self.state.is_terminal else None
        return ExecutionRecord(
            created.execution_id,
            created.agent,
            created.thread_id,
            created.user_id,
            self.state,
            self.seq,
            created.at_ns,
            self.last.at_ns,
            created.incarnation,
            created.timeout,
            created.heartbeat_timeout,
            phase.phase if phase is not None else None,
            phase.detail if phase is not None else None,
            end.cause if end is not None else None,
            end.evidence if end is not None else None,
            end.error if end is not None else None,
            created.metadata_json,
            end.result_json if end is not None else None,
            created.retry_of,
            created.attempt,
            created.message_id,
        )
