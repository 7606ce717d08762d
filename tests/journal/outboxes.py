"""The stores that keep notices, as their tests need them: all of them. Another joins every test by one more line in `OUTBOXES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from runstate import ExecutionState, Limits
from runstate._notices import Notice, NoticeRecord, NoticeState, Settlement, Verdict
from runstate.journal import Fleet, Journal, Outbox
from runstate.journal.memory import MemoryJournal

from ..clock import FakeClock
from .entries import WORKER, lives
from .fleets import FLEETS, LEASE

BOX = "default"
COMPLETED = ExecutionState.COMPLETED


class OutboxJournal(Journal, Outbox, Protocol):
    """A journal that keeps notices."""


class OutboxStore(Protocol):
    """One place that holds at most one journal's data, and whose time a test can let pass."""

    name: str

    def journal(self, limits: Limits | None = None) -> Journal:
        """Open the journal."""
        ...

    def let_pass(self, seconds: float) -> None:
        """Let time pass, by the store's clock."""
        ...


class MemoryOutboxStore:
    """A journal in memory whose clock stands still."""

    name = "memory"

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()

    def journal(self, limits: Limits | None = None) -> Journal:
        """Make a journal."""
        return MemoryJournal(limits, clock=self.clock)

    def let_pass(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.advance(seconds)


OUTBOXES: dict[str, Callable[[Path], OutboxStore]] = {"memory": MemoryOutboxStore, **FLEETS}


def opened(store: OutboxStore, *workers: str, limits: Limits | None = None) -> OutboxJournal:
    """A journal of the store in which these workers are there."""
    journal = store.journal(limits)
    assert isinstance(journal, Outbox)
    if isinstance(journal, Fleet):
        for incarnation in workers:
            journal.join(incarnation, LEASE)
    return journal  # type: ignore[return-value]  # it is both, which no type of isinstance says


def claimed(journal: Outbox, worker: str = WORKER, limit: int = 100, box: str = BOX) -> list[str]:
    """The ids of the notices that a worker can take."""
    return [notice.notice_id for notice in journal.claim(box, worker, limit)]


def settled(journal: Outbox, verdict: Verdict, *names: str, worker: str = WORKER, pause: float = 0.0) -> Sequence[str]:
    """Say what came of some notices; return what could not be acknowledged."""
    error = None if verdict in {Verdict.DELIVERED, Verdict.RELEASED} else "ConnectionError: gone"
    return journal.settle(BOX, worker, [Settlement(name, verdict, error, pause) for name in names])


def ended(journal: Journal, *names: str) -> None:
    """Have executions of WORKER's completed."""
    journal.append(lives(names, COMPLETED))


def states(journal: Outbox, box: str = BOX) -> dict[str, NoticeState]:
    """The state of every notice in an outbox."""
    return {one.notice_id: one.state for one in journal.notices(box, None, None, 1_000)}


def the(journal: Outbox, name: str, box: str = BOX) -> NoticeRecord:
    """One notice."""
    (found,) = [one for one in journal.notices(box, None, None, 1_000) if one.notice_id == name]
    return found


def outline(notices: Sequence[Notice]) -> list[tuple[str, int]]:
    """Ids and attempts."""
    return [(notice.notice_id, notice.attempt) for notice in notices]
