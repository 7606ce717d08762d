"""Times two pieces of work in pairs, A B B A A B …, so that whatever slows the machine down slows both.

A ratio inside one pair is free of the drift that makes absolute times useless on a shared machine; the median over many
pairs is free of the pairs that something disturbed. The garbage collector is off while the clock runs, and runs between.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

Work = Callable[[], object]
"""What is timed. It may return, as a float, the seconds that it took, if it knows better than its caller."""
Prepare = Callable[[], Work]
"""Makes ready, untimed, and returns what is timed."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The outcome of timing two pieces of work in pairs. Times are seconds for one operation."""

    median: float
    """Median over the pairs of our time divided by theirs."""
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    ours: float
    theirs: float
    pairs: int

    @property
    def inverse(self) -> Ratio:
        """Their time divided by ours: how many times faster we are."""
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low, self.ours, self.theirs, self.pairs)


@dataclass(slots=True)
class Row:
    """One measured line of the table: `gate` names its budget in budgets.toml."""

    gate: str
    value: float
    low: float | None = None
    high: float | None = None
    ours: float | None = None
    theirs: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def cost(cls, gate: str, ratio: Ratio, **notes: Any) -> Row:
        """A row for `at_most`: our time divided by theirs."""
        return cls(gate, ratio.median, ratio.low, ratio.high, ratio.ours, ratio.theirs, notes)

    @classmethod
    def speed(cls, gate: str, ratio: Ratio, **notes: Any) -> Row:
        """A row for `at_least`: their time divided by ours."""
        return cls.cost(gate, ratio.inverse, **notes)

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return asdict(self)


def duration(seconds: float) -> str:
    """Seconds as text with three significant digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def paired(ours: Prepare, theirs: Prepare, *, operations: int | tuple[int, int], pairs: int) -> Ratio:
    """Time both, *pairs* times each, in alternating order, after one untimed round.

    Args:
        ours: Makes our work ready.
        theirs: Makes the other work ready.
        operations: How many operations one piece of work does; two numbers where ours does more than theirs, so that both
            take long enough to be steady.
        pairs: How many pairs; odd, so that the median is a measured one.
    """
    our_count, their_count = operations if isinstance(operations, tuple) else (operations, operations)
    _time(ours)
    _time(theirs)
    our_times: list[float] = []
    their_times: list[float] = []
    for turn in range(pairs):
        if turn % 2:
            our_times.append(_time(ours) / our_count)
            their_times.append(_time(theirs) / their_count)
        else:
            their_times.append(_time(theirs) / their_count)
            our_times.append(_time(ours) / our_count)
    ratios = [a / b for a, b in zip(our_times, their_times, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high, statistics.median(our_times), statistics.median(their_times), pairs)


def _time(prepare: Prepare) -> float:
    work = prepare()
    gc.collect()
    gc.freeze()  # what survived need not be walked again before the next measurement
    gc.disable()
    try:
        begin = time.perf_counter_ns()
        told = work()
        taken = (time.perf_counter_ns() - begin) / 1e9
        return told if isinstance(told, float) else taken
    finally:
        gc.enable()
