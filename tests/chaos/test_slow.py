"""Slow is not dead."""

from __future__ import annotations

from .slow import slow
from .stores import on_each_store


def test_nobody_is_held_for_dead_who_is_slow() -> None:
    """With loops blocked, the GIL held, the clock set, cores pegged and pauses below the lease everybody lives and completes."""
    found = on_each_store(lambda store: slow(store, seed=1, seconds=2.5, lease=2.0))
    assert found == {"sqlite": [], "postgres": []}
