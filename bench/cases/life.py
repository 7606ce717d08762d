"""A whole life in memory, with ten heartbeats and the journal's work, against the bare moves of two state machines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from bench.pairs import Row, paired
from bench.rivals import python_statemachine, runstate_tracker, transitions_machine

LIVES = 1_000


def measure(folder: Path) -> list[Row]:
    """Measure the three rows."""
    return [
        measure_rival("life.transitions", transitions_machine.lives, folder, lives=LIVES, pairs=41),
        measure_rival(
            "life.transitions_shared", transitions_machine.lives_on_one_machine, folder, lives=LIVES, pairs=41
        ),
        measure_rival("life.statemachine", python_statemachine.lives, folder, lives=LIVES // 10, pairs=41),
    ]


def measure_rival(
    gate: str,
    rival: Callable[[Path], AbstractContextManager[Callable[[int], None]]],
    folder: Path,
    *,
    lives: int,
    pairs: int,
) -> Row:
    """Measure one row; the rival lives that many lives while we live a thousand."""
    with runstate_tracker.lives(folder) as ours, rival(folder) as theirs:
        ratio = paired(
            lambda: partial(ours, LIVES), lambda: partial(theirs, lives), operations=(LIVES, lives), pairs=pairs
        )
    return Row.speed(gate, ratio)
