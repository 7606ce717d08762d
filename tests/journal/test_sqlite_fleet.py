"""What is special about the fleet of an SQLite file: boots of the machine, processes that are killed and stopped, raw SQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import Cause, ExecutionState, JournalUnavailableError
from runstate._burial import bury
from runstate._fleet import WorkerState
from runstate._records import Selection
from runstate.journal.sqlite import SqliteJournal

from ..clock import FakeClock
from ..forging import fleet_journal
from ..soundness import findings, states
from .entries import OTHER_WORKER, WORKER, life, moved
from .fleets import LEASE, found

RUNNING, COMPLETED, DEAD = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.DEAD

PRELUDE = """
import json, sys
from runstate import Cause, ExecutionState, JournalConflictError
from runstate._burial import bury
from runstate._clock import SystemClock
from runstate.journal.sqlite import SqliteJournal
from tests.journal.entries import *

RUNNING, COMPLETED = ExecutionState.RUNNING, ExecutionState.COMPLETED
journal = SqliteJournal(sys.argv[1])

def say(*words):
    print(json.dumps(words), flush=True)

def wait():
    sys.stdin.readline()
"""
"""What a program of another process begins with."""


def other_process(path: Path, program: str) -> subprocess.Popen[str]:
    """Run a program in a process of its own, on the journal at *path*."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program), str(path)]
    root = Path(__file__).resolve().parent.parent.parent
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


def hear(process: subprocess.Popen[str]) -> list[object]:
    """What the program says next."""
    assert process.stdout is not None
    words: list[object] = json.loads(process.stdout.readline())
    return words


def answer(process: subprocess.Popen[str]) -> None:
    """Let the program go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "runs.db"


# -- boots ----------------------------------------------------------------------------------------------------------------


def boot(monkeypatch: pytest.MonkeyPatch, boot_id: str) -> None:
    """Let what is opened from now on run in another boot of the machine."""
    monkeypatch.setattr("runstate.journal._sqlite_fleet.boot_id", lambda: boot_id)


def test_a_restart_of_the_machine_ends_every_lease(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """Who has renewed in another boot has expired at once, although the clock, set back, does not say so; its age is unknown."""
    boot(monkeypatch, "first")
    journal = SqliteJournal(path, clock=clock)
    journal.join(WORKER, LEASE)
    journal.close()
    boot(monkeypatch, "second")
    journal = SqliteJournal(path, clock=FakeClock(monotonic_ns=7))
    worker = found(journal, WORKER)
    assert (worker.expired, worker.renewed_age) == (True, None)
    assert journal.fence(WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, expired_only=True)
    journal.close()


@pytest.mark.parametrize(("boot_id", "expired"), [("", True), ("known", False)])
def test_a_clock_that_stands_further_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, boot_id: str, expired: bool
) -> None:
    """Where boots have no id, a clock further back than a renewal tells of a restart; where they have one, it is no proof."""
    boot(monkeypatch, boot_id)
    journal = SqliteJournal(path, clock=clock)
    journal.join(WORKER, LEASE)
    earlier = SqliteJournal(path, clock=FakeClock(monotonic_ns=clock.monotonic_ns() - 1))
    assert found(earlier, WORKER).expired is expired
    assert earlier.fence(WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, expired_only=True) is expired
    for one in (journal, earlier):
        one.close()


def test_the_lease_goes_by_the_clock_that_all_processes_share(path: Path) -> None:
    """The age of a worker of another process, by that process's own clock and this one's, is a few seconds at most."""
    with other_process(path, f"journal.join(WORKER, {LEASE}); say('joined'); wait(); journal.close()") as process:
        hear(process)
        journal = SqliteJournal(path)
        worker = found(journal, WORKER)
        assert worker.pid == process.pid
        assert worker.renewed_age is not None
        assert 0.0 <= worker.renewed_age < 60.0
        answer(process)
    journal.close()


def test_the_wall_clock_moves_no_lease(path: Path, clock: FakeClock) -> None:
    """Setting the time by a day, forwards or backwards, neither ages nor renews a worker."""
    journal = SqliteJournal(path, clock=clock)
    journal.join(WORKER, LEASE)
    clock.advance(3.0)
    for step in (86_400.0, -2 * 86_400.0):
        clock.step_wall(step)
        assert found(journal, WORKER).renewed_age == 3.0
    journal.close()


# -- processes ------------------------------------------------------------------------------------------------------------


def test_two_processes_bury_a_killed_one(path: Path) -> None:
    """After `kill -9` of a worker with 100 live executions, two processes race: one fences, each execution is buried once."""
    names = [f"x-{number}" for number in range(100)]
    with other_process(path, f"journal.append(lives({names!r}, RUNNING)); say('live'); wait()") as worker:
        hear(worker)
        worker.kill()
    bury_all = """
        say("ready"); wait()
        won = journal.fence(WORKER, {by!r}, Cause.PROCESS_EXITED, "killed")
        ends = bury(journal, WORKER, {by!r}, Cause.PROCESS_EXITED, "killed", SystemClock())
        say(won, [end.execution_id for end in ends])
        journal.close()
        """
    buriers = [other_process(path, bury_all.format(by=f"burier-{number}")) for number in range(2)]
    for burier in buriers:
        hear(burier)
    for burier in buriers:
        answer(burier)
    answers = [hear(burier) for burier in buriers]
    for burier in buriers:
        burier.communicate()
    assert sorted(won for won, _ in answers if isinstance(won, bool)) == [False, True]
    shares = [share for _, share in answers if isinstance(share, list)]
    assert sorted(shares[0] + shares[1]) == sorted(names)
    assert set(states(path).values()) == {DEAD}
    assert findings(path) == []


def test_a_stopped_worker_comes_back_as_a_zombie(path: Path) -> None:
    """A worker that is stopped, buried and continued is refused; the end that it has to tell is kept, and the file is sound."""
    program = """
        journal.append(lives(["x", "y"], RUNNING)); journal.join(WORKER, 10.0); say("live"); wait()
        try:
            journal.append([moved("x", 3, RUNNING, COMPLETED), phased("y", 3), *life("z", COMPLETED)])
        except JournalConflictError as error:
            say(error.execution_ids)
        fence = journal.renew(WORKER)
        say(fence.by, fence.cause.value)
        journal.close()
        """
    with other_process(path, program) as zombie:
        hear(zombie)
        zombie.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, zombie.pid, os.WSTOPPED)
        journal = SqliteJournal(path)
        buried = bury(journal, WORKER, OTHER_WORKER, Cause.LEASE_EXPIRED, "stopped", FakeClock())
        assert {end.execution_id for end in buried} == {"x", "y"}
        answer(zombie)
        zombie.send_signal(signal.SIGCONT)
        assert hear(zombie) == [["x", "y", "z"]]
        assert hear(zombie) == [OTHER_WORKER, "lease_expired"]
    kept = journal.rejected("x")
    assert kept is not None
    assert kept.move == moved("x", 3, RUNNING, COMPLETED)
    journal.close()
    assert states(path) == {"x": DEAD, "y": DEAD}
    assert findings(path) == []


def test_a_read_only_opening_sees_the_fleet_and_changes_nothing(path: Path) -> None:
    """Workers, requests and what is unsettled can be read without the right to write; everything else is refused."""
    journal = SqliteJournal(path)
    journal.join(WORKER, LEASE)
    journal.append(life("x", RUNNING))
    request = journal.request_cancel("x", "a user")
    reader = SqliteJournal(path, read_only=True)
    assert [worker.incarnation for worker in reader.workers()] == [WORKER]
    assert reader.requests(WORKER) == [request]
    assert [one.record.execution_id for one in reader.unsettled(WORKER, 10)] == ["x"]
    for write in (
        lambda: reader.join(OTHER_WORKER, LEASE),
        lambda: reader.renew(WORKER),
        lambda: reader.leave(WORKER),
        lambda: reader.fence(WORKER, OTHER_WORKER, Cause.PROCESS_EXITED),
        lambda: reader.request_cancel("x", "another"),
    ):
        with pytest.raises(JournalUnavailableError, match="read-only"):
            write()
    assert found(reader, WORKER).state is WorkerState.ALIVE
    for one in (reader, journal):
        one.close()


# -- raw SQL --------------------------------------------------------------------------------------------------------------

TABLES = ("workers", "executions", "entries", "requests", "rejected")
END = "'running', 'dead', 'process_exited', '{\"observer\":\"raw\"}'"
NEW_END = "INSERT INTO entries (number, seq, at_ns, worker, source, target, cause, evidence_json)"
NEW_REJECTED = "INSERT INTO rejected (number, seq, at_ns, worker, source, target, cause, evidence_json, rejected_at_ns)"
GONE = "gone_at_ns = 5, gone_position = (SELECT seq FROM sqlite_sequence WHERE name = 'entries')"

REFUSED = {
    "an entry of a fenced worker": f"{NEW_END} VALUES (1, 3, 5, 1, {END})",
    "an execution of a fenced worker": "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns,"
    " updated_at_ns) VALUES ('new', 'a', 't', 'u', 1, 5, 5)",
    "a burial of what is owned by a living worker": f"{NEW_END} VALUES (4, 3, 5, 2, {END})",
    "a burial that is a success": f"{NEW_END} VALUES (1, 3, 5, 2, {END.replace('dead', 'completed')})",
    "a burial as cancelled that nobody asked for": f"{NEW_END} VALUES (1, 3, 5, 2, 'running', 'cancelled', 'shutdown', '{{}}')",
    "a move by a burier": "INSERT INTO entries (number, seq, at_ns, worker, source, target) VALUES (1, 3, 5, 2, 'running',"
    " 'completing')",
    "a phase by a burier": "INSERT INTO entries (number, seq, at_ns, worker, phase) VALUES (1, 3, 5, 2, 'thinking')",
    "a fence that is lifted": "UPDATE workers SET gone_at_ns = NULL, gone_position = NULL, fenced_by = NULL, fence_cause = NULL,"
    " fence_reason = NULL WHERE number = 1",
    "a fence that is another's": "UPDATE workers SET fenced_by = 'me' WHERE number = 1",
    "a fence that has another reason": "UPDATE workers SET fence_reason = 'mine' WHERE number = 1",
    "a renewal after the fence": "UPDATE workers SET renewed_at_ns = renewed_at_ns + 1 WHERE number = 1",
    "a renewal in the past": "UPDATE workers SET renewed_at_ns = renewed_at_ns - 1 WHERE number = 2",
    "another lease": "UPDATE workers SET lease = 1e9 WHERE number = 2",
    "another process": "UPDATE workers SET pid = 1 WHERE number = 2",
    "no lease any more": "UPDATE workers SET host = NULL, pid = NULL, started_at_ns = NULL, boot_id = NULL, lease = NULL,"
    " renewed_at_ns = NULL WHERE number = 2",
    "an execution of nobody": "INSERT INTO executions (execution_id, agent, thread_id, user_id, worker, created_at_ns,"
    " updated_at_ns) VALUES ('new', 'a', 't', 'u', 99, 5, 5)",
    "an entry by nobody": f"{NEW_END} VALUES (1, 3, 5, 99, {END})",
    "an entry of nothing": f"{NEW_END} VALUES (99, 3, 5, 2, {END})",
    "a request about nothing": "INSERT INTO requests VALUES (99, 5, 'me', NULL)",
    "a rejected end of nothing": f"{NEW_REJECTED} VALUES (99, 3, 5, 1, {END}, 5)",
    "half a worker": "INSERT INTO workers (incarnation, lease) VALUES ('half', 10.0)",
    "a worker that comes fenced": "INSERT INTO workers (incarnation, gone_at_ns, gone_position) VALUES ('new', 5, 1)",
    "leaving with something live": f"UPDATE workers SET {GONE} WHERE number = 3",
    "a fence without a cause": f"UPDATE workers SET {GONE}, fenced_by = 'me' WHERE number = 2",
    "a fence with another cause": f"UPDATE workers SET {GONE}, fenced_by = 'me', fence_cause = 'returned' WHERE number = 2",
    "a fence that was earlier": "UPDATE workers SET gone_at_ns = 5, gone_position = 1, fenced_by = 'me',"
    " fence_cause = 'reported' WHERE number = 2",
    "a fence of oneself": f"UPDATE workers SET {GONE}, fenced_by = '{OTHER_WORKER}', fence_cause = 'reported' WHERE number = 2",
    "a fence by the fenced": f"UPDATE workers SET {GONE}, fenced_by = '{WORKER}', fence_cause = 'reported' WHERE number = 2",
    "a living worker that is deleted": "DELETE FROM workers WHERE number = 4",
    "a second request": "INSERT INTO requests VALUES (4, 5, 'me', NULL)",
    "a replaced request": "INSERT OR REPLACE INTO requests VALUES (4, 5, 'me', NULL)",
    "a changed request": "UPDATE requests SET asked_by = 'me'",
    "a request that is taken back": "DELETE FROM requests",
    "a request about what has ended": "INSERT INTO requests VALUES (2, 5, 'me', NULL)",
    "a second rejected end": f"{NEW_REJECTED} VALUES (2, 3, 5, 1, {END}, 5)",
    "a replaced rejected end": f"INSERT OR REPLACE{NEW_REJECTED[6:]} VALUES (2, 3, 5, 1, {END}, 5)",
    "a changed rejected end": "UPDATE rejected SET result_json = '2'",
    "a rejected end that is deleted": "DELETE FROM rejected",
    "a rejected end of a living worker": f"{NEW_REJECTED} VALUES (4, 3, 5, 3, {END}, 5)",
    "a rejected end of a stranger": f"{NEW_REJECTED} VALUES (1, 3, 5, 2, {END}, 5)",
    "a fenced stranger's rejected end": f"{NEW_REJECTED} VALUES (4, 3, 5, 1, {END}, 5)",
    "a rejected move": f"{NEW_REJECTED} VALUES (1, 3, 5, 1, 'pending', 'running', 'reported', '{{}}', 5)",
    "a rejected end without evidence": f"{NEW_REJECTED} VALUES (1, 3, 5, 1, 'running', 'dead', 'reported', NULL, 5)",
}


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file of `fleet_journal` as another program sees it."""
    with contextlib.closing(sqlite3.connect(fleet_journal(path), isolation_level=None)) as connection:
        yield connection


def dump(raw: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    """Every row of every table."""
    return [raw.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES]


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_raw_sql_cannot_do_what_the_fleet_cannot(raw: sqlite3.Connection, statement: str) -> None:
    """Each of these statements is refused by the file itself, and changes nothing."""
    before = dump(raw)
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)
    assert dump(raw) == before


def test_raw_sql_can_do_what_the_fleet_can(raw: sqlite3.Connection, path: Path) -> None:
    """What refuses the others is the rule that they break: renewing, fencing, leaving and burying are taken as raw rows."""
    raw.execute("UPDATE workers SET renewed_at_ns = renewed_at_ns + 1 WHERE number = 2")
    raw.execute(f"{NEW_REJECTED} VALUES (1, 3, 5, 1, {END}, 5)")
    raw.execute(f"{NEW_END} SELECT 1, 3, updated_at_ns, 2, {END} FROM executions WHERE number = 1")
    raw.execute(f"UPDATE workers SET {GONE} WHERE number = 4")
    raw.execute(f"UPDATE workers SET {GONE}, fenced_by = 'me', fence_cause = 'reported' WHERE number = 3")
    cancelled = END.replace("dead", "cancelled").replace("process_exited", "shutdown")
    raw.execute(f"{NEW_END} SELECT 4, 3, updated_at_ns, 2, {cancelled} FROM executions WHERE number = 4")
    raw.execute("INSERT INTO workers (incarnation) VALUES ('newest')")
    raw.execute("DELETE FROM workers WHERE number = 4")
    assert findings(path) == []


def test_what_is_left_of_a_worker_keeps_its_row(raw: sqlite3.Connection) -> None:
    """A worker that is gone goes from the file last, after all that it has begun, written and fenced; the newest stays."""
    for gone in ("", ", fenced_by = 'fourth', fence_cause = 'reported'"):
        raw.execute(f"UPDATE workers SET {GONE}{gone} WHERE number = {3 if gone else 2}")
    raw.execute(f"UPDATE workers SET {GONE} WHERE number = 4")
    raw.execute("INSERT INTO workers (incarnation) VALUES ('newest')")
    raw.execute(f"UPDATE workers SET {GONE} WHERE number = 5")
    for number in range(1, 6):
        with pytest.raises(sqlite3.IntegrityError, match="go only after all"):
            raw.execute(f"DELETE FROM workers WHERE number = {number}")


def test_the_live_of_a_worker_are_found_by_their_index(path: Path) -> None:
    """Reading who is there, and what is unsettled or asked for, looks at what is live, not at the million that have ended."""
    from runstate.journal import _sql_fleet

    journal = SqliteJournal(path)
    asked = {"boot_id": "", "now_ns": 0, "wall_ns": 0, "departed": 0, "incarnation": "", "limit": 1}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        sql = _sql_fleet
        for query in (sql.PEERS, sql.WORKERS, sql.WORKER, sql.UNSETTLED, sql.REQUESTS):
            steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}", asked)]
            assert any("executions_live_of" in step for step in steps)
            assert not [
                step
                for step in steps
                if step.startswith("SCAN")
                and "workers_present" not in step
                and "subquery" not in step
                and step
                not in {"SCAN workers", "SCAN l LEFT-JOIN", "SCAN CONSTANT ROW", "SCAN owners", "SCAN s", "SCAN fenced"}
                and "workers_fenced" not in step  # so many at most
                and step != "SCAN executions USING INDEX executions_live_of"  # the first owner, and no more
            ]
    assert journal.read(0, 1, Selection()).events == []
    journal.close()
