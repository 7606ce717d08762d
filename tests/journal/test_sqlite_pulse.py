"""A worker's pulse on SQLite: its lease is renewed whatever the writers do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runstate import JournalUnavailableError
from runstate.journal.sqlite import SqliteJournal

from .entries import WORKER
from .fleets import LEASE


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal that a worker has joined."""
    with closing(SqliteJournal(tmp_path / "runs.db")) as journal:
        journal.join(WORKER, LEASE)
        yield journal


def renewed_at_ns(journal: SqliteJournal) -> int:
    """When the worker's lease was renewed, by the store's clock."""
    worker = journal.worker(WORKER)
    assert worker is not None
    assert worker.renewed_at_ns is not None
    return worker.renewed_at_ns


def test_a_renewal_waits_for_no_writer_of_its_own_process(journal: SqliteJournal) -> None:
    """While the writer waits for anything at all, the lease is renewed."""
    before = renewed_at_ns(journal)
    with journal._append_lock:
        assert journal.renew(WORKER) is None
    assert renewed_at_ns(journal) > before


def test_a_renewal_comes_in_the_first_gap(journal: SqliteJournal) -> None:
    """Who writes elsewhere keeps a renewal waiting for as long as that lasts, and it is then done."""
    before = renewed_at_ns(journal)
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        renewing = threading.Thread(target=journal.renew, args=(WORKER,))
        renewing.start()
        renewing.join(0.05)
        assert renewing.is_alive()
        other.execute("COMMIT")
        renewing.join()
    assert renewed_at_ns(journal) > before


def test_a_renewal_that_cannot_be_done_is_said_to_be_so(journal: SqliteJournal) -> None:
    """After its time a renewal gives up with what kept it, changes nothing, and can be tried again."""
    journal._pulse._patience = 0.02
    before = renewed_at_ns(journal)
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailableError, match="locked"):
            journal.renew(WORKER)
        other.execute("ROLLBACK")
    assert renewed_at_ns(journal) == before
    assert journal.renew(WORKER) is None


def test_a_renewal_goes_to_the_file_at_its_path(journal: SqliteJournal) -> None:
    """A file that was moved away is renewed no more than it is written."""
    journal.renew(WORKER)
    journal.path.rename(f"{journal.path}.moved")
    try:
        with pytest.raises(JournalUnavailableError, match="moved"):
            journal.renew(WORKER)
    finally:
        Path(f"{journal.path}.moved").rename(journal.path)


def test_what_only_reads_renews_nothing(journal: SqliteJournal) -> None:
    """A journal that was opened for reading only refuses, like every write."""
    with (
        closing(SqliteJournal(journal.path, read_only=True)) as reader,
        pytest.raises(JournalUnavailableError, match="read-only"),
    ):
        reader.renew(WORKER)
