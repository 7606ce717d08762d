"""One call of an empty method with two checked arguments, `(phase: Phase, detail: str | None)`, by four ways to check."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.pairs import Row, duration, paired
from bench.rivals import plain_call, pydantic_check, runstate_tracker, typeguard_check

CALLS = 2_000


def measure(folder: Path) -> list[Row]:
    """Measure both rows; what an unchecked call costs is told beside them."""
    measured = {}
    with runstate_tracker.checked_calls(folder) as ours:
        for name, rival in (("plain", plain_call), ("typeguard", typeguard_check), ("pydantic", pydantic_check)):
            with rival.checked_calls(folder) as theirs:
                measured[name] = paired(
                    lambda: partial(ours, CALLS),
                    lambda theirs=theirs: partial(theirs, CALLS),
                    operations=CALLS,
                    pairs=101,
                )
    notes = {"an unchecked call": duration(measured["plain"].theirs)}
    return [
        Row.speed("checked_call.typeguard", measured["typeguard"], **notes),
        Row.speed("checked_call.pydantic", measured["pydantic"], **notes),
    ]
