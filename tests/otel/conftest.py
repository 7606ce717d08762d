"""Fixtures: the SDK's providers, and a tracker on a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import runstate
from runstate import ExecutionTracker

from .telemetry import Telemetry


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Providers of a program that samples everything."""
    telemetry = Telemetry()
    yield telemetry
    telemetry.shut_down()


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[ExecutionTracker]:
    """A tracker on a file, with the machine's time."""
    with runstate.open(tmp_path / "runs.db") as tracker:
        yield tracker
