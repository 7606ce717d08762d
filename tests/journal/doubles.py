"""Journals that can be held back and made to fail on demand. Each is a whole journal: it stores in memory all that it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from runstate import Entry, Execution, ExecutionRecord, ExecutionTracker, Limits
from runstate._records import Selection
from runstate.journal import Page
from runstate.journal.memory import MemoryJournal

from ..moves import create

PATIENCE = 20.0
"""Seconds after which something that must happen by itself is taken not to happen."""


class SwitchableJournal:
    """Stores what it is given, in its own time and unless it is told to fail.

    It is no `MemoryJournal` itself: a journal may block, and then only the writer's thread and flushing callers write.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.stored = MemoryJournal(limits)
        self.failure: Exception | None = None
        """What `append` raises, having stored nothing."""
        self.batches: list[list[Entry]] = []
        """What was stored, batch by batch."""
        self.attempts = 0
        self.arrived = threading.Event()
        """Set when an append has begun."""
        self.open = threading.Event()
        """Appends wait for it."""
        self.open.set()
        self.succeeded = threading.Event()
        """Set when an append has stored its batch."""

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store a batch once `open` is set, or fail."""
        self.attempts += 1
        self.arrived.set()
        self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append(list(batch))
        self.stored.append(batch)
        self.succeeded.set()

    def hold(self) -> None:
        """Have appends wait from now on."""
        self.arrived.clear()
        self.open.clear()

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read what is stored."""
        return self.stored.read(after, limit, selection)

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read what is stored."""
        return self.stored.executions(selection, limit)

    def close(self) -> None:
        """Keep everything."""

    def entries(self) -> list[Entry]:
        """Everything that is stored, in order."""
        return [event.entry for event in self.stored.read(0, 1_000_000, Selection()).events]


def held_up(switchable: SwitchableJournal, tracker: ExecutionTracker) -> Execution[Any]:
    """Have the writer's thread wait in an append, so that all that follows stays in the buffer."""
    switchable.hold()
    first = create(tracker, agent="first")
    assert switchable.arrived.wait(PATIENCE)
    return first


def in_threads(number: int, work: Callable[[int], None]) -> None:
    """Do something in several threads at once; raise what one of them raised."""
    errors: list[BaseException] = []

    def guarded(place: int) -> None:
        try:
            work(place)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
