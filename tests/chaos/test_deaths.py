"""No death is unseen: whoever is killed, stands still or is cut off is dead in the journal, once, with all that it had."""

from __future__ import annotations

from runstate import Cause

from . import deaths
from .places import place
from .stores import on_each_store

LEASE = 1.5


def test_no_death_is_missed_and_none_is_counted_twice() -> None:
    """Who is killed with a hundred live executions is found dead by its end, who stands still or is cut off by its lease, no one else."""

    def watch(store: str) -> list[str]:
        with place(store, 1) as here:
            with deaths.watched(here, LEASE):
                assert len(deaths.kills(here, 3, LEASE)) == 3
                expired = deaths.stops(here, 1, LEASE, 10) + deaths.cuts(here, 1, LEASE, 10)
            return deaths.wrong_with(here, {Cause.PROCESS_EXITED: 3, Cause.LEASE_EXPIRED: len(expired)})

    assert on_each_store(watch) == {"sqlite": [], "postgres": []}
