"""What the adapters of one tracker have done, and what they could not do: each kind of trouble is logged once and counted always."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from runstate import ExecutionTracker

logger: Final = logging.getLogger("runstate")


class Counts(NamedTuple):
    """What the adapters of one tracker have done since it was opened."""

    executions: int
    """Runs that became executions."""
    nested: int
    """Runs inside another tracked execution: they became phases of it."""
    dropped: int
    """Events that came after the end of their run, as frameworks deliver them after a cancellation."""
    troubles: dict[str, int]
    """What could not be recorded while the run went on, by framework, step and error: `"pydantic-ai begin: JournalFullError"`."""


class Ledger:
    """The counts of one tracker's adapters. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tally: Counter[str] = Counter()
        self._troubles: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """Count one more of a field of `Counts`."""
        with self._lock:
            self._tally[what] += 1

    def trouble(self, framework: str, step: str, error: BaseException) -> None:
        """Count what could not be recorded, and log it if it is the first of its kind.

        Args:
            framework: Whose adapter.
            step: What it wanted to do.
            error: Why it could not.
        """
        kind = f"{framework} {step}: {type(error).__name__}"
        with self._lock:
            self._troubles[kind] += 1
            is_first = self._troubles[kind] == 1
        if is_first:
            logger.warning(
                "runstate: a %s run goes on, but not all of it is recorded (%s): %s; the next of this kind are only counted",
                framework,
                step,
                error,
                exc_info=error,
            )

    def counts(self) -> Counts:
        """Read all counts at one moment."""
        with self._lock:
            tally = self._tally
            return Counts(tally["executions"], tally["nested"], tally["dropped"], dict(self._troubles))


_ledgers: Final[WeakKeyDictionary[ExecutionTracker, Ledger]] = WeakKeyDictionary()
_ledgers_lock: Final = threading.Lock()


def ledger_of(tracker: ExecutionTracker) -> Ledger:
    """The ledger of a tracker, made when first asked for."""
    with _ledgers_lock:
        return _ledgers.setdefault(tracker, Ledger())
