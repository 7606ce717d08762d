"""A storm can be replayed, and has everything in it."""

from __future__ import annotations

import pytest

from .schedule import DECKS, LEASES, REST, schedule
from .stores import STORES


@pytest.mark.parametrize("store", STORES)
def test_a_seed_decides_everything(store: str) -> None:
    """The same seed gives the same faults, another seed gives others."""
    assert schedule(7, 600.0, store, 2.0, 4) == schedule(7, 600.0, store, 2.0, 4)
    assert schedule(7, 600.0, store, 2.0, 4) != schedule(8, 600.0, store, 2.0, 4)


@pytest.mark.parametrize("store", STORES)
def test_a_storm_has_all_kinds_within_its_time(store: str) -> None:
    """Every kind of fault comes, in order of time, each as long as it may last, and none goes on until the end."""
    faults = schedule(7, 600.0, store, 2.0, 4)
    assert {fault.kind for fault in faults} == set(DECKS[store])
    assert faults == sorted(faults, key=lambda fault: fault.at)
    for fault in faults:
        shortest, longest = LEASES.get(fault.kind, (0.0, 0.0))
        assert 2.0 * shortest <= fault.seconds <= 2.0 * longest
        assert fault.at + fault.seconds <= 596.0


def test_a_worker_suffers_one_thing_at_a_time() -> None:
    """Between two faults a worker has its rest, whatever befalls the others and the store."""
    for seed in range(20):
        free_at = [0.0] * 4
        for fault in schedule(seed, 300.0, "postgres", 2.0, 4, pace=5.0):
            for slot in fault.slots:
                assert fault.at >= free_at[slot]
                free_at[slot] = fault.at + fault.seconds + REST
