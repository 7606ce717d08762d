"""Fixtures for the tests that talk to a journal directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import ExecutionTracker
from runstate.journal import Journal

from .. import cluster
from ..clock import FakeClock
from ..stores import Store
from .doubles import SwitchableJournal
from .entries import OTHER_WORKER, WORKER
from .fleets import FLEETS, LEASE, Pair, SharedStore


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


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an empty PostgreSQL journal."""
    url = cluster.server().journal()
    yield url
    cluster.server().drop(url)


@pytest.fixture
def empty() -> Iterator[str]:
    """The URL of a PostgreSQL database that holds nothing."""
    url = cluster.server().empty_database()
    yield url
    cluster.server().drop(url)


@pytest.fixture(params=sorted(FLEETS))
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> SharedStore:
    """Each store in turn, empty."""
    return FLEETS[request.param](tmp_path)


@pytest.fixture
def pair(shared: SharedStore) -> Iterator[Pair]:
    """Two openings of an empty journal."""
    pair = Pair(shared.journal(), shared.journal())
    pair.one.join(WORKER, LEASE)
    pair.other.join(OTHER_WORKER, LEASE)
    yield pair
    for journal in pair:
        journal.close()
