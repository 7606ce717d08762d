"""The PostgreSQL journal when the network, the server or a notification fails: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

import runstate
from runstate import (
    ExecutionState,
    ExecutionTracker,
    JournalConflictError,
    JournalUnavailableError,
)
from runstate._records import Selection
from runstate.journal import _postgres_connection, _writer
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..moves import create
from ..relay import Relay
from .doubles import PATIENCE
from .entries import created, life, moved
from .servers import TAKE_THE_PEN, entries_of, terminate, wait_until

ALL = Selection()
RUNNING, COMPLETED, FAILED = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.FAILED


# -- lost connections -------------------------------------------------------------------------------------------------


def test_lost_connections_are_not_noticed(url: str) -> None:
    """A writer and a reader whose connections were ended between two calls go on with new ones."""
    journal = PostgresJournal(url)
    journal.append(life("x", RUNNING))
    assert len(entries_of(journal)) == 2
    assert terminate(url, "writer") == terminate(url, "reader") == 1
    journal.append([moved("x", 3, RUNNING, COMPLETED)])
    assert len(entries_of(journal)) == 3
    journal.close()


def test_a_connection_lost_in_the_middle_of_an_append(url: str) -> None:
    """An append whose connection is ended while it runs is done on another one: stored once, no conflict."""
    journal = PostgresJournal(url)
    journal.append(life("x", RUNNING))
    with cluster.server().connect(url) as holder:
        holder.execute("BEGIN")
        holder.execute(TAKE_THE_PEN)
        appending = threading.Thread(target=journal.append, args=([moved("x", 3, RUNNING, COMPLETED), created("y")],))
        appending.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
        with cluster.server().connect(url) as looking:
            for _ in range(2):
                wait_until(lambda: looking.execute(waiting).fetchone())
                assert terminate(url, "writer") == 1
            wait_until(lambda: looking.execute(waiting).fetchone())
        holder.execute("COMMIT")
        appending.join()
    assert entries_of(journal) == [*life("x", RUNNING), moved("x", 3, RUNNING, COMPLETED), created("y")]
    journal.close()


@pytest.fixture
def relayed(private: cluster.Cluster) -> Iterator[tuple[Relay, PostgresJournal]]:
    """A journal that is reached through a relay, over TCP."""
    here = private.journal()
    private.execute(f"ALTER ROLE runstate PASSWORD '{cluster.PASSWORD}'")
    with Relay(private.port) as relay:
        place = private.tcp_url_of(here).replace(f":{private.port}/", f":{relay.port}/")
        journal = PostgresJournal(f"{place}?gssencmode=disable&sslmode=disable")
        yield relay, journal
        journal.close()
    private.drop(here)


def test_a_commit_whose_answer_is_lost_is_stored_once(relayed: tuple[Relay, PostgresJournal]) -> None:
    """When the connection is cut after the commit and before its answer, what was stored is neither stored again nor a conflict."""
    relay, journal = relayed
    log = life("x", RUNNING)
    journal.append(log)
    batch = [moved("x", 3, RUNNING, COMPLETED), *life("y", FAILED)]
    relay.loses_the_next_answer = True
    journal.append(batch)
    assert relay.cut.is_set()
    assert entries_of(journal) == [*log, *batch]


def test_a_refusal_whose_answer_is_lost_is_still_a_refusal(relayed: tuple[Relay, PostgresJournal]) -> None:
    """What the lost append had refused is refused again by name, and what it had stored is not."""
    relay, journal = relayed
    log = life("x", COMPLETED)
    journal.append(log)
    with pytest.raises(JournalConflictError):  # so that the next append is the first of its kind again
        journal.append([moved("nobody", 2, ExecutionState.PENDING, RUNNING)])
    late = moved("x", len(log), RUNNING, FAILED)
    journal._in_doubt = True  # then the whole batch goes to the function that stores around what it refuses
    relay.loses_the_next_answer = True
    with pytest.raises(JournalConflictError) as caught:
        journal.append([*life("y", RUNNING), late])
    assert relay.cut.is_set()
    assert caught.value.execution_ids == ("x",)
    assert entries_of(journal) == [*log, *life("y", RUNNING)]


def test_only_after_a_lost_answer_is_a_repetition_accepted(url: str) -> None:
    """An entry that is stored already is a conflict, unless an answer was lost; and then only when it is equal in every column."""
    journal = PostgresJournal(url)
    log = life("x", COMPLETED)
    journal.append(log)
    with pytest.raises(JournalConflictError):
        journal.append(log)
    for changed in ({"at_ns": 7}, {"result_json": b"1"}, {"incarnation": "another"}):
        journal._in_doubt = True
        with pytest.raises(JournalConflictError):
            journal.append([log[-1]._replace(**changed)])  # type: ignore[call-arg]
    journal._in_doubt = True
    journal.append([*log, created("y")])
    assert entries_of(journal) == [*log, created("y")]
    journal.close()


def test_a_tracker_lives_through_a_lost_answer(relayed: tuple[Relay, PostgresJournal]) -> None:
    """A block whose end was committed without an answer returns as if nothing had been, and has ended once."""
    relay, journal = relayed
    with ExecutionTracker(journal) as tracker:
        with tracker.execution(agent="a", thread_id="t", user_id="u") as run:
            relay.loses_the_next_answer = True
            run.complete("done")
        assert relay.cut.is_set()
        assert [move.target for move in tracker.history(run.execution_id)] == [RUNNING, COMPLETED]
        assert tracker.statistics().rejected == 0


# -- a server that goes away ------------------------------------------------------------------------------------------


def test_a_crashing_server_costs_no_execution(private: cluster.Cluster) -> None:
    """While the server is crashed and restarted three times, every block of four trackers ends as it says, once, durably."""
    here = private.journal()
    promised: list[tuple[str, int]] = []
    done = threading.Event()

    def track(number: int) -> None:
        with runstate.open(here) as tracker:
            turn = 0
            while not done.is_set() or turn < 5:
                with tracker.execution(agent=f"a{number}", thread_id="t", user_id="u") as run:
                    run.complete(turn)
                promised.append((run.execution_id, turn))
                turn += 1
            assert tracker.statistics().rejected == 0

    threads = [Guarded(track, number) for number in range(4)]
    for _ in range(3):
        wait_until(partial(has_grown, promised, len(promised) + 20))
        private.restart()
    done.set()
    for thread in threads:
        thread.finish()
    with runstate.open(here) as tracker:
        records = {record.execution_id: record for record in tracker.find(limit=1_000_000)}
        assert {(name, record.result) for name, record in records.items()} == set(promised)
        assert all(record.state is COMPLETED and record.seq == 3 for record in records.values())
    private.drop(here)


def has_grown(promised: list[tuple[str, int]], past: int) -> bool:
    """Whether more was promised meanwhile."""
    return len(promised) > past


class Guarded(threading.Thread):
    """A thread whose error is raised by `finish`."""

    def __init__(self, work: Callable[[int], None], number: int) -> None:
        super().__init__(daemon=True)
        self._work, self._number = work, number
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Do the work."""
        try:
            self._work(self._number)
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        """Wait for its end."""
        self.join(PATIENCE)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error


def test_a_server_that_stays_away_is_said_and_then_forgiven(
    private: cluster.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the time that is given to a lost server, moves are refused with the reason; when it is back everything is written."""
    monkeypatch.setattr(_postgres_connection, "RETRY_FOR", 0.2)
    monkeypatch.setattr(_writer, "RETRY", 0.01)
    here = private.journal()
    with runstate.open(here) as tracker:
        run = create(tracker).run()
        tracker.flush()
        private.crash()
        try:
            run.complete("kept")
            with pytest.raises(JournalUnavailableError, match="postgresql://"):
                tracker.flush()
            with pytest.raises(JournalUnavailableError):
                create(tracker)
            with pytest.raises(JournalUnavailableError):
                tracker.find()
            assert "postgresql://" in (tracker.statistics().journal_failure or "")
        finally:
            private.start()
        wait_until(lambda: tracker.statistics().journal_failure is None)
        assert tracker.get(run.execution_id).result == "kept"
        assert tracker.statistics().rejected == 0
    private.drop(here)


def test_who_waits_too_long_for_another_writer_is_told(url: str) -> None:
    """A writer that finds the pen taken for longer than its lock timeout gets JournalUnavailableError, and nothing is stored."""
    journal = PostgresJournal(url)
    assert journal._writer is not None
    journal._writer.execute("SET lock_timeout = '20ms'")
    with cluster.server().connect(url) as holder:
        holder.execute("BEGIN")
        holder.execute(TAKE_THE_PEN)
        with pytest.raises(JournalUnavailableError, match="lock timeout"):
            journal.append(life("x", RUNNING))
        holder.execute("ROLLBACK")
    assert entries_of(journal) == []
    journal.append(life("x", RUNNING))
    assert entries_of(journal) == life("x", RUNNING)
    journal.close()


def test_an_interrupted_append_is_found_out(url: str) -> None:
    """After an interrupt in the middle of an append the next one stores what was not stored, and nothing twice."""
    journal = PostgresJournal(url)

    class Interrupted(BaseException):
        pass

    def interrupt(*arguments: Any) -> bool:
        stored(*arguments)
        raise Interrupted

    log = life("x", RUNNING)
    journal.append([created("before")])  # makes the worker known, by another way
    writer = journal._writer
    assert writer is not None
    stored = journal._store
    journal._store = interrupt  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        journal.append(log)
    del journal._store
    assert writer.closed
    journal.append([*log, moved("x", 3, RUNNING, COMPLETED)])
    assert entries_of(journal) == [created("before"), *log, moved("x", 3, RUNNING, COMPLETED)]
    journal.close()


def test_a_wrong_server_is_no_endless_wait() -> None:
    """A server that takes connections and never answers is JournalUnavailableError after the URL's connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(JournalUnavailableError, match="timeout"):
            PostgresJournal(f"postgresql://nobody@127.0.0.1:{port}/runs?connect_timeout=2")


def test_errors_of_the_driver_are_the_cause(url: str) -> None:
    """What the driver said is kept as the cause of our error."""
    with pytest.raises(JournalUnavailableError) as caught:
        PostgresJournal(f"{url}&user=nobody_here")
    assert isinstance(caught.value.__cause__, psycopg.Error)
    assert "nobody_here" in str(caught.value)


def test_an_outage_is_told_twice(private: cluster.Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """However many connections try how often, the log says once that the server is away, and once that it is back; nobody else says it."""
    here = private.journal()
    with caplog.at_level(logging.INFO), runstate.open(here) as tracker, tracker.subscribe() as subscription:
        run = create(tracker).run()
        tracker.flush()
        private.crash()
        wait_until(lambda: "is away, trying again" in caplog.text)
        private.start()
        run.complete("kept")
        tracker.flush()
        wait_until(lambda: "is there again, after" in caplog.text)
        assert [subscription.get(PATIENCE).entry.seq for _ in range(3)] == [1, 2, 3]
    said = [record.getMessage() for record in caplog.records if record.name == "runstate.server"]
    assert len(said) == 2
    assert all("postgresql://" in one for one in said)
    assert {record.name for record in caplog.records} <= {"runstate", "runstate.server"}
    private.drop(here)


WITHOUT_DESCRIPTORS = """
import os
import resource
import sys
import time
import runstate

url = sys.argv[1]
runstate.open(url).close()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
files = len(os.listdir("/proc/self/fd"))
for free in range(14):
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
    try:
        tracker = runstate.open(url, lease=1.0)
    except runstate.JournalUnavailableError as error:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        while type(tracker._member.liveness._vigil).__name__ != "PostgresVigil":
            time.sleep(0.01)
        tracker.close()
    while len(os.listdir("/proc/self/fd")) != files:  # a thread of it may still be on its way out
        time.sleep(0.01)
print("all refused or opened")
"""


def test_a_process_without_descriptors(url: str) -> None:
    """With however few free descriptors, opening succeeds or is refused by the documented error; nothing leaks, and all is well later."""
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("all refused or opened\n", 0), done.stderr
    assert "Exception in thread" not in done.stderr
