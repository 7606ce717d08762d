"""Slow is not dead."""

from __future__ import annotations

from runstate import Cause, Fence
from runstate._fleet import Worker

from .silences import expired
from .slow import slow
from .stores import on_each_store


def test_nobody_is_held_for_dead_who_is_slow() -> None:
    """With loops blocked, the GIL held, the clock set, cores pegged and pauses below the lease everybody lives and completes."""
    found = on_each_store(lambda store: slow(store, seed=1, seconds=2.5, lease=2.0))
    assert found == {"sqlite": [], "postgres": []}


def test_a_lease_runs_out_by_right_no_more_often_than_its_worker_was_silent() -> None:
    """An expired lease is excused only by a silence of its own process, and no other death is."""
    workers = [
        Worker(number, f"{number}", 0, "host", pid, fence=Fence("by", cause, None, 0, 0))
        for number, (pid, cause) in enumerate(
            [
                (1, Cause.LEASE_EXPIRED),
                (2, Cause.LEASE_EXPIRED),
                (2, Cause.LEASE_EXPIRED),
                (3, Cause.LEASE_EXPIRED),
                (4, Cause.PROCESS_EXITED),
            ]
        )
    ]
    assert expired(workers, {1: 1, 2: 1, 3: 0, 4: 1}) == {"0"}
