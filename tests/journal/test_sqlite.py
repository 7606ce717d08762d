"""What is special about the SQLite journal: files that are no journals, versions, read-only opening, several openings."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import runstate
from runstate import (
    Entry,
    ExecutionState,
    ExecutionTracker,
    FencedError,
    InvalidValueError,
    JournalCorruptError,
    JournalError,
    JournalUnavailableError,
    JournalVersionError,
    Limits,
    NotOwnerError,
    RecordDecodeError,
    RunstateError,
)
from runstate._records import Selection
from runstate.journal import _sql
from runstate.journal._rules import parameters
from runstate.journal.sqlite import SqliteJournal

from ..clock import FakeClock
from ..forging import forge, ids, rewrite_schema, small_journal
from ..moves import bring_to, create
from .entries import life, lives, moved, phased

ALL = Selection()
RUNNING, COMPLETED, FAILED = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.FAILED


def write_raw(path: Path, *statements: str) -> None:
    """Run statements on a file as any program could."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_everything_is_there_after_reopening(tmp_path: Path, clock: FakeClock) -> None:
    """Reopening a file gives back every execution and its whole history, field by field."""
    path = tmp_path / "runs.db"
    with ExecutionTracker(SqliteJournal(path), clock=clock) as tracker:
        for state in ExecutionState:
            bring_to(tracker, state, agent=state.value, metadata={"state": state.value}, heartbeat_timeout=5)
        tracker.flush()
        live = tracker.find(state=RUNNING)
        assert len(live) == 1
    with ExecutionTracker(SqliteJournal(path), clock=clock) as tracker:
        first = tracker.find()
        timelines = [tracker.timeline(record.execution_id) for record in first]
    with ExecutionTracker(SqliteJournal(path), clock=clock) as tracker:
        assert tracker.find() == first
        assert [tracker.timeline(record.execution_id) for record in first] == timelines
    assert {record.agent for record in first} == {state.value for state in ExecutionState}
    assert all(record.is_terminal for record in first)


@pytest.mark.parametrize("version", [_sql.SCHEMA_VERSION + 1, 2**31 - 1, 0])
def test_another_version_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    """A schema version that this runstate does not know is JournalVersionError with both versions; the file is not touched."""
    path = tmp_path / "runs.db"
    SqliteJournal(path).close()
    write_raw(path, f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(JournalVersionError) as caught:
            runstate.open(path, read_only=read_only)
        assert (caught.value.found, caught.value.supported) == (version, _sql.SCHEMA_VERSION)
        assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def foreign_database(path: Path) -> None:
    """Make an SQLite file of somebody else's."""
    write_raw(path, "CREATE TABLE customers (name TEXT)", "INSERT INTO customers VALUES ('Ada')")


def foreign_text(path: Path) -> None:
    """Make a file that is no database."""
    path.write_text("dear diary, " * 1_000)


@pytest.mark.parametrize("make", [foreign_database, foreign_text])
def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A foreign database and a text file are JournalCorruptError with the path, and stay byte for byte."""
    path = tmp_path / "theirs.db"
    make(path)
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(JournalCorruptError, match=r"theirs\.db"):
            runstate.open(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_journal_is_refused(tmp_path: Path, read_only: bool) -> None:
    """A journal whose pages are noise is JournalCorruptError, at the latest when it is looked at, and is not made worse."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        for _ in range(50):
            bring_to(tracker, COMPLETED)
    content = path.read_bytes()
    damaged = content[:100] + b"\xa5" * (len(content) - 100)
    path.write_bytes(damaged)

    def look() -> None:
        with runstate.open(path, read_only=read_only) as tracker:
            tracker.find()

    with pytest.raises(JournalCorruptError, match=r"runs\.db"):
        look()
    assert path.read_bytes() == damaged


def test_a_copy_by_vacuum_is_a_journal_again(tmp_path: Path) -> None:
    """A copy made by VACUUM INTO, which SQLite leaves without its WAL mode, has it again once it is opened for writing."""
    copy = tmp_path / "copy.db"
    write_raw(small_journal(tmp_path / "runs.db"), f"VACUUM INTO '{copy}'")
    SqliteJournal(copy).close()
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert runstate.verify(copy) == ()


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    """A file of no bytes, as `touch` or `mkstemp` makes it, is as good as none."""
    path = tmp_path / "empty.db"
    path.touch()
    with runstate.open(path) as tracker:
        create(tracker).cancel()
    with runstate.open(path) as tracker:
        assert len(tracker.find()) == 1


def test_a_read_only_journal_is_read_and_nothing_else(tmp_path: Path) -> None:
    """Opened read-only, everything can be read, every write is refused, and the file stays byte for byte."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        ended = bring_to(tracker, COMPLETED)
    before = path.read_bytes()
    with runstate.open(path, read_only=True) as tracker:
        assert tracker.get(ended.execution_id).result == {"text": "done"}
        assert len(tracker.timeline(ended.execution_id)) == 3
        with pytest.raises(RunstateError):
            create(tracker)
        with pytest.raises(RunstateError):
            tracker.update_execution_state(ended.execution_id, FAILED)
    journal = SqliteJournal(path, read_only=True)
    with pytest.raises(JournalUnavailableError, match="read-only"):
        journal.append(life("x", RUNNING))
    journal.close()
    assert path.read_bytes() == before


def test_a_missing_file_is_not_made_by_reading(tmp_path: Path) -> None:
    """Opening read-only what is not there is JournalUnavailableError, and makes no file."""
    with pytest.raises(JournalUnavailableError, match="does not exist"):
        runstate.open(tmp_path / "missing.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["postgres://host/db", "http://host", "file:///x", "://", "sqlite:///", "mysql:///x"])
def test_an_unknown_url_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A scheme that is not known, or a path that is none, is refused and makes no file."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InvalidValueError, JournalUnavailableError)):
        runstate.open(url)
    assert list(tmp_path.iterdir()) == []


def test_urls_and_paths_lead_to_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a str, and `sqlite:///` with a relative or an absolute path, also with odd characters, mean that file."""
    monkeypatch.chdir(tmp_path)
    name = "my runs?#%20ü.db"
    for count, url in enumerate((tmp_path / name, name, f"sqlite:///{name}", f"sqlite:///{tmp_path / name}"), start=1):
        with runstate.open(url) as tracker:
            create(tracker).cancel()
            assert len(tracker.find()) == count
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_directory_is_no_journal(tmp_path: Path) -> None:
    """A directory, and a file below a directory that is not there, are JournalUnavailableError."""
    for path in (tmp_path, tmp_path / "no" / "such" / "runs.db"):
        with pytest.raises(JournalUnavailableError):
            runstate.open(path)
    assert list(tmp_path.iterdir()) == []


def test_two_openings_share_one_file(tmp_path: Path, clock: FakeClock) -> None:
    """Each tracker sees the other's executions, may not move them while they live, and is told how they ended."""
    path = tmp_path / "runs.db"
    with (
        ExecutionTracker(SqliteJournal(path), clock=clock) as one,
        ExecutionTracker(SqliteJournal(path), clock=clock) as other,
    ):
        running = bring_to(one, RUNNING)
        one.flush()
        assert other.get(running.execution_id).state is RUNNING
        for call in (
            lambda: other.update_execution_state(running.execution_id, FAILED),
            lambda: other.handle(running.execution_id),
        ):
            with pytest.raises(NotOwnerError) as caught:
                call()
            assert caught.value.owner == running.record.incarnation
        running.complete()
        one.flush()
        with pytest.raises(FencedError):
            other.handle(running.execution_id)
        assert other.find() == one.find()


def test_two_openings_write_side_by_side(tmp_path: Path) -> None:
    """Two openings of one file append at the same time: every batch of both is stored whole, in each one's order."""
    path = tmp_path / "runs.db"
    journals = [SqliteJournal(path), SqliteJournal(path)]
    failures: list[Exception] = []

    def write(side: int) -> None:
        try:
            for number in range(30):
                journals[side].append(life(f"{side}-{number}", COMPLETED, incarnation=f"w{side}"))
        except JournalError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(side,)) for side in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    events = journals[0].read(0, 1_000, ALL).events
    for side in range(2):
        mine = [event.entry for event in events if event.entry.execution_id.startswith(f"{side}-")]
        assert mine == lives([f"{side}-{number}" for number in range(30)], COMPLETED, incarnation=f"w{side}")
    for journal in journals:
        journal.close()


def test_of_two_writers_of_one_log_the_first_wins(tmp_path: Path) -> None:
    """Compare-and-set holds between connections: the second writer of a seq is refused and the first one's entry stays."""
    path = tmp_path / "runs.db"
    one, other = SqliteJournal(path), SqliteJournal(path)
    one.append(life("x", RUNNING))
    end = moved("x", 3, RUNNING, COMPLETED)
    other.append([end])
    with pytest.raises(JournalError):
        one.append([moved("x", 3, RUNNING, FAILED)])
    (record,) = one.executions(ALL, 1)
    assert (record.state, record.seq) == (COMPLETED, 3)
    for journal in (one, other):
        journal.close()


@pytest.mark.parametrize(
    "evidence",
    [
        "",
        "nonsense",
        "{}",
        '{"observer": 5}',
        '{"observer": "x", "beats": -1}',
        '{"observer": "x", "more": 1}',
        "[]",
        "null",
    ],
)
def test_a_row_that_is_no_record_is_refused_whole(tmp_path: Path, evidence: str) -> None:
    """Evidence that another program has written wrongly is RecordDecodeError, never a default, and spoils no other record."""
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    journal.append(life("x", RUNNING))
    write_raw(
        path,
        "INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json) "
        f"VALUES (1, 3, 5, 1, 'running', 'failed', 'raised', '{evidence}')",
    )
    journal.append(life("y", COMPLETED))
    with pytest.raises(RecordDecodeError):
        journal.executions(Selection(execution_id="x"), 1)
    with pytest.raises(RecordDecodeError):
        journal.read(0, 100, Selection(execution_id="x"))
    assert journal.executions(Selection(execution_id="y"), 1)[0].state is COMPLETED
    journal.close()


@pytest.mark.parametrize("column", ["agent", "thread_id", "user_id"])
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, column: str) -> None:
    """A name that damage has made bytes is RecordDecodeError, for every kind of entry, never text that looks like bytes."""
    path = small_journal(tmp_path / "runs.db")
    rewrite_schema(path, "UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'executions'")
    forge(path, f"UPDATE executions SET {column} = x'00ff' WHERE number = 1")
    journal = SqliteJournal(path)
    assert [event.entry.seq for event in journal.read(0, 10, Selection(execution_id="live")).events] == [1, 2]
    damaged = ids(path)[0]
    for position in range(5):
        with pytest.raises(RecordDecodeError, match=column):
            journal.read(position, 1, Selection(execution_id=damaged))
    journal.close()


def test_what_lives_is_found_by_its_index(tmp_path: Path) -> None:
    """Looking for a live state reads the few executions that live, not the million that have ended."""
    journal = SqliteJournal(tmp_path / "runs.db")
    with contextlib.closing(sqlite3.connect(journal.path)) as connection:
        for state in ExecutionState:
            selection = Selection(state=state)
            query = f"EXPLAIN QUERY PLAN {_sql.read_executions(selection)}"
            steps = [step for *_, step in connection.execute(query, {**parameters(selection), "limit": 10})]
            assert any("executions_live" in step for step in steps) is not state.is_terminal
            assert not any("TEMP B-TREE" in step for step in steps)
    journal.close()


def test_a_file_without_its_log_is_a_journal(tmp_path: Path) -> None:
    """A file that was moved while it was open, and left its write-ahead log behind, is an empty journal, not a foreign file."""
    journal = SqliteJournal(tmp_path / "runs.db")
    journal.append(life("x", COMPLETED))
    moved_to = tmp_path / "moved.db"
    moved_to.write_bytes(journal.path.read_bytes())
    assert runstate.verify(moved_to) == ()
    with runstate.open(moved_to) as tracker:
        assert tracker.find() == ()
        create(tracker).cancel()
    journal.close()


def test_a_file_that_is_replaced_before_the_first_write(tmp_path: Path) -> None:
    """What stands at the path is compared with what was opened, so not even the first append goes into a file that is gone."""
    journal = SqliteJournal(tmp_path / "runs.db")
    journal.path.rename(tmp_path / "moved.db")
    other = SqliteJournal(journal.path)
    with pytest.raises(JournalUnavailableError, match="moved or replaced"):
        journal.append(life("x", COMPLETED))
    other.close()
    journal.close()


def test_a_write_is_flushed_to_the_disk(tmp_path: Path) -> None:
    """The connection that writes runs with synchronous FULL, so a commit survives a power cut."""
    journal = SqliteJournal(tmp_path / "runs.db")
    assert journal._writer is not None
    assert journal._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_closing_leaves_one_file(tmp_path: Path) -> None:
    """After `close` the write-ahead log has been merged and only the journal itself is left, also when read again."""
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path)
    journal.append(life("x", COMPLETED))
    assert (tmp_path / "runs.db-wal").exists()
    journal.close()
    assert [file.name for file in tmp_path.iterdir()] == ["runs.db"]
    assert len(journal.read(0, 10, ALL).events) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["runs.db"]


def test_one_end_too_many_goes_with_the_batch_that_brings_it(tmp_path: Path) -> None:
    """What retention no longer keeps by count is gone at once, also when the last look was a moment ago."""
    journal = SqliteJournal(tmp_path / "runs.db", Limits(retained_executions=1))
    journal.append(life("a", COMPLETED))
    journal.append(life("b", RUNNING))
    assert {record.execution_id for record in journal.executions(ALL, 10)} == {"a", "b"}
    journal.append([moved("b", 3, RUNNING, FAILED)])
    assert {record.execution_id for record in journal.executions(ALL, 10)} == {"b"}
    journal.close()


def test_what_could_be_undone_goes_to_no_file(tmp_path: Path) -> None:
    """Large batches write little more than what they store: what a statement may have to undo is kept in memory."""
    path, written = tmp_path / "runs.db", Path("/proc/self/io")
    journal = SqliteJournal(path)
    begin = int(written.read_text().split("wchar: ")[1].split()[0])
    for first in range(0, 3_000, 300):
        batch: list[Entry] = []
        for name in (f"x{number}" for number in range(first, first + 300)):
            batch += [*life(name, RUNNING), *(phased(name, seq) for seq in range(3, 13))]
            batch.append(moved(name, 13, RUNNING, COMPLETED))
        journal.append(batch)
    journal.close()
    assert int(written.read_text().split("wchar: ")[1].split()[0]) - begin < 10 * path.stat().st_size
