"""What came of the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from runstate import ExecutionRecord

from ._faults import Fault
from ._points import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashRun:
    """One run of the scenario, and what the journal says of it afterwards."""

    point: Point | None
    """Where the fault was to happen; None for the undisturbed run."""
    fault: Fault | None
    """What was to happen there."""
    seed: int
    """What Python's `random` was seeded with."""
    reached: bool
    """Whether the run came by its point. An agent that takes another path each time may not."""
    exit_code: int | None
    """How its process ended: an exit code, or the number of the signal that killed it, negated; None if it had to be ended."""
    error: str | None
    """What left the scenario, if it raised."""
    executions: Sequence[ExecutionRecord]
    """All that it began and the journal knows, in order of their ids, as they are after everybody has gone."""
    problems: Sequence[str]
    """Promises that were broken; empty when all were kept."""
    printed: str = field(repr=False)
    """What it printed, tracebacks included."""

    def __str__(self) -> str:
        place = "undisturbed" if self.point is None else f"at {self.point.name!r} ({self.point.where})"
        fault = "" if self.fault is None else f"{self.fault.name} "
        states = ", ".join(f"{count} {state}" for state, count in sorted(self._states().items())) or "no execution"
        missed = "" if self.reached else "; it never came there"
        raised = "" if self.error is None else f"; it raised {self.error.partition(':')[0]}"
        return f"{fault}{place}: {states}{raised}{missed}"

    def _states(self) -> Counter[str]:
        return Counter(
            record.state.name if record.cause is None else f"{record.state.name} ({record.cause.name})"
            for record in self.executions
        )

    @property
    def replay(self) -> str:
        """How to run it again."""
        if self.point is None or self.fault is None:
            return "crash_lab.run(scenario, runs=0)"
        return f"crash_lab.replay(scenario, point={self.point.name!r}, fault=Fault.{self.fault.name}, seed={self.seed})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """All runs of one scenario."""

    seed: int
    """What chose the runs."""
    points: Sequence[Point]
    """All points of the undisturbed run, in the order in which it came by them."""
    runs: Sequence[CrashRun]
    """The undisturbed one, then one for each point and fault that were chosen."""

    @property
    def broken(self) -> Sequence[CrashRun]:
        """The runs in which a promise was broken."""
        return [run for run in self.runs if run.problems]

    @property
    def missed(self) -> Sequence[CrashRun]:
        """The runs that never came by their point."""
        return [run for run in self.runs if not run.reached]

    @property
    def proves_little(self) -> bool:
        """Whether more than half of the runs never came by their point."""
        return len(self.missed) > len([run for run in self.runs if run.point is not None]) / 2

    @property
    def summary(self) -> str:
        """What came of it, in one line."""
        said = f"{len(self.points)} points, {len(self.runs)} runs, seed {self.seed}; {len(self.broken)} broken"
        if self.missed:
            said += f", {len(self.missed)} never came by their point"
        if self.proves_little:
            said += ": they prove nothing; have the scenario take the same path each time"
        return said

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {run}" for run in self.runs)])


class BrokenGuaranteeError(AssertionError):
    """A promise was broken in at least one run. It is an `AssertionError`, so a test that meets it has failed."""

    def __init__(self, report: CrashReport) -> None:
        super().__init__(report)
        self.report = report
        """All runs."""

    def __str__(self) -> str:
        report, broken = self.report, self.report.broken
        lines = [
            f"{len(broken)} of {len(report.runs)} runs broke a promise (seed {report.seed}, {len(report.points)} points)"
        ]
        for run in broken[:3]:
            lines += ["", str(run), *(f"  - {problem}" for problem in run.problems), f"  again: {run.replay}"]
            lines += [f"  | {line}" for line in run.printed.splitlines()[-15:]]
        if len(broken) > 3:
            lines += ["", f"and {len(broken) - 3} more: see .report.broken"]
        return "\n".join(lines)


class ScenarioError(Exception):
    """The scenario proves nothing: it fails undisturbed, tracks nothing, or cannot be run in a process of its own."""
