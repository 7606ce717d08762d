"""`diagnose` on SQLite files: real processes that hold real locks, and files that cannot be looked at."""

from __future__ import annotations

import os
import pwd
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import (
    ExecutionState,
    ExecutionTracker,
    InvalidValueError,
    JournalCorruptError,
    JournalUnavailableError,
    JournalVersionError,
    RecordDecodeError,
    StateTypeError,
    diagnose,
    verify,
)
from runstate._doctor import _file, _holders
from runstate.journal.sqlite import SqliteJournal

from ..fleet.processes import Other
from ..forging import forge, small_journal
from ..journal.entries import WORKER, life
from ..journal.servers import wait_until
from .wards import OK, PROBLEM, WARNING, ago, amiss, program, the

CONNECT = "import sqlite3\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "runs.db"


def begin(tracker: ExecutionTracker) -> None:
    """Write something."""
    tracker.create(agent="a", thread_id="t", user_id="u")
    tracker.flush()


def test_who_holds_the_write_lock_is_named(path: Path) -> None:
    """Another program that holds the write lock and commits nothing is a problem, with its pid; a worker at work is none."""
    with runstate.open(path) as tracker:
        begin(tracker)
        with program(CONNECT + "c.execute('BEGIN IMMEDIATE')", str(path)) as holder:
            one = the(path)
            assert (one.severity, one.topic) == (PROBLEM, "lock")
            assert f"process {holder.pid} (python" in one.found
        assert amiss(path) == []


def test_silence_under_a_lock_is_no_workers_fault(path: Path) -> None:
    """While somebody keeps renewals out, a lease that runs out is a warning that says so, and accuses nobody of standing still."""
    other = Other(str(path), lease=0.2)
    try:
        left = other.ask("begin", 1)
        with program(CONNECT + "c.execute('BEGIN IMMEDIATE')", str(path)) as holder:
            wait_until(lambda: amiss(path, "worker"))
            lock, silent = amiss(path)
            assert (lock.severity, lock.topic) == (PROBLEM, "lock")
            assert "has held the write lock for at least 1 s" in lock.found
            assert (silent.severity, silent.topic, silent.execution_ids) == (WARNING, "worker", tuple(left))
            assert f"while process {holder.pid} (python" in silent.found
            assert "stands still" not in silent.found
            assert "swapped" not in str(silent.advice)
        wait_until(lambda: not amiss(path))
    finally:
        other.end()


def test_an_end_that_a_lock_keeps_out_is_no_owners_fault(path: Path) -> None:
    """While somebody keeps ends out, an execution past its limit and a request that waits are warnings that say so."""
    journal = SqliteJournal(path)
    journal.vigil(WORKER)
    journal.join(WORKER, 60.0)
    journal.append(life("late", ExecutionState.RUNNING, at_ns=ago(100)))
    journal.request_cancel("late", "a user")
    forge(path, "UPDATE workers SET started_at_ns = started_at_ns - 200000000000",
          "UPDATE requests SET asked_at_ns = asked_at_ns - 60000000000")  # fmt: skip
    assert {one.severity for one in amiss(path, "execution", "request")} == {PROBLEM}
    with program(CONNECT + "c.execute('BEGIN IMMEDIATE')", str(path)) as holder:
        found = amiss(path, "execution", "request")
        assert [one.severity for one in found] == [WARNING, WARNING]
        assert all(f"while process {holder.pid} (python) holds the write lock" in one.found for one in found)
    journal.close()


BUSY = """
import sqlite3, threading, time
def work():
    c = sqlite3.connect(sys.argv[1], isolation_level=None)
    c.execute("CREATE TABLE t (x)")
    while True:
        c.execute("BEGIN IMMEDIATE")
        c.execute("INSERT INTO t VALUES (1)")
        time.sleep(0.1)
        c.execute("COMMIT")
threading.Thread(target=work, daemon=True).start()
"""


def test_a_lock_that_is_let_go_of_is_nobodys_fault(path: Path) -> None:
    """A program that takes the write lock again and again, and commits each time, holds on to nothing."""
    small_journal(path)
    with program(BUSY, str(path)):
        wait_until(lambda: any(lock.writes for lock in _holders.locks(path.with_name("runs.db-shm")) or ()))
        assert amiss(path, "lock") == []


def test_who_reads_an_old_state_is_named(path: Path) -> None:
    """A program that has been reading since before the newest commit holds the WAL back: a warning, with its pid and how far."""
    with runstate.open(path) as tracker:
        begin(tracker)
        with program(
            CONNECT + "c.execute('BEGIN'); c.execute('SELECT * FROM entries').fetchall()", str(path)
        ) as reader:
            assert amiss(path) == []
            begin(tracker)
            one = the(path)
            assert (one.severity, one.topic) == (WARNING, "lock")
            assert f"process {reader.pid} (python" in one.found
            assert "behind" in one.found
        assert amiss(path) == []


def test_who_locks_everybody_out_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read because it is locked is an error that says who locks it."""
    monkeypatch.setattr(_file, "BUSY_TIMEOUT", 0.1)
    small_journal(path)
    code = CONNECT + "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE')"
    code += "; c.execute('CREATE TABLE t (x)'); c.execute('COMMIT')"
    with (
        program(code, str(path)) as holder,
        pytest.raises(JournalUnavailableError, match=f"locked by process {holder.pid}"),
    ):
        diagnose(path)


def test_who_writes_into_a_deleted_file_is_named(path: Path) -> None:
    """A process whose WAL was deleted under it is a problem: nobody sees what it commits."""
    with program("import runstate\nt = runstate.open(sys.argv[1])", str(path)) as process:
        path.with_name("runs.db-wal").unlink()
        assert any(
            one.severity is PROBLEM and f"process {process.pid}" in one.found and "deleted" in one.found
            for one in amiss(path, "lock")
        )


@pytest.mark.parametrize("look", [diagnose, verify])
def test_looking_takes_no_lock_away(path: Path, look: Callable[[Path], object]) -> None:
    """Looking at a journal in the process that has it open leaves SQLite's locks as they were: else another would delete the WAL."""
    with runstate.open(path) as tracker:
        begin(tracker)
        before = _holders.locks(path)
        assert before is not None
        assert os.getpid() in {lock.pid for lock in before}
        look(path)
        assert _holders.locks(path) == before


def test_looking_changes_nothing(path: Path) -> None:
    """A closed journal is the same afterwards, byte for byte, and nothing lies beside it."""
    small_journal(path)
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())
    diagnose(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before


def test_a_wal_that_a_crash_left_is_only_looked_at(path: Path) -> None:
    """What a killed process left is neither taken in nor removed, and its size is told."""
    with program("import runstate\nt = runstate.open(sys.argv[1])\nt.create(agent='a', thread_id='t', user_id='u')\nt.flush()", str(path)) as process:  # fmt: skip
        process.send_signal(signal.SIGKILL)
        process.wait()
        wal = path.with_name("runs.db-wal").read_bytes()
        assert wal
        found = diagnose(f"sqlite:///{path}")
        assert path.with_name("runs.db-wal").read_bytes() == wal
    assert f"the WAL {len(wal):,} bytes" in next(one for one in found if one.topic == "size").found
    assert [one.topic for one in found if one.severity is PROBLEM] == ["worker"]


@pytest.mark.parametrize(("size", "severity"), [(1 << 20, OK), (200 << 20, WARNING), (2 << 30, PROBLEM)])
def test_a_large_wal_is_named(path: Path, size: int, severity: runstate.Severity) -> None:
    """A WAL of more than twice its limit is a warning, one that fills disks a problem."""
    with runstate.open(path) as tracker:
        begin(tracker)
        wal = path.with_name("runs.db-wal")
        was = wal.stat().st_size
        os.truncate(wal, size)  # a hole: it takes no room, and SQLite reads no further than its frames
        (one,) = [one for one in diagnose(path) if one.topic == "size"]
        os.truncate(wal, was)
        assert one.severity is severity


@pytest.mark.parametrize(("limit", "severity"), [("FULL", PROBLEM), ("SCARCE", WARNING)])
def test_a_disk_without_room_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, severity: runstate.Severity
) -> None:
    """Less room on the disk than a journal needs to go on is a problem, less than its WAL may grow to a warning; both say what to do."""
    small_journal(path)
    assert amiss(path, "size") == []
    monkeypatch.setattr(_file, "SCARCE", 1 << 62)
    monkeypatch.setattr(_file, limit, 1 << 62)
    one = the(path, "size")
    assert one.severity is severity
    assert "left on the disk" in one.found
    assert "make room" in str(one.advice)


def test_no_right_to_the_workers_folder_is_said() -> None:
    """Where another user's folder of workers may not be looked into, that is a warning, and the rest is looked at, workers too."""
    with tempfile.TemporaryDirectory(
        dir="/tmp"
    ) as directory:  # which every user can reach, unlike the tests' own folder
        Path(directory).chmod(0o755)
        path = Path(directory) / "runs.db"
        with runstate.open(path) as tracker:
            begin(tracker)
            assert amiss(path) == []
            folder = Path(f"{path}-workers")
            folder.chmod(0)
            user = os.geteuid()
            try:
                if user == 0:  # whom nothing is forbidden
                    os.seteuid(pwd.getpwnam("nobody").pw_uid)
                one = the(path)
                with runstate.open(path, read_only=True) as reader:
                    assert [worker.gone for worker in reader.workers()] == [None]
            finally:
                os.seteuid(user)
                folder.chmod(0o700)
    assert (one.severity, one.topic) == (WARNING, "rights")


def test_a_kernel_that_does_not_tell_is_no_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody lists locks it is a warning that they cannot be seen."""
    with runstate.open(path):
        monkeypatch.setattr(_holders, "LOCKS", "/nowhere")
        one = the(path)
    assert (one.severity, one.topic) == (WARNING, "lock")


def missing(path: Path) -> None:
    """Leave nothing there."""
    path.unlink()


def text(path: Path) -> None:
    """Put something else there."""
    path.write_text("no journal\n" * 100)


def directory(path: Path) -> None:
    """Put a directory there."""
    path.unlink()
    path.mkdir()


def newer(path: Path) -> None:
    """Let a newer version have written it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def stranger(path: Path) -> None:
    """Put another program's database there."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def undecodable(path: Path) -> None:
    """Forge a worker."""
    forge(path, "UPDATE workers SET gone_at_ns = NULL, gone_position = NULL, host = 'h', pid = 0, started_at_ns = 1, boot_id = '', "
          "lease = 10.0, renewed_at_ns = 1")  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (missing, JournalUnavailableError, "does not exist"),
        (directory, JournalUnavailableError, "no regular file"),
        (text, JournalCorruptError, "not a database"),
        (stranger, JournalCorruptError, "no runstate journal"),
        (newer, JournalVersionError, "upgrade runstate"),
        (undecodable, RecordDecodeError, "pid"),
    ],
)
def test_what_cannot_be_looked_at_is_the_usual_error(
    path: Path, damage: Callable[[Path], None], error: type[Exception], says: str
) -> None:
    """A journal that is not there, damaged, or another's is an error that says so."""
    small_journal(path)
    damage(path)
    with pytest.raises(error, match=says):
        diagnose(path)


@pytest.mark.parametrize(
    ("place", "error"),
    [("memory:", InvalidValueError), ("", InvalidValueError), ("mysql://x", InvalidValueError), (3, StateTypeError)],
)
def test_what_is_no_place_is_refused(place: Any, error: type[Exception]) -> None:
    """What names no file and no database is refused."""
    with pytest.raises(error):
        diagnose(place)
