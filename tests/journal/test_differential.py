"""The stores compared with each other: given the same batches, all of them store, refuse and answer the same."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstate import CAUSES, TRANSITIONS, Cause, Entry, ExecutionState, JournalConflictError, Phase
from runstate._records import Selection
from runstate.journal import Journal

from ..stores import STORES
from .entries import EVIDENCE, OTHER_WORKER, START_NS, WORKER, created, moved, phased, warned

IDS = ["x", "y", "z"]
TEXT = st.sampled_from(["a", "ü", "🎈", "'", ""])
NAME = st.sampled_from(["a", "b", "ünï"])
JSON = st.sampled_from([None, b"null", b"0", b'{"a":[1,2.5,"\xc3\xbc"]}'])

THREATS = [cause for cause in Cause if cause in CAUSES[ExecutionState.DEAD]]


class Fold:
    """What the logs generated so far fold to, so that most entries continue one."""

    def __init__(self) -> None:
        self.logs: dict[str, tuple[ExecutionState, int, str]] = {}

    def follow(self, entry: Entry) -> None:
        """Take an entry that continues its log."""
        if entry.seq == 1:
            self.logs[entry.execution_id] = (ExecutionState.PENDING, 1, entry.incarnation)
        else:
            state, seq, worker = self.logs[entry.execution_id]
            self.logs[entry.execution_id] = (getattr(entry, "target", state), seq + 1, worker)


@st.composite
def continuing(draw: st.DrawFn, fold: Fold) -> Entry:
    """Draw an entry that continues a log, or begins one."""
    execution_id = draw(st.sampled_from(IDS))
    if execution_id not in fold.logs:
        entry: Entry = created(
            execution_id,
            agent=draw(NAME),
            thread_id=draw(NAME),
            user_id=draw(NAME),
            incarnation=draw(st.sampled_from([WORKER, OTHER_WORKER])),
            timeout=draw(st.sampled_from([None, 0.5, 1e9])),
            metadata_json=draw(JSON),
        )
        fold.follow(entry)
        return entry
    state, seq, worker = fold.logs[execution_id]
    if state.is_terminal:
        return draw(anything())
    kind = draw(st.integers(0, 4))
    if kind < 2:
        entry = phased(
            execution_id, seq + 1, draw(st.sampled_from(Phase)), detail=draw(st.none() | TEXT), incarnation=worker
        )
    elif kind == 2:
        cause = draw(st.sampled_from(THREATS))
        entry = warned(execution_id, seq + 1, cause, detail=draw(st.none() | TEXT), incarnation=worker)
    else:
        target = draw(st.sampled_from(sorted(TRANSITIONS[state], key=lambda one: one.name)))
        entry = moved(execution_id, seq + 1, state, target, incarnation=worker, error=None)
        if target.is_terminal:
            cause = draw(st.sampled_from(sorted(CAUSES[target], key=lambda one: one.name)))
            entry = entry._replace(cause=cause, error=draw(st.none() | TEXT))
    fold.follow(entry)
    return entry


@st.composite
def anything(draw: st.DrawFn) -> Entry:
    """Draw an entry without regard to what is stored."""
    execution_id, seq = draw(st.sampled_from([*IDS, "nobody"])), draw(st.integers(1, 6))
    worker = draw(st.sampled_from([WORKER, OTHER_WORKER]))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return created(execution_id, seq=draw(st.sampled_from([1, seq])), incarnation=worker)
    if kind == 1:
        return phased(execution_id, seq, incarnation=worker)
    if kind == 2:
        return warned(execution_id, seq, draw(st.sampled_from(Cause)), incarnation=worker)
    state = st.sampled_from(ExecutionState)
    entry = moved(execution_id, seq, draw(state), draw(state), incarnation=worker)
    if draw(st.booleans()):
        return entry
    return entry._replace(
        cause=draw(st.none() | st.sampled_from(Cause)),
        evidence=draw(st.none() | st.just(EVIDENCE)),
        error=draw(st.none() | TEXT),
        result_json=draw(JSON),
    )


@st.composite
def batches(draw: st.DrawFn) -> list[list[Entry]]:
    """Draw some batches, most of whose entries continue a log."""
    fold = Fold()
    return [
        [
            draw(continuing(fold)) if draw(st.integers(0, 9)) < 8 else draw(anything())
            for _ in range(draw(st.integers(0, 8)))
        ]
        for _ in range(draw(st.integers(1, 4)))
    ]


SELECTIONS = [
    Selection(),
    Selection(execution_id="x"),
    Selection(agent="a"),
    Selection(thread_id="b", user_id="a"),
    Selection(state=ExecutionState.RUNNING),
    Selection(state=ExecutionState.FAILED, agent="ünï"),
]


def append(journal: Journal, batch: Sequence[Entry]) -> tuple[str, ...]:
    """Append a batch; return the executions that were refused."""
    try:
        journal.append(batch)
    except JournalConflictError as error:
        return error.execution_ids
    return ()


def answers(journal: Journal) -> list[object]:
    """Ask a journal everything that it can be asked; positions are compared by their order only."""
    asked: list[object] = []
    for selection in SELECTIONS:
        for limit in (1, 2, 100):
            asked.append(list(journal.executions(selection, limit)))
            page = journal.read(0, limit, selection)
            positions = [event.position for event in page.events]
            assert positions == sorted(set(positions))
            asked.append([event._replace(position=0) for event in page.events])
            rest = journal.read(page.up_to, 100, selection).events
            asked.append([event._replace(position=0) for event in rest])
    return asked


@given(batches())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_all_stores_answer_alike(drawn: list[list[Entry]]) -> None:
    """Whatever is appended, legal or not, every store refuses the same executions and then gives the same answers."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as opened:
        journals = [make(Path(directory)).journal() for make in STORES.values()]
        for journal in journals:
            opened.callback(journal.close)
        for batch in drawn:
            refused = [append(journal, batch) for journal in journals]
            assert refused == refused[:1] * len(journals)
            asked = [answers(journal) for journal in journals]
            assert asked == asked[:1] * len(journals)


@given(batches())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_batch_is_the_same_as_its_entries_one_by_one(drawn: list[list[Entry]]) -> None:
    """How entries are grouped makes no difference: one append of many and many appends of one store the same."""
    for make in STORES.values():
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            together, apart = make(Path(one)).journal(), make(Path(other)).journal()
            for batch in drawn:
                refused = append(together, batch)
                refused_apart = [name for entry in batch for name in append(apart, [entry])]
                assert set(refused) == set(refused_apart)
            assert answers(together) == answers(apart)
            together.close()
            apart.close()


def test_the_drawn_times_do_not_reach_retention() -> None:
    """The entries that are compared are all of about one time, so no store prunes while they are."""
    assert abs(moved("x", 6, ExecutionState.PENDING, ExecutionState.FAILED).at_ns - START_NS) < 1_000
