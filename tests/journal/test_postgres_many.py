"""A large batch of entries on PostgreSQL, most of whose work is done before the pen is taken."""

from __future__ import annotations

import threading
from itertools import chain
from typing import Any

import pytest

from runstate import Entry, ExecutionState, JournalConflictError, PhaseChange
from runstate._records import Selection
from runstate.journal.postgres import MANY, PostgresJournal

from .. import cluster
from .entries import OTHER_WORKER, created, life, moved, phased, warned
from .servers import entries_of, wait_until

RUNNING, COMPLETED = ExecutionState.RUNNING, ExecutionState.COMPLETED
WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"


def _mixed(*names: str, **options: Any) -> list[Entry]:
    """Lives in turns, with every kind of entry."""
    lives = [
        [
            *life(name, RUNNING, **options),
            phased(name, 3, **options),
            warned(name, 4, **options),
            moved(name, 5, RUNNING, COMPLETED, **options),
        ]
        for name in names
    ]
    return list(chain.from_iterable(zip(*lives, strict=True)))


@pytest.fixture
def journal(url: str) -> PostgresJournal:
    """A journal that knows both workers, so that no batch is their first."""
    journal = PostgresJournal(url)
    journal.append([created("first"), created("second", incarnation=OTHER_WORKER)])
    return journal


def test_a_large_batch_is_stored_as_many_small_ones_are(journal: PostgresJournal, url: str) -> None:
    """Entries of two workers come back equal and in order, whether they travelled together or alone."""
    names = [f"x-{number}" for number in range(MANY)]
    batch = [*_mixed(*names[::2]), *_mixed(*names[1::2], incarnation=OTHER_WORKER)]
    journal.append(batch)
    assert entries_of(journal)[2:] == batch
    together = {record.execution_id: record for record in journal.executions(Selection(), 1_000)}
    journal.close()
    alone = PostgresJournal(cluster.server().journal())
    alone.append([created("first"), created("second", incarnation=OTHER_WORKER)])
    for entry in batch:
        alone.append([entry])
    assert {record.execution_id: record for record in alone.executions(Selection(), 1_000)} == together
    alone.close()


def test_a_large_batch_is_stored_but_for_what_is_refused(journal: PostgresJournal) -> None:
    """Entries that continue nothing are named, and everything else of their batch is stored."""
    batch = _mixed(*(f"x-{number}" for number in range(MANY)))
    unknown, late = phased("nobody", 7), PhaseChange(*phased("x-3", 9))
    with pytest.raises(JournalConflictError) as refused:
        journal.append([*batch[:40], unknown, *batch[40:], late])
    assert refused.value.execution_ids == ("nobody", "x-3")
    assert entries_of(journal)[2:] == batch
    journal.close()


def test_who_creates_the_same_executions_in_another_order(journal: PostgresJournal, url: str) -> None:
    """Two writers that wait for each other's executions are told apart by the server, and the batch that it undoes is tried again."""
    names = [f"x-{number}" for number in range(MANY)]
    patient = PostgresJournal(f"{url}&options=-cdeadlock_timeout%3D500ms")
    patient.append([created("third")])
    with cluster.server().connect(url) as raw:
        create = "INSERT INTO runstate.executions (execution_id, agent, thread_id, user_id, worker, created_at_ns, updated_at_ns) VALUES (%s, 'a', 't', 'u', 1, 1, 1)"
        raw.execute("SET deadlock_timeout = '60s'")
        raw.execute("BEGIN")
        raw.execute(create, (names[-1],))
        appending = threading.Thread(target=patient.append, args=([created(name) for name in names],))
        appending.start()
        with cluster.server().connect(url) as looking:
            wait_until(lambda: looking.execute(WAITS).fetchone())
        raw.execute(
            create, (names[0],)
        )  # waits for the batch, which waits for this transaction, until the server undoes the batch
        raw.execute("ROLLBACK")
        appending.join()
    assert [entry.execution_id for entry in entries_of(patient)[3:]] == names
    journal.close()
    patient.close()
