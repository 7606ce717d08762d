"""Fixtures: each store that processes share, and trackers on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import runstate
from runstate import ExecutionTracker

from ..journal.fleets import FLEETS, SharedStore
from .processes import Other


@pytest.fixture(params=sorted(FLEETS))
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> SharedStore:
    """Each store in turn, empty."""
    return FLEETS[request.param](tmp_path)


@pytest.fixture
def tracker(place: str) -> Iterator[ExecutionTracker]:
    """One tracker on `place`."""
    with runstate.open(place) as tracker:
        yield tracker


@pytest.fixture
def other(place: str) -> Iterator[Other]:
    """Another process that has opened `place`."""
    other = Other(place)
    yield other
    other.end()
