"""The PostgreSQL journal tells of what other processes have written; and what a fork does to its connections."""

from __future__ import annotations

import json
import os
import threading
import warnings
from urllib.parse import urlsplit

import pytest

import runstate
from runstate import (
    ExecutionState,
    ExecutionTracker,
)
from runstate import _events as events_module
from runstate._records import Selection
from runstate.journal.postgres import PostgresJournal

from .. import cluster
from ..moves import bring_to
from .doubles import PATIENCE
from .entries import created, life, moved
from .servers import entries_of, wait_until

ALL = Selection()
RUNNING, COMPLETED, FAILED = ExecutionState.RUNNING, ExecutionState.COMPLETED, ExecutionState.FAILED


# -- notifications ----------------------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subscriptions that never look by themselves, so that only a notification can wake them."""
    monkeypatch.setattr(events_module, "POLL", 600.0)


@pytest.mark.usefixtures("patient")
def test_another_process_is_heard_of(url: str) -> None:
    """A subscription that does not look by itself is woken by what another connection has written."""
    with runstate.open(url) as one, runstate.open(url, read_only=True) as other, other.subscribe() as subscription:
        wait_until(subscription._wake.is_set)  # it listens
        for _ in range(3):
            subscription._wake.clear()
            ended = bring_to(one, COMPLETED)
            one.flush()
            wait_until(subscription._wake.is_set)
            heard = [subscription.get(PATIENCE).entry for _ in range(3)]
            assert {entry.execution_id for entry in heard} == {ended.execution_id}


@pytest.mark.usefixtures("patient")
def test_what_is_written_while_nobody_can_hear_is_caught_up_with(url: str) -> None:
    """When the connection that listens is lost, a new one wakes subscriptions for what was written meanwhile."""
    server, database = cluster.server(), urlsplit(url).path[1:]
    with runstate.open(url) as one, runstate.open(url, read_only=True) as other, other.subscribe() as subscription:
        first = bring_to(one, RUNNING)
        one.flush()
        assert [subscription.get(PATIENCE).entry.seq for _ in range(2)] == [1, 2]
        for seq in range(3, 6):
            server.execute(
                f"ALTER DATABASE {database} ALLOW_CONNECTIONS false",
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                f"WHERE datname = '{database}' AND application_name = 'runstate bell'",
            )
            subscription._wake.clear()
            first.phase(runstate.Phase.THINKING)
            one.flush()
            assert not subscription._wake.is_set()
            server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
            wait_until(subscription._wake.is_set)
            assert subscription.get(PATIENCE).entry.seq == seq


def test_a_lost_notification_costs_time_and_no_event(url: str) -> None:
    """With nobody to hear notifications, subscriptions look by themselves and get every event."""
    journal = PostgresJournal(url)
    journal.listen = lambda ring: None  # type: ignore[method-assign]
    with runstate.open(url) as one, ExecutionTracker(journal) as other, other.subscribe() as subscription:
        ended = bring_to(one, COMPLETED)
        one.flush()
        assert [subscription.get(PATIENCE).entry.execution_id for _ in range(3)] == [ended.execution_id] * 3


def test_without_listeners_nobody_notifies(url: str) -> None:
    """An append notifies only while somebody listens: a server with many journals would else commit them one by one."""
    journal, rings = PostgresJournal(url), threading.Event()
    with cluster.server().connect(url) as deaf:
        deaf.execute("LISTEN runstate")
        journal.append(life("x", RUNNING))
        assert list(deaf.notifies(timeout=0.05)) == []
        other = PostgresJournal(url)
        other.listen(rings.set)
        wait_until(rings.is_set)
        rings.clear()
        journal.append(life("y", RUNNING))
        assert rings.wait(PATIENCE)
        assert [notice.payload for notice in deaf.notifies(timeout=PATIENCE, stop_after=1)] == [""]
    for one in (journal, other):
        one.close()
    assert [thread for thread in threading.enumerate() if thread.name == "runstate-bell"] == []


# -- forks ------------------------------------------------------------------------------------------------------------


def test_a_forked_child_leaves_its_parents_connections_alone(url: str) -> None:
    """A child writes and reads on connections of its own, and neither its work nor its end disturbs the parent's."""
    journal = PostgresJournal(url)
    journal.append(life("before", RUNNING))
    entries_of(journal)
    rings = threading.Event()
    journal.listen(rings.set)
    wait_until(rings.is_set)
    assert journal._writer is not None
    backend = journal._writer.info.backend_pid
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads run is what is tried here
        child = os.fork()
    if child == 0:
        try:
            journal.append([moved("before", 3, RUNNING, COMPLETED), *life("inside", RUNNING)])
            said: object = [len(entries_of(journal)), journal._own_process() != backend]
            journal.close()
        except BaseException as error:
            said = repr(error)
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert answer == [5, True]
    rings.clear()
    journal.append([moved("inside", 3, RUNNING, FAILED)])
    assert journal._own_process() == backend
    assert len(entries_of(journal)) == 6
    other = PostgresJournal(url)
    other.append([created("after")])
    assert rings.wait(PATIENCE), "the parent still hears"
    for one in (journal, other):
        one.close()
