"""What every journal promises of warnings: they are entries like all others, and change neither state nor phase."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runstate import CAUSES, Cause, Entry, ExecutionState, Phase
from runstate._records import Selection
from runstate.journal import Journal

from .entries import created, life, moved, phased, warned
from .test_conformance import ALL, entries_of

PENDING, RUNNING, COMPLETED = ExecutionState.PENDING, ExecutionState.RUNNING, ExecutionState.COMPLETED


@pytest.mark.parametrize("state", [state for state in ExecutionState if not state.is_terminal])
@pytest.mark.parametrize("one_by_one", [False, True], ids=["together", "one by one"])
def test_a_warning_changes_neither_state_nor_phase(
    journal: Journal, state: ExecutionState, *, one_by_one: bool
) -> None:
    """A warning of a live execution counts in seq and in the time of the newest entry, and the record is otherwise as before."""
    log = life("x", state)
    phase = phased("x", len(log) + 1, Phase.TOOL_EXECUTION, detail="get_user")
    journal.append([*log, phase])
    (before,) = journal.executions(ALL, 10)
    causes = [cause for cause in Cause if cause in CAUSES[ExecutionState.DEAD]]
    warnings: list[Entry] = [warned("x", before.seq + place, cause) for place, cause in enumerate(causes, start=1)]
    for batch in [[entry] for entry in warnings] if one_by_one else [warnings]:
        journal.append(batch)
    (after,) = journal.executions(ALL, 10)
    assert after == replace(before, seq=before.seq + len(causes), updated_at_ns=warnings[-1].at_ns)
    assert entries_of(journal) == [*log, phase, *warnings]
    assert list(journal.executions(Selection(state=state), 10)) == [after]


def test_a_warning_may_stand_anywhere_in_a_log(journal: Journal) -> None:
    """A log with warnings between its moves and phases is stored as one batch, and folds to what it would be without them."""
    log = [
        created("x"),
        warned("x", 2),
        moved("x", 3, PENDING, RUNNING),
        warned("x", 4),
        phased("x", 5, detail="deep"),
        warned("x", 6),
        moved("x", 7, RUNNING, ExecutionState.COMPLETING),
        warned("x", 8),
        moved("x", 9, ExecutionState.COMPLETING, COMPLETED),
    ]
    journal.append(log)
    assert entries_of(journal) == log
    (record,) = journal.executions(ALL, 10)
    assert (record.state, record.seq, record.cause, record.phase, record.phase_detail) == (
        COMPLETED, 9, Cause.RETURNED, Phase.THINKING, "deep",
    )  # fmt: skip
