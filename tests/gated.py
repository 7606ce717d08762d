"""A gate before a journal's `append`: a disk that is slow, or broken, exactly when a test says so, without a sleep.

`stored` reads a store as another process would: through a journal of its own, never through the tracker under test.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import pytest

from runstate import (
    Cause,
    Entry,
    Evidence,
    ExecutionRecord,
    ExecutionState,
    ExecutionTracker,
    JournalError,
    JournalUnavailableError,
    Transition,
)
from runstate.journal import Journal, Page

from .stores import Store

WHO: Final[dict[str, Any]] = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}
"""The keywords that every execution needs."""


class GatedJournal:
    """A real journal behind a gate that is open, shut or broken."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._open = threading.Event()
        self._open.set()
        self.reached = threading.Event()
        """Set once an append has come to the shut gate."""
        self.failure: JournalError | None = None
        """What every append raises while the gate is broken."""

    def shut(self) -> None:
        """Hold every append from now on."""
        self.reached.clear()
        self._open.clear()

    def open(self) -> None:
        """Let them through."""
        self._open.set()

    def append(self, batch: Sequence[Entry], /) -> None:
        """Wait for the gate, then store or fail."""
        if not self._open.is_set():
            self.reached.set()
            self._open.wait()
        if self.failure is not None:
            raise self.failure
        self._journal.append(batch)

    def read(self, after: int, limit: int, selection: Any, /) -> Page:
        """Read past the gate."""
        return self._journal.read(after, limit, selection)

    def executions(self, selection: Any, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read past the gate."""
        return self._journal.executions(selection, limit)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()


def bury(store: Store, record: ExecutionRecord) -> None:
    """End an execution behind its owner's back, as another worker does that takes the owner for dead."""
    evidence = Evidence("another worker")
    end = Transition(
        record.execution_id,
        record.seq + 1,
        record.updated_at_ns,
        record.state,
        ExecutionState.DEAD,
        record.incarnation,
        Cause.LEASE_EXPIRED,
        evidence,
    )
    with closing(store.journal()) as journal:
        journal.append([end])


def stored(store: Store, execution_id: str) -> ExecutionRecord:
    """What the store holds of an execution at this moment."""
    with ExecutionTracker(store.journal(), read_only=True) as reader:
        return reader.get(execution_id)


def broken() -> JournalUnavailableError:
    """What a full disk looks like."""
    return JournalUnavailableError("database or disk is full")


def break_down(tracker: ExecutionTracker, journal: GatedJournal) -> None:
    """Break the journal, and have the tracker notice."""
    journal.failure = broken()
    tracker.create(**WHO)
    with pytest.raises(JournalUnavailableError):
        tracker.flush()


async def until_reached(journal: GatedJournal) -> None:
    """Wait until an append stands before the shut gate."""
    assert await asyncio.to_thread(journal.reached.wait, 30)
