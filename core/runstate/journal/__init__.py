"""The journal: where executions and their logs are kept.

A journal is blocking and takes batches, so each store exists once and both the sync and the async face of runstate use
it through one writer. It has four verbs and no more (in the libraries where the store grew into a manager, it is the file
with a thousand lines). Its promises are held by one conformance suite that runs against every store:

- `append` is all that may change a journal. Every entry is a compare-and-set: it is stored only if it continues its
  execution's log (seq by seq, from the state that the log is in, written by the incarnation that owns it) and if the
  table allows it. What it refuses it names, and it stores the rest.
- When `append` returns, the batch is durable, as far as the store can be.
- Positions grow; an event once read never changes, until retention removes its whole execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from .._records import Entry, Event, ExecutionRecord, Selection


class Page(NamedTuple):
    """What `read` answers."""

    events: Sequence[Event]
    """In order of position."""
    up_to: int
    """The position up to which nothing that was selected is missing: where to read on."""


@runtime_checkable
class Journal(Protocol):
    """A store of executions. `append` is called by one thread at a time; the rest from any thread."""

    def append(self, batch: Sequence[Entry], /) -> None:
        """Store entries in order, as one durable unit.

        Args:
            batch: Any number of entries of any number of executions.

        Raises:
            JournalConflictError: Some executions' entries do not continue their logs; those were left out, everything else
                was stored.
            JournalError: Nothing was stored.
        """
        ...

    def read(self, after: int, limit: int, selection: Selection, /) -> Page:
        """Read events in order of position.

        Args:
            after: The position read last; 0 reads from the oldest that is kept.
            limit: At most this many events, 1 or more.
            selection: Whose events. A `state` in it is ignored.

        Raises:
            SubscriptionLaggedError: Events after *after* have been pruned.
            JournalError: It cannot be read.
        """
        ...

    def executions(self, selection: Selection, limit: int, /) -> Sequence[ExecutionRecord]:
        """Read executions, the newest first.

        Args:
            selection: Which.
            limit: At most this many, 1 or more.

        Raises:
            RecordDecodeError: The store holds a row that is no valid record.
            JournalError: It cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of the store. Called once, after the last append."""
        ...


__all__ = ["Journal", "Page"]
