"""A file of schema version 1 becomes one of version 2: whole or not at all, alone, and the same as a new one."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import runstate
from runstate import Cause, ExecutionState, JournalUnavailableError, JournalVersionError
from runstate._burial import bury
from runstate._fleet import WorkerState
from runstate._records import Selection
from runstate.journal import _sql
from runstate.journal._sqlite_file import UPGRADED
from runstate.journal.sqlite import SqliteJournal

from ..clock import FakeClock
from ..soundness import findings
from .doubles import in_threads
from .entries import OTHER_WORKER, created, warned
from .fleets import found

RUNNING, COMPLETED, DEAD = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.DEAD
SETTLED, LOST = "host:1:settled", "host:2:lost"
ROWS = (
    f"INSERT INTO workers VALUES (1, '{SETTLED}'), (2, '{LOST}')",
    *(
        "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns)"
        f" VALUES ('{name}', 'a', 't', 'u', {worker}, 5, 5)"
        for name, worker in (("done", 1), ("one", 2), ("two", 2), ("over", 2))
    ),
    *(f"INSERT INTO entries (number, seq, at_ns, worker, target) VALUES ({n}, 1, 5, {1 + (n > 1)}, 'pending')" for n in range(1, 5)),
    *(
        "INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json)"
        f" VALUES ({number}, 2, 6, {worker}, 'pending', 'failed', 'raised', '{{\"observer\":\"owner\"}}')"
        for number, worker in ((1, 1), (4, 2))
    ),
)  # fmt: skip
"""Of worker 1, one that has ended; of worker 2, two that live and one that has ended."""


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A file as version 1 has left it."""
    path = tmp_path / "former.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_sql.VERSION_1)
        for statement in ROWS:
            connection.execute(statement)
    return path


def schema(path: Path) -> list[tuple[str, ...]]:
    """What is in a file, as the file says it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2").fetchall()


def version(path: Path) -> int:
    """The schema version of a file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return number


def test_version_1_stays_what_it_was() -> None:
    """The script of version 1 makes what files of that version hold; what has to change comes with a new version."""
    digest = hashlib.sha256(_sql.VERSION_1.encode()).hexdigest()
    assert digest == "d001c8426f4281bcd8d736d0e69160e683e3abac5305be87afd286c5fedd80db"


def test_an_upgraded_file_is_the_same_as_a_new_one(former: Path, tmp_path: Path) -> None:
    """After opening it for writing the file has version 2, the schema of a new file to the letter, and nothing wrong with it."""
    SqliteJournal(former).close()
    SqliteJournal(tmp_path / "new.db").close()
    assert version(former) == _sql.SCHEMA_VERSION == 2
    assert schema(former) == schema(tmp_path / "new.db")
    assert findings(former) == []


def test_the_workers_of_version_1_are_gone(former: Path, clock: FakeClock) -> None:
    """Whoever had left something live is fenced, by the upgrade and for its reason, and the others have left; nothing else changes."""
    before = SqliteJournal(former, clock=clock)
    assert found(before, SETTLED).state is WorkerState.LEFT
    lost = found(before, LOST)
    assert (lost.live, lost.lease) == (2, None)
    assert lost.fence is not None
    assert lost.fence[:2] == (UPGRADED, Cause.PROCESS_EXITED)
    assert lost.fence.reason is not None
    assert "nobody had the journal open" in lost.fence.reason
    assert lost.fence.at_ns == clock.time_ns()
    assert [worker.incarnation for worker in before.workers()] == [LOST]
    assert [event.position for event in before.read(0, 100, Selection()).events] == list(range(1, 7))
    buried = bury(before, LOST, OTHER_WORKER, Cause.REPORTED, None, clock)
    assert [(end.execution_id, end.cause) for end in buried] == [
        ("one", Cause.PROCESS_EXITED),
        ("two", Cause.PROCESS_EXITED),
    ]
    before.close()
    assert findings(former) == []


def test_every_entry_stays_in_its_place(former: Path) -> None:
    """The upgrade copies each entry as it is, with its position, and no position is given twice, not even one that was pruned."""
    with contextlib.closing(sqlite3.connect(former, isolation_level=None)) as connection:
        for table in ("entries", "executions"):
            connection.execute(
                f"DELETE FROM {table} WHERE number IN (SELECT number FROM executions WHERE execution_id = 'over')"
            )
        before = connection.execute("SELECT * FROM entries ORDER BY position").fetchall()
    SqliteJournal(former).close()
    with contextlib.closing(sqlite3.connect(former)) as connection:
        assert connection.execute("SELECT * FROM entries ORDER BY position").fetchall() == before
        assert before[-1][0] == 5
        assert connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchall() == [(6,)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    journal = SqliteJournal(former)
    journal.append([created("new", at_ns=7), warned("new", 2, at_ns=8)])
    assert [event.position for event in journal.read(0, 100, Selection()).events] == [1, 2, 3, 5, 7, 8]
    journal.close()
    assert runstate.verify(former) == ()


def test_a_file_that_was_pruned_empty_keeps_its_counter(former: Path) -> None:
    """Where version 1 has left no entry, the first position of version 2 is still a new one."""
    with contextlib.closing(sqlite3.connect(former, isolation_level=None)) as connection:
        for number in (2, 3):
            connection.execute(
                "INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json)"
                f""" VALUES ({number}, 2, 6, 2, 'pending', 'failed', 'raised', '{{"observer":"owner"}}')"""
            )
        connection.execute("DELETE FROM entries")
        connection.execute("DELETE FROM executions")
    journal = SqliteJournal(former)
    journal.append([created("new")])
    assert [event.position for event in journal.read(0, 100, Selection()).events] == [9]
    journal.close()
    assert runstate.verify(former) == ()


def test_who_has_the_file_open_is_not_overrun(former: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While anybody else has the file open, even just to read, it is not upgraded, and the error says what to do."""
    monkeypatch.setattr("runstate.journal._sqlite_file.BUSY_TIMEOUT", 0.05)
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT 1 FROM meta').fetchone(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(former)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(
            JournalUnavailableError, match=r"version 1 and somebody else has it open; stop every process"
        ):
            runstate.open(former)
        other.communicate(b"\n")
    assert version(former) == 1
    SqliteJournal(former).close()
    assert version(former) == 2


def test_who_closes_the_file_in_time_is_waited_for(former: Path) -> None:
    """Opening a file of version 1 waits a moment for the last process of that version to close it, as when it is replaced."""
    other = sqlite3.connect(former, check_same_thread=False)
    other.execute("SELECT 1 FROM meta").fetchone()
    closing = threading.Timer(0.5, other.close)
    closing.start()
    SqliteJournal(former).close()
    closing.join()
    assert version(former) == 2


def test_an_upgrade_that_comes_second_changes_nothing(former: Path) -> None:
    """Who gets a file for itself when another has upgraded it meanwhile finds that out, and leaves it as it is."""
    journal = SqliteJournal(former)
    journal.close()
    before = schema(former)
    journal._upgrade()
    assert (version(former), schema(former)) == (2, before)


def test_reading_alone_upgrades_nothing(former: Path) -> None:
    """Opened read-only, a file of version 1 is refused with both versions and the advice to open it for writing."""
    content = former.read_bytes()
    with pytest.raises(JournalVersionError, match="open it once for writing") as caught:
        runstate.open(former, read_only=True)
    assert (caught.value.found, caught.value.supported) == (1, 2)
    (finding,) = runstate.verify(former)
    assert finding.rule == "version"
    assert former.read_bytes() == content


def test_many_upgrade_at_once(former: Path) -> None:
    """Of several that open a file of version 1 at the same moment one upgrades it, and all have it open."""
    journals: list[SqliteJournal] = []
    ready = threading.Barrier(4)

    def open_it(place: int) -> None:
        ready.wait()
        journals.append(SqliteJournal(former))

    in_threads(4, open_it)
    assert [found(journal, LOST).live for journal in journals] == [2] * 4
    for journal in journals:
        journal.close()
    assert findings(former) == []


CRASHES = """
import os, shutil, signal, sys
from pathlib import Path
from runstate.journal import _sql_fleet, _sqlite_file
from runstate.journal.sqlite import SqliteJournal

former, folder = Path(sys.argv[1]), Path(sys.argv[2])
statements = list(_sqlite_file._statements(_sql_fleet.UPGRADE))

def some(script):
    assert script == _sql_fleet.UPGRADE
    for number, statement in enumerate(statements):
        if number == allowed:
            os.kill(os.getpid(), signal.SIGKILL)
        yield statement
    if number + 1 == allowed:
        _sql_fleet.SETTLE_UPGRADED = Killing()

class Killing:
    def __iter__(self):
        os.kill(os.getpid(), signal.SIGKILL)

_sqlite_file._statements = some
for allowed in range(len(statements) + 1):
    path = folder / f"{allowed}.db"
    shutil.copy(former, path)
    child = os.fork()
    if child == 0:
        SqliteJournal(path)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
print(len(statements))
"""


def test_a_crash_leaves_the_one_version_or_the_other(former: Path, tmp_path: Path) -> None:
    """After `kill -9` before each statement of the upgrade and after the last, the file is one of version 1, whole, and opens."""
    folder = tmp_path / "crashed"
    folder.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", CRASHES, str(former), str(folder)], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    statements = int(run.stdout)
    assert statements > 30
    before = schema(former)
    for allowed in range(statements + 1):
        path = folder / f"{allowed}.db"
        copy = folder / "copy.db"
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        assert version(copy) == 1
        assert schema(copy) == before
        SqliteJournal(path).close()
        assert version(path) == 2
        assert runstate.verify(path) == ()


KILLED_AFTER = """
import os, signal, sys
from runstate.journal import _sqlite_file
from runstate.journal.sqlite import SqliteJournal

class Killing:
    def __init__(self, connection):
        self.connection = connection
    def __enter__(self):
        return self.connection
    def __exit__(self, *error):
        os.kill(os.getpid(), signal.SIGKILL)

_sqlite_file.closing = Killing
SqliteJournal(sys.argv[1])
"""


def test_a_crash_after_the_upgrade_leaves_version_2(former: Path) -> None:
    """A process that is killed when the upgrade is committed, and nothing of it written back yet, leaves version 2."""
    assert subprocess.run([sys.executable, "-c", KILLED_AFTER, str(former)], check=False).returncode == -9
    assert Path(f"{former}-wal").stat().st_size > 0
    assert version(former) == 2
    assert findings(former) == []
