"""Fixtures for every test: a clock that stands still, each store, and a tracker on each store."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstate import ExecutionTracker

from . import cluster
from .clock import FakeClock
from .stores import EMBEDDED, STORES, Store

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would every program that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What a terminal's size is, each test says itself; a shell or a test runner may have exported its own.
os.environ.pop("COLUMNS", None)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `tracker`."""
    return FakeClock()


ON_A_SERVER = {
    "journal", "scenarios", "test_breaker", "test_delivery", "test_delivery_closing", "test_delivery_failing", "test_events", "test_exit",
    "test_flush", "test_limits", "test_messages", "test_retries", "test_scope", "test_scope_journal", "test_scope_troubles",
    "test_streams", "test_tracker", "test_wait",
}  # fmt: skip
"""The tests that run on PostgreSQL too, as modules and packages. What the rest say of a store they say of its protocol, and each
test with a database of its own takes 20 ms more."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a store on each in turn, unless it says on which."""
    marks = metafunc.definition.iter_markers("parametrize")
    said = {name for mark in marks for name in re.findall(r"\w+", str(mark.args[0]))}
    if "store" in metafunc.fixturenames and "store" not in said:
        everywhere = ON_A_SERVER & set(metafunc.module.__name__.split("."))
        metafunc.parametrize("store", sorted(STORES if everywhere else EMBEDDED), indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store in turn, empty."""
    return STORES[request.param](tmp_path)


@pytest.fixture
def tracker(store: Store, clock: FakeClock) -> Iterator[ExecutionTracker]:
    """An open tracker on each store in turn. Limits pass only by `clock.advance(…)` and `tracker.sweep()`."""
    with ExecutionTracker(store.journal(), clock=clock) as tracker:
        yield tracker


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty journal in each store that processes share, with the machine's own time."""
    if request.param == "sqlite":
        yield str(tmp_path / "runs.db")
        return
    url = cluster.server().journal()
    yield url
    cluster.server().drop(url)


@pytest.fixture
def private() -> cluster.Cluster:
    """A PostgreSQL server that a test may crash or give passwords to: always the private one."""
    if cluster.binaries() is None and cluster.VARIABLE in os.environ:
        pytest.skip(reason=f"{cluster.VARIABLE} names a server that is not ours, and we have no binaries")
    return cluster.cluster()
