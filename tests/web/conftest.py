"""Fixtures for the tests of the web app."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runstate import ExecutionTracker

from ..stores import Store
from .servers import Served, serve


@pytest.fixture
def tracker(store: Store) -> Iterator[ExecutionTracker]:
    """An open tracker on each store in turn, on this machine's clock."""
    with ExecutionTracker(store.journal()) as tracker:
        yield tracker


@pytest.fixture
def served(tracker: ExecutionTracker) -> Iterator[Served]:
    """That tracker, served to this machine."""
    with serve(tracker) as served:
        yield served
