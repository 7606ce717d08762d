"""Vigils on PostgreSQL: what is no death there (lost sessions, restarts of the server), and what it costs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from runstate.journal import Vigil, _postgres_vigil
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from .doubles import PATIENCE
from .entries import OTHER_WORKER, WORKER
from .fleets import LEASE
from .servers import execute, terminate, wait_until
from .test_vigils import Start, starting, wait_for_death

LOCKED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1381322327 AND granted"
WATCHED = "SELECT count(*), count(DISTINCT objid) FROM pg_locks WHERE classid = 1381322327 AND NOT granted"
"""Who waits, and for how many others: asked at one moment, as each waits for a little less than a second at a time."""
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^runstate'"


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[str]:
    """A journal, on a server that the test may crash if it asks for one."""
    server: cluster.Server = cluster.server()
    if "private" in request.fixturenames:
        server = request.getfixturevalue("private")
    here = server.journal()
    yield here
    server.drop(here)


@pytest.fixture
def start(here: str) -> Iterator[Start]:
    """Start a worker in a process of its own, and wait until it is present."""
    with starting("postgres", here) as start:
        yield start


@pytest.fixture
def vigil(here: str) -> Iterator[Vigil]:
    """The vigil of WORKER."""
    journal = PostgresJournal(here)
    vigil = journal.vigil(WORKER)
    journal.join(WORKER, LEASE)
    yield vigil
    journal.close()


@pytest.fixture(params=["on this machine", "on another machine"])
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers whose processes the kernel can be asked about, and peers of whom it knows nothing."""
    if request.param == "on another machine":
        monkeypatch.setattr(_postgres_vigil, "is_running", lambda *_: None)
        monkeypatch.setattr(_postgres_vigil, "BACK_AFTER_ALL", 2.0)  # this machine may be busy


def are_there(here: str, workers: int) -> None:
    """Wait until so many workers hold their locks."""
    wait_until(lambda: execute(here, LOCKED) == [(workers,)])


@pytest.mark.usefixtures("anywhere")
def test_a_lost_session_is_no_death(here: str, vigil: Vigil, start: Start) -> None:
    """A worker whose session was cut takes its lock up again and is not taken for dead; when it is killed, it is."""
    peer = start("peer")
    vigil.watch(["peer"])
    are_there(here, 2)
    for _ in range(3):
        vigil.wait(0.05)
        assert terminate(here, "worker") == 2, "the watcher's own as well"
        assert vigil.wait(0.5).gone == {}
        are_there(here, 2)
    peer.kill()
    assert list(wait_for_death(vigil)) == ["peer"]


@pytest.mark.usefixtures("anywhere")
def test_a_lost_watch_is_no_death_and_loses_none(here: str, vigil: Vigil, start: Start) -> None:
    """A watcher whose connection was cut watches on, on another one, and sees no death before there is one."""
    peer = start("peer")
    vigil.watch(["peer"])
    wait_until(lambda: terminate(here, "watch"))
    assert vigil.wait(0.5).gone == {}
    wait_until(lambda: execute(here, "SELECT 1 FROM pg_locks WHERE classid = 1381322327 AND NOT granted"))
    peer.kill()
    assert list(wait_for_death(vigil)) == ["peer"]


@pytest.mark.usefixtures("anywhere")
def test_a_restart_of_the_server_is_no_death(
    private: cluster.Cluster, here: str, vigil: Vigil, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server is restarted all locks are gone; nobody is taken for dead who comes back, not even late, as if swapped out."""
    monkeypatch.setattr(_postgres_vigil, "BACK_AFTER_ALL", 0.3)  # which is for those who lose theirs alone
    peers = {name: start(name) for name in ("one", "two")}
    vigil.watch(list(peers))
    vigil.wait(0.05)
    for peer in peers.values():
        peer.send_signal(signal.SIGSTOP)
    private.restart()
    try:
        wait_until(lambda: vigil.wait(0.05).gone == {} and execute(here, LOCKED) == [(1,)])
        assert vigil.wait(1.0).gone == {}
    finally:
        for peer in peers.values():
            peer.send_signal(signal.SIGCONT)
    wait_until(lambda: vigil.wait(0.05).gone == {} and execute(here, LOCKED) == [(3,)])
    wait_until(lambda: execute(here, "SELECT 1 FROM pg_locks WHERE classid = 1381322327 AND NOT granted"))
    peers["two"].kill()
    assert list(wait_for_death(vigil)) == ["two"]


def test_who_dies_with_the_server_is_found_out(
    private: cluster.Cluster, here: str, vigil: Vigil, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of another machine that is not back after a restart, and renews no lease, is gone; who is back is not."""
    monkeypatch.setattr(_postgres_vigil, "is_running", lambda *_: None)
    monkeypatch.setattr(_postgres_vigil, "BACK_AFTER_A_RESTART", 1.0)
    victim, _ = start("victim", lease=0.5), start("other", lease=0.5)
    vigil.watch(["victim", "other"])
    vigil.wait(0.05)
    private.crash()
    victim.kill()
    private.start()
    gone = wait_for_death(vigil)
    assert list(gone) == ["victim"]
    assert "did not come back" in gone["victim"]
    assert vigil.wait(1.5).gone == gone


def test_every_worker_has_two_sessions_for_it(here: str, vigil: Vigil) -> None:
    """Connections grow with the number of workers, not with its square, whoever watches whom, and each is watched by one."""
    names = [f"w{number}" for number in range(5)]
    with ExitStack() as opened:
        vigils: list[Vigil] = []
        for name in names:
            journal = opened.enter_context(closing(PostgresJournal(here)))
            vigils.append(journal.vigil(name))
            journal.join(name, LEASE)
        for one in (*vigils, vigil):
            one.watch([WORKER, *names])
        wait_until(lambda: execute(here, WATCHED) == [(6, 6)])
        assert execute(here, SESSIONS) == [(3 * 6,)], "one to write, one for its own affairs, one to watch"


def test_waiting_lasts_no_longer_than_a_statement_may(url: str) -> None:
    """The wait for a lock ends by itself, as no error, so that it holds nothing back for long."""
    with cluster.server().connect(url) as holder, cluster.server().connect(url) as waiter:
        holder.execute("SELECT pg_advisory_lock(1381322327, 7)")
        waiter.execute("SET lock_timeout = '10ms'")
        assert waiter.execute("SELECT runstate.await_release(7)").fetchone() == (False,)
        holder.execute("SELECT pg_advisory_unlock_all()")
        assert waiter.execute("SELECT runstate.await_release(7)").fetchone() == (True,)


def test_the_programs_own_chance_stays_its_own(private: cluster.Cluster, here: str, vigil: Vigil, start: Start) -> None:
    """Attempts to connect again take nothing from Python's `random`, which the program may have seeded."""
    start("peer")
    vigil.watch(["peer"])
    are_there(here, 2)
    random.seed(305)
    expected = random.getstate()
    private.crash()
    try:
        assert vigil.wait(1.0).gone == {}
    finally:
        private.start()
    wait_until(lambda: vigil.wait(0.05).gone == {} and execute(here, LOCKED) == [(2,)])
    assert random.getstate() == expected


def test_what_was_rung_during_a_loss_counts_as_rung(here: str, vigil: Vigil) -> None:
    """After its session was lost a worker looks into the journal, as a ring may have been lost with it."""
    while vigil.wait(0.02).rung:
        pass
    assert terminate(here, "worker") == 1
    assert vigil.wait(PATIENCE).rung


def test_a_wait_ends_in_its_time_without_a_server(private: cluster.Cluster, vigil: Vigil) -> None:
    """While the server is down a wait still takes the time that was given, sees nobody dead, and can be woken."""
    vigil.watch(["peer"])
    private.crash()
    try:
        assert vigil.wait(0.3).gone == {}
        vigil.wake()
        assert vigil.wait(PATIENCE).rung
    finally:
        private.start()


def test_a_forked_child_leaves_its_parent_present(here: str) -> None:
    """A child has no part in its parent's presence: its end is no death, and it can be a worker itself."""
    journal, watching = PostgresJournal(here), PostgresJournal(here)
    own, other = journal.vigil(WORKER), watching.vigil(OTHER_WORKER)
    journal.join(WORKER, LEASE)
    own.watch([OTHER_WORKER])
    watching.close()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads run is what is tried here
        child = os.fork()
    if child == 0:
        try:
            mine = journal.vigil("child")
            journal.join("child", LEASE)
            said: object = [journal.ring("child"), mine.wait(PATIENCE).rung, journal.leave("child")]
            mine.leave()
            journal.close()
        except BaseException as error:
            said = repr(error)
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert json.loads(pipe.read()) == [True, True, None]
    os.waitpid(child, 0)
    assert execute(here, LOCKED) == [(1,)]
    own.wait(0)
    assert journal.ring(WORKER)
    assert own.wait(PATIENCE).rung
    own.leave()
    other.leave()
    assert execute(here, LOCKED) == [(0,)]
    journal.close()


def test_no_process_is_mistaken_for_another() -> None:
    """The kernel is believed about the very process that was named: not about its pid's next owner, nor another machine's."""
    from runstate._processes import is_running, process_name

    place, began = process_name().rpartition(" ")[0], process_name().rpartition(" ")[2]
    assert is_running(os.getpid(), process_name()) is True
    assert is_running(os.getpid(), f"{place} {int(began) - 1}") is False
    assert is_running(os.getpid(), f"another {process_name()}") is None
    assert is_running(os.getpid(), "") is None
    with subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        began = Path(f"/proc/{zombie.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
        assert is_running(zombie.pid, f"{place} {began}") is False, "it has ended, whoever has not yet asked how"
    assert is_running(zombie.pid, f"{place} {began}") is False
