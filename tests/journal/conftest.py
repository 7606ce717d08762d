"""Fixtures for the tests that talk to a journal directly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runstate import ExecutionTracker
from runstate.journal import Journal

from ..clock import FakeClock
from ..stores import Store
from .doubles import SwitchableJournal


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    """An open, empty journal of each store in turn."""
    journal = store.journal()
    yield journal
    journal.close()


@pytest.fixture
def switchable() -> SwitchableJournal:
    """A journal that takes everything at once, until it is told otherwise."""
    return SwitchableJournal()


@pytest.fixture
def tracker(switchable: SwitchableJournal, clock: FakeClock) -> Iterator[ExecutionTracker]:
    """A tracker on `switchable`, which works again before the tracker is closed."""
    tracker = ExecutionTracker(switchable, clock=clock)
    yield tracker
    switchable.failure = None
    switchable.open.set()
    tracker.close()
