"""The guarantee, after a short storm."""

from __future__ import annotations

from .stores import on_each_store
from .storm import storm

SEEDS = {"sqlite": 474, "postgres": 757}
"""Storms of eight seconds that have nearly everything: kills, a zombie, a crash of the server, a reset."""


def test_after_a_storm_everything_is_as_promised() -> None:
    """After kills, stops, cuts and crashes of the server each execution has one end, and every promise is kept."""
    for store, faults in on_each_store(raged).items():
        assert faults >= 4, f"a storm that hardly hits proves little: {store}"


def raged(store: str) -> int:
    """Let a storm rage, and a longer one where a busy machine has left it hardly any time; say how much it has hit."""
    faults = 0
    for seconds in (8.0, 16.0, 32.0):
        outcome = storm(store, SEEDS[store], seconds=seconds, lease=1.5, pace=3.0, agents=3)
        assert outcome.findings == []
        faults = sum(outcome.faults.values())
        if faults >= 4 and outcome.counts.get("buried") and outcome.counts.get("said ended", 0) > 50:
            break
    return faults
