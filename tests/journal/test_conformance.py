"""What every journal promises, tested on every store; a new store joins by one line in `stores.STORES`."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest

from runstate import Cause, Entry, Event, ExecutionState, JournalConflictError, Phase
from runstate._records import Selection
from runstate.journal import Journal

from ..moves import ILLEGAL, LEGAL, pair_id
from ..stores import Store
from .entries import EVIDENCE, OTHER_WORKER, created, life, lives, moved, phased, warned

ALL = Selection()
PENDING, STARTING, RUNNING = ExecutionState.PENDING, ExecutionState.STARTING, ExecutionState.RUNNING
COMPLETED, FAILED, CANCELLED = ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED


def entries_of(journal: Journal, selection: Selection = ALL) -> list[Entry]:
    """Read every entry that is selected, without its position."""
    return [event.entry for event in events_of(journal, selection)]


def events_of(journal: Journal, selection: Selection = ALL) -> Sequence[Event]:
    """Read every event that is selected."""
    return journal.read(0, 10_000, selection).events


def test_what_was_appended_is_read_back_unchanged(journal: Journal) -> None:
    """Entries of every kind come back equal, in order, with their execution's agent, thread and user."""
    batch = [
        created("x", agent="airline", thread_id="t-1", user_id="u-1", heartbeat_timeout=1.5, metadata_json=b'{"a":1}'),
        moved("x", 2, PENDING, RUNNING),
        phased("x", 3, Phase.TOOL_EXECUTION, detail="get_user"),
        phased("x", 4, Phase.THINKING, detail=""),
        phased("x", 5, Phase.THINKING),
        warned("x", 6, Cause.LOOP_BLOCKED, detail="in agent.py\n    time.sleep(60)"),
        warned("x", 7, Cause.NO_HEARTBEAT, detail=None),
        moved("x", 8, RUNNING, FAILED),
    ]
    journal.append(batch)
    events = events_of(journal)
    assert [event.entry for event in events] == batch
    assert [type(event.entry) for event in events] == [type(entry) for entry in batch]
    assert {(event.agent, event.thread_id, event.user_id) for event in events} == {("airline", "t-1", "u-1")}


def test_an_execution_is_what_its_entries_fold_to(journal: Journal) -> None:
    """A record carries the facts of creation, the newest state, phase, seq and time, and how it ended."""
    journal.append([created("x", metadata_json=b"{}"), moved("x", 2, PENDING, RUNNING), phased("x", 3, detail="deep")])
    (live,) = journal.executions(ALL, 10)
    assert (live.execution_id, live.state, live.seq, live.phase, live.phase_detail) == (
        "x", RUNNING, 3, Phase.THINKING, "deep",
    )  # fmt: skip
    assert (live.cause, live.evidence, live.error, live.result_json, live.metadata_json) == (
        None,
        None,
        None,
        None,
        b"{}",
    )
    end = moved("x", 4, RUNNING, COMPLETED)
    journal.append([end])
    (ended,) = journal.executions(ALL, 10)
    assert (ended.state, ended.seq, ended.updated_at_ns) == (COMPLETED, 4, end.at_ns)
    assert (ended.cause, ended.evidence, ended.error, ended.result) == (
        Cause.RETURNED,
        EVIDENCE,
        None,
        {"text": "done"},
    )
    assert (ended.phase, ended.phase_detail, ended.created_at_ns) == (live.phase, live.phase_detail, live.created_at_ns)


def test_appending_nothing_is_allowed(journal: Journal) -> None:
    """An empty batch stores nothing and is no error."""
    journal.append([])
    assert entries_of(journal) == []
    assert list(journal.executions(ALL, 10)) == []


@pytest.mark.parametrize("pair", LEGAL, ids=pair_id)
def test_a_legal_move_is_stored(journal: Journal, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Each of the 22 legal moves is stored."""
    source, target = pair
    log = life("x", source)
    journal.append([*log, moved("x", len(log) + 1, source, target)])
    (record,) = journal.executions(ALL, 10)
    assert (record.state, record.seq) == (target, len(log) + 1)


@pytest.mark.parametrize("pair", ILLEGAL, ids=pair_id)
def test_an_illegal_move_is_refused(journal: Journal, pair: tuple[ExecutionState, ExecutionState]) -> None:
    """Each of the 59 illegal moves is a conflict that names the execution, and nothing of it is stored."""
    source, target = pair
    log = life("x", source)
    journal.append(log)
    with pytest.raises(JournalConflictError) as caught:
        journal.append([moved("x", len(log) + 1, source, target)])
    assert caught.value.execution_ids == ("x",)
    assert entries_of(journal) == log


REFUSED: dict[str, list[Entry]] = {
    "a move of an execution that nobody created": [moved("y", 2, PENDING, RUNNING)],
    "a phase of an execution that nobody created": [phased("y", 2)],
    "a second creation": [created("x", agent="other")],
    "a creation that is not the first entry": [created("y", seq=2)],
    "a creation at zero": [created("y", seq=0)],
    "a seq that was used": [moved("x", 2, RUNNING, COMPLETED)],
    "a gap": [moved("x", 5, RUNNING, COMPLETED)],
    "a phase that was used": [phased("x", 3)],
    "a phase after a gap": [phased("x", 6)],
    "a phase in the place of the creation": [phased("y", 1)],
    "a move in the place of the creation": [moved("y", 1, PENDING, RUNNING)],
    "another source": [moved("x", 4, STARTING, FAILED)],
    "another worker's move": [moved("x", 4, RUNNING, COMPLETED, incarnation=OTHER_WORKER)],
    "another worker's phase": [phased("x", 4, incarnation=OTHER_WORKER)],
    "an end without a cause": [moved("x", 4, RUNNING, FAILED, cause=None)],
    "an end without evidence": [moved("x", 4, RUNNING, FAILED, evidence=None)],
    "an end with another state's cause": [moved("x", 4, RUNNING, FAILED, cause=Cause.RETURNED)],
    "a result of a failure": [moved("x", 4, RUNNING, FAILED, result_json=b"1")],
    "a cause of what is no end": [moved("x", 4, RUNNING, ExecutionState.COMPLETING, cause=Cause.REPORTED)],
    "evidence of what is no end": [moved("x", 4, RUNNING, ExecutionState.COMPLETING, evidence=EVIDENCE)],
    "an error of what is no end": [moved("x", 4, RUNNING, ExecutionState.COMPLETING, error="e")],
    "a result of what is no end": [moved("x", 4, RUNNING, ExecutionState.COMPLETING, result_json=b"1")],
    "a warning of an execution that nobody created": [warned("y", 2)],
    "a warning that was used": [warned("x", 3)],
    "a warning after a gap": [warned("x", 6)],
    "a warning in the place of the creation": [warned("y", 1)],
    "another worker's warning": [warned("x", 4, incarnation=OTHER_WORKER)],
    "a warning of what is no verdict": [warned("x", 4, Cause.RAISED)],
    "a warning of a deadline": [warned("x", 4, Cause.DEADLINE)],
}


@pytest.mark.parametrize("batch", REFUSED.values(), ids=REFUSED)
def test_what_does_not_continue_a_log_is_refused_and_the_rest_stored(journal: Journal, batch: list[Entry]) -> None:
    """Compare-and-set on (execution, seq, state, worker): the entry is refused by name, everybody else's is stored."""
    log = [created("x"), moved("x", 2, PENDING, RUNNING), phased("x", 3)]
    journal.append(log)
    before, after = life("before", RUNNING), life("after", COMPLETED)
    with pytest.raises(JournalConflictError) as caught:
        journal.append([*before, *batch, *after])
    assert caught.value.execution_ids == (batch[0].execution_id,)
    assert entries_of(journal) == [*log, *before, *after]
    end = moved("x", 4, RUNNING, COMPLETED)
    journal.append([end])
    assert entries_of(journal, Selection(execution_id="x")) == [*log, end]


def test_nothing_follows_an_end(journal: Journal) -> None:
    """After each terminal state neither a move nor a phase nor a warning is stored."""
    for state in (state for state in ExecutionState if state.is_terminal):
        log = life(state.value, state)
        journal.append(log)
        seq = len(log) + 1
        for late in (phased(state.value, seq), warned(state.value, seq), moved(state.value, seq, state, FAILED)):
            with pytest.raises(JournalConflictError):
                journal.append([late])
        assert entries_of(journal, Selection(execution_id=state.value)) == log


def test_the_rest_of_a_refused_log_is_refused_too(journal: Journal) -> None:
    """When one entry of an execution is refused, those that build on it are too, and it is named once."""
    journal.append([created("x")])
    with pytest.raises(JournalConflictError) as caught:
        journal.append(
            [moved("x", 2, RUNNING, COMPLETED), phased("x", 3), *life("y", FAILED), moved("z", 2, PENDING, RUNNING)]
        )
    assert caught.value.execution_ids == ("x", "z")
    assert "x" in str(caught.value)
    assert {record.execution_id: record.state for record in journal.executions(ALL, 10)} == {"x": PENDING, "y": FAILED}


def test_positions_grow_and_reading_resumes(journal: Journal) -> None:
    """Positions are positive and grow in the order of appending; reading after each gives exactly the rest."""
    journal.append(life("x", COMPLETED))
    journal.append(lives(["y", "z"], RUNNING))
    events = events_of(journal)
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    assert positions[0] > 0
    for read, position in enumerate(positions, start=1):
        page = journal.read(position, 100, ALL)
        assert list(page.events) == list(events)[read:]
        assert page.up_to == positions[-1]
    journal.append([moved("y", 3, RUNNING, FAILED)])
    (new,) = journal.read(positions[-1], 100, ALL).events
    assert new.position > positions[-1]


def test_a_page_says_where_to_read_on(journal: Journal) -> None:
    """A full page ends at its last event; one that is not full has seen everything, also what was not selected."""
    journal.append([*life("x", COMPLETED, agent="rare"), *life("y", COMPLETED)])
    positions = [event.position for event in events_of(journal)]
    first = journal.read(0, 2, Selection(agent="rare"))
    assert (len(first.events), first.up_to) == (2, positions[1])
    second = journal.read(first.up_to, 2, Selection(agent="rare"))
    assert (len(second.events), second.up_to) == (1, positions[-1])
    assert journal.read(second.up_to, 2, Selection(agent="rare")) == ([], positions[-1])
    assert journal.read(0, 5, Selection(agent="nobody")) == ([], positions[-1])


def test_pages_together_are_the_whole(journal: Journal) -> None:
    """Whatever the page size, reading page by page gives every selected event once."""
    journal.append(lives([f"x{number}" for number in range(7)], COMPLETED))
    whole = list(events_of(journal))
    for size in (1, 2, 3, 20, 21, 22, 1_000):
        read: list[Event] = []
        after = 0
        while (page := journal.read(after, size, ALL)).events:
            assert len(page.events) <= size
            read += page.events
            after = page.up_to
        assert read == whole


def test_executions_come_newest_first(journal: Journal) -> None:
    """Executions are read in the reverse order of their creation, however they moved since, and at most *limit*."""
    names = [f"x{number}" for number in range(5)]
    journal.append([created(name) for name in names])
    journal.append([moved("x0", 2, PENDING, RUNNING), moved("x3", 2, PENDING, FAILED)])
    assert [record.execution_id for record in journal.executions(ALL, 10)] == names[::-1]
    assert [record.execution_id for record in journal.executions(ALL, 2)] == ["x4", "x3"]
    assert [record.execution_id for record in journal.executions(Selection(state=PENDING), 2)] == ["x4", "x2"]


def test_every_field_of_a_selection_must_match(journal: Journal) -> None:
    """Each filter alone, and all of them together, give exactly the matching executions and events."""
    journal.append(life("a", RUNNING, agent="one", thread_id="t1", user_id="u1"))
    journal.append(life("b", COMPLETED, agent="one", thread_id="t2", user_id="u1"))
    journal.append(life("c", RUNNING, agent="two", thread_id="t2", user_id="u2"))
    expected = {
        Selection(execution_id="b"): "b",
        Selection(agent="one"): "ba",
        Selection(thread_id="t2"): "cb",
        Selection(user_id="u1"): "ba",
        Selection(state=RUNNING): "ca",
        Selection(agent="one", thread_id="t2"): "b",
        Selection(agent="one", state=RUNNING): "a",
        Selection(execution_id="a", agent="one", thread_id="t1", user_id="u1", state=RUNNING): "a",
        Selection(execution_id="a", agent="two"): "",
        Selection(execution_id="a", state=COMPLETED): "",
        Selection(agent="One"): "",
        Selection(agent="' OR 1=1 --"): "",
        Selection(execution_id="d"): "",
    }
    for selection, names in expected.items():
        assert "".join(record.execution_id for record in journal.executions(selection, 10)) == names
        if selection.state is None:
            assert {entry.execution_id for entry in entries_of(journal, selection)} == set(names)


def test_a_state_is_ignored_where_events_are_selected(journal: Journal) -> None:
    """Events do not depend on the state that their execution is in now."""
    log = life("a", COMPLETED)
    journal.append(log)
    assert entries_of(journal, Selection(execution_id="a", state=PENDING)) == log


TEXTS = [
    "plain",
    "ünïcödé",
    "中文 🎈 \U0001f469‍👩‍👧",
    "quotes ' \" ` ; -- %s {x}",
    "\t\n\r\x01\x7f",
    "x" * 1_024,
    "  spaces  ",
    "NULL",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives(store: Store, text: str) -> None:
    """Names, details, errors and JSON of any valid Unicode come back unchanged, also from a reopened journal."""
    encoded = json.dumps({text: text}, ensure_ascii=False).encode()
    evidence = EVIDENCE._replace(reason=text, last_phase_detail=text, stack=text, observer=text)
    log = [
        created(text, agent=text, thread_id=text, user_id=text, incarnation=text, metadata_json=encoded),
        moved(text, 2, PENDING, RUNNING, incarnation=text),
        phased(text, 3, detail=text, incarnation=text),
        warned(text, 4, detail=text, incarnation=text),
        moved(text, 5, RUNNING, FAILED, incarnation=text, error=text, evidence=evidence),
    ]
    journal = store.journal()
    journal.append(log)
    journal.append(
        [created("y"), moved("y", 2, PENDING, RUNNING), moved("y", 3, RUNNING, COMPLETED, result_json=encoded)]
    )
    journal.close()
    journal = store.journal()
    try:
        assert entries_of(journal, Selection(execution_id=text)) == log
        (record,) = journal.executions(Selection(agent=text, thread_id=text, user_id=text), 10)
        assert (record.error, record.metadata, record.incarnation) == (text, {text: text}, text)
        assert journal.executions(Selection(execution_id="y"), 1)[0].result == {text: text}
    finally:
        journal.close()


def test_big_payloads_survive(journal: Journal) -> None:
    """Results and metadata of many megabytes, and an error text of one, come back byte by byte."""
    big = json.dumps("🎈x" * 800_000, ensure_ascii=False).encode()
    log = [
        created("x", metadata_json=big),
        moved("x", 2, PENDING, RUNNING),
        moved("x", 3, RUNNING, COMPLETED, result_json=big),
        *life("y", RUNNING),
        moved("y", 3, RUNNING, FAILED, error="e" * 1_000_000),
    ]
    journal.append(log)
    assert entries_of(journal) == log
    assert journal.executions(Selection(execution_id="x"), 1)[0].result_json == big


def test_limits_and_times_keep_their_precision(journal: Journal) -> None:
    """Nanoseconds and fractions of seconds come back exactly."""
    log = [
        created("x", at_ns=1_800_000_000_123_456_789, timeout=0.1 + 0.2, heartbeat_timeout=1e-9),
        moved("x", 2, PENDING, RUNNING, at_ns=2**62 + 1),
        moved("x", 3, RUNNING, FAILED, at_ns=2**63 - 1, evidence=EVIDENCE._replace(last_beat_age=1 / 3, beats=2**40)),
        created("y", at_ns=0, timeout=None),
    ]
    journal.append(log)
    assert entries_of(journal) == log


def test_a_closed_journal_can_still_be_read(store: Store) -> None:
    """Reading after `close` gives what was stored, as often as one likes, and so does opening again."""
    journal = store.journal()
    log = life("x", COMPLETED)
    journal.append(log)
    journal.close()
    for _ in range(2):
        assert entries_of(journal) == log
        assert [record.execution_id for record in journal.executions(ALL, 10)] == ["x"]
    again = store.journal()
    assert entries_of(again) == log
    again.append([created("y")])
    again.close()


def test_readers_see_whole_batches_only(journal: Journal) -> None:
    """While one thread appends, readers see each batch whole or not at all, in order, and never a gap."""
    batches = 60
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        seen: list[Event] = []
        after = 0
        while True:
            last_look = done.is_set()
            page = journal.read(after, 10_000, ALL)
            seen += page.events
            after = page.up_to
            if len(page.events) % 3:
                failures.append(f"half a batch: {page.events!r}")
            records = journal.executions(ALL, 5)
            failures.extend(repr(record) for record in records if (record.state, record.seq) != (CANCELLED, 3))
            if last_look:
                break
        names = [event.entry.execution_id for event in seen]
        if names != [f"x{number}" for number in range(batches) for _ in range(3)]:
            failures.append(f"wrong order: {names!r}")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(batches):
            name = f"x{number}"
            journal.append([created(name), phased(name, 2), moved(name, 3, PENDING, CANCELLED)])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert failures == []
