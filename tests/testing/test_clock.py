"""The clock that a test moves."""

from __future__ import annotations

import math

import pytest

from runstate import Cause, Clock, ExecutionState, ExecutionTracker, InvalidValueError
from runstate.journal.memory import MemoryJournal
from runstate.testing import FakeClock

from ..moves import create


def test_it_is_a_clock_that_stands_still() -> None:
    """It satisfies the protocol, and without a call no time passes."""
    clock = FakeClock()
    assert isinstance(clock, Clock)
    assert (clock.monotonic_ns(), clock.time_ns()) == (clock.monotonic_ns(), clock.time_ns())


def test_time_passes_on_both_clocks() -> None:
    """`advance` moves both clocks alike, to the nanosecond."""
    clock = FakeClock(monotonic_ns=100, time_ns=1_000)
    clock.advance(0.5)
    assert (clock.monotonic_ns(), clock.time_ns()) == (500_000_100, 500_001_000)


def test_a_step_moves_the_wall_clock_alone() -> None:
    """`step_wall` moves the wall clock, back too, and the monotonic clock not at all."""
    clock = FakeClock(monotonic_ns=100, time_ns=7_200_000_000_000)
    clock.step_wall(-3_600.0)
    assert (clock.monotonic_ns(), clock.time_ns()) == (100, 3_600_000_000_000)


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf])
def test_time_does_not_go_back(seconds: float) -> None:
    """A negative or impossible advance is refused, and no time has passed."""
    clock = FakeClock()
    before = clock.monotonic_ns(), clock.time_ns()
    with pytest.raises(InvalidValueError, match="step_wall"):
        clock.advance(seconds)
    assert (clock.monotonic_ns(), clock.time_ns()) == before


def test_it_drives_trackers() -> None:
    """What outlives its limit ends with the advance, on a tracker that the clock drives and on no other."""
    clock = FakeClock()
    with (
        ExecutionTracker(MemoryJournal(), clock=clock) as driven,
        ExecutionTracker(MemoryJournal(), clock=clock) as other,
    ):
        clock.drive(driven)
        run, late = create(driven, timeout=25.0).run(), create(other, timeout=25.0).run()
        clock.advance(24.9)
        assert run.state is ExecutionState.RUNNING
        clock.advance(0.1)
        assert run.state is ExecutionState.TIMEOUT
        assert driven.get(run.execution_id).cause is Cause.DEADLINE
        assert late.state is ExecutionState.RUNNING
        assert other.sweep() == 1
