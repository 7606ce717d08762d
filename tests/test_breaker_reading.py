"""How breakers read the journal: behind the backs of calls, which never wait for it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from runstate import Breaker, Completed, ExecutionTracker, JournalUnavailableError
from runstate._breaker import Admission
from runstate.journal import Page
from runstate.journal.memory import MemoryJournal

from .calling import WHOSE
from .clock import FakeClock

BREAKER = Breaker(failures=1, window=60.0, cooldown=30.0)


class ReadingJournal(MemoryJournal):
    """A journal in memory whose reading can be held up, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.going = threading.Event()
        self.going.set()
        self.failure: JournalUnavailableError | None = None

    def read(self, after: int, limit: int, selection: Any, /) -> Page:
        """Read when it may."""
        self.reached.set()
        self.going.wait()
        if self.failure is not None:
            raise self.failure
        return super().read(after, limit, selection)


def test_no_call_waits_for_a_look(clock: FakeClock) -> None:
    """While a thread looks at a journal that does not answer, calls are admitted or refused as is known."""
    journal = ReadingJournal()
    with ExecutionTracker(journal, clock=clock) as tracker:
        agent = tracker.agent("airline", breaker=BREAKER)(lambda: [][0])  # noqa: PLE0643 - that is how it fails
        agent.bind(**WHOSE)()
        gate = tracker._breakers.gate("airline", BREAKER)
        journal.reached.clear()
        journal.going.clear()
        looking = threading.Thread(target=gate.look)
        looking.start()
        journal.reached.wait()
        assert gate.admit(1) is Admission.REFUSED
        assert "tried again in 30 s" in gate.refusal()
        journal.going.set()
        looking.join()


def test_a_journal_that_cannot_be_read(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """It costs no answer: calls are made, a probe as well, and the log says that a breaker cannot be followed."""
    journal = ReadingJournal()
    with ExecutionTracker(journal, clock=clock) as tracker:
        broken = [True]

        @tracker.agent("airline", breaker=BREAKER)
        def agent() -> str:
            if broken[0]:
                raise ConnectionError("no model")
            return "answer"

        agent.bind(**WHOSE)()
        clock.advance(30.0)
        broken[0], journal.failure = False, JournalUnavailableError("gone")
        assert isinstance(agent.bind(**WHOSE)(), Completed)
        tracker.sweep()
        tracker.sweep()
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3, (
            "its look, the call's, one for both sweeps"
        )
        journal.failure = None
        tracker.sweep()
        assert isinstance(agent.bind(**WHOSE)(), Completed)
