"""Fixtures for every test: a clock that stands still, each store, and a tracker on each store."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import ExecutionTracker

from .clock import FakeClock
from .stores import STORES, Store

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would every program that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What a terminal's size is, each test says itself; a shell or a test runner may have exported its own.
os.environ.pop("COLUMNS", None)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `tracker`."""
    return FakeClock()


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store in turn, empty."""
    return STORES[request.param](tmp_path)


@pytest.fixture
def tracker(store: Store, clock: FakeClock) -> Iterator[ExecutionTracker]:
    """An open tracker on each store in turn. Limits pass only by `clock.advance(…)` and `tracker.sweep()`."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        yield tracker
