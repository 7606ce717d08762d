"""The figures of a demo, as data and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ._account import Account
from ._console import STYLES, Plain, shown, span, state_text
from ._issue import LINE, MYPY_MISSING, Verdict
from ._plain import finding_data
from ._recording import Fault
from ._replay import Replay
from ._views import findings_view

_BAR: Final = 24
"""Characters of the longest bar."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that a demo has found out."""

    seed: int
    speed: float
    fault_rate: float
    conversations: int
    journal: str | None
    """The file that was kept, or None."""
    commits: int
    done: Replay
    account: Account
    verdict: Verdict

    @property
    def is_sound(self) -> bool:
        """Whether nothing was lost: no silent execution, every end as planned, a sound journal, #305's line refused."""
        return (
            self.account.silent == 0
            and not self.done.unplanned
            and not self.account.findings
            and self.verdict.production is not None
            and self.verdict.unchanged
        )

    @property
    def moves_per_second(self) -> float:
        """Moves in the journal by the seconds that the replay took."""
        return self.account.moves / self.done.seconds

    @property
    def bytes_per_execution(self) -> float:
        """Size of the checkpointed file by finished executions."""
        return self.account.file_bytes / max(1, self.account.executions)

    def data(self) -> Plain:
        """Describe everything as data. Durations are seconds."""
        account, done = self.account, self.done
        return {
            "seed": self.seed,
            "speed": self.speed,
            "fault_rate": self.fault_rate,
            "journal": self.journal,
            "conversations": self.conversations,
            "executions": account.executions,
            "ends": [
                {"state": state.value, "cause": None if cause is None else cause.value, "executions": number}
                for (state, cause), number in account.ends.items()
            ],
            "silent": account.silent,
            "unplanned": list(done.unplanned),
            "injected": {fault.name.lower(): number for fault, number in done.injected.items()},
            "handovers": done.handovers,
            "tool_errors": done.tool_errors,
            "steps": done.steps,
            "seconds": done.seconds,
            "moves": account.moves,
            "entries": account.entries,
            "commits": self.commits,
            "moves_per_second": self.moves_per_second,
            "move": {"p50": percentile(done.move_ns, 50), "p99": percentile(done.move_ns, 99)},
            "durable_end": {"p50": percentile(done.end_ns, 50), "p99": percentile(done.end_ns, 99)},
            "file_bytes": account.file_bytes,
            "bytes_per_execution": self.bytes_per_execution,
            "findings": [finding_data(finding) for finding in account.findings],
            "issue_305": {
                "line": LINE,
                "mypy": self.verdict.mypy,
                "production": self.verdict.production,
                "unchanged": self.verdict.unchanged,
            },
        }


def percentile(durations_ns: list[int], percent: int) -> float | None:
    """The nearest-rank percentile of durations, in seconds; None where there are none."""
    if not durations_ns:
        return None
    return sorted(durations_ns)[max(0, -(-percent * len(durations_ns) // 100) - 1)] / 1e9


def report(figures: Figures) -> RenderableType:
    """The figures as tables."""
    parts: list[RenderableType] = [
        _title(figures),
        _section("how they ended", _ends(figures.account)),
        _section("what was in their way", _troubles(figures.done)),
        _section("what it cost", _costs(figures)),
        _section("what was lost", _losses(figures)),
        _section("issue #305, shown twice", _issue(figures.verdict)),
    ]
    if figures.journal is not None:
        parts.append(
            Text("\nThe journal is kept; look into it with: runstate ls ", "dim").append(shown(figures.journal))
        )
    return Group(*parts)


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(f"\n{title}", "bold"), Padding(content, (0, 0, 0, 2), expand=False))


def _grid(*alignments: Literal["left", "right"]) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for alignment in alignments:
        grid.add_column(justify=alignment, overflow="fold")
    return grid


def _title(figures: Figures) -> Text:
    account = figures.account
    title = Text("runstate demo", "bold reverse").append("  ", "not reverse")
    title.append(
        f"{figures.conversations} recorded conversations of a real agent, all at once: ", "not bold not reverse"
    )
    title.append(f"{account.executions:,} executions", "bold not reverse")
    return title.append(f" in {span(figures.done.seconds)}, seed {figures.seed}", "not bold not reverse")


def _ends(account: Account) -> Table:
    grid = _grid("left", "left", "right", "left")
    most = max(account.ends.values(), default=1)
    for (state, cause), number in account.ends.items():
        bar = Text("━" * max(1, round(_BAR * number / most)), STYLES[state])
        grid.add_row(state_text(state), "" if cause is None else cause.name, f"{number:,}", bar)
    grid.add_row("", Text("together", "dim"), Text(f"{sum(account.ends.values()):,}", "bold"))
    return grid


def _troubles(done: Replay) -> Table:
    grid = _grid("left", "right", "left")
    for fault, number in done.injected.items():
        grid.add_row(fault.value, f"{number}", Text(f"injected, so {_BECOMES[fault]}", "dim"))
    grid.add_row("a tool's error", f"{done.tool_errors}", Text("recorded; the agent went on", "dim"))
    grid.add_row(
        "a handover to a human", f"{done.handovers}", Text("recorded; COMPLETED, and the result says so", "dim")
    )
    return grid


_BECOMES: Final = {
    Fault.RAISE: "FAILED with the exception",
    Fault.HANG: "TIMEOUT at its deadline",
    Fault.CANCEL: "CANCELLED, durably",
    Fault.NOT_JSON: "FAILED with a NotJsonError",
    Fault.DICT_STATE: "FAILED with a StateTypeError",
}


def _costs(figures: Figures) -> Table:
    account, done = figures.account, figures.done
    grid = _grid("left", "left")
    grid.add_row(
        "moves",
        f"{account.moves:,}, {figures.moves_per_second:,.0f} a second; with phases {account.entries:,} log entries "
        f"in {figures.commits:,} commits",
    )
    grid.add_row("a move", _percentiles(done.move_ns))
    grid.add_row("a durable end", f"{_percentiles(done.end_ns)}, from leaving the block to being on disk")
    grid.add_row(
        "the journal", f"{account.file_bytes:,} bytes, {figures.bytes_per_execution:,.0f} for each finished execution"
    )
    return grid


def _percentiles(durations_ns: list[int]) -> str:
    shares = [(percent, percentile(durations_ns, percent)) for percent in (50, 99)]
    return ", ".join(f"p{percent} {'-' if value is None else span(value)}" for percent, value in shares)


def _losses(figures: Figures) -> RenderableType:
    account, done = figures.account, figures.done
    grid = _grid("left", "left")
    grid.add_row(
        Text("silent", "bold"),
        _mark(
            account.silent,
            "every execution has exactly one end, and every asker got it",
            "executions without an end or an answer",
        ),
    )
    grid.add_row(
        Text("unplanned", "bold"),
        _mark(len(done.unplanned), "every turn ended as the plan says", "turns ended otherwise"),
    )
    grid.add_row(
        Text("verify", "bold"),
        _mark(len(account.findings), "every invariant holds in the journal", "found wrong in the journal"),
    )
    details: list[RenderableType] = [shown(unplanned, "red") for unplanned in done.unplanned]
    if account.findings:
        details.append(findings_view(account.findings))
    return Group(grid, *details)


def _mark(wrong: int, fine: str, otherwise: str) -> Text:
    if wrong:
        return Text(f"{wrong:,} ", "bold red").append(otherwise)
    return Text("0 ", "bold green").append(fine, "not bold default")


def _issue(verdict: Verdict) -> RenderableType:
    grid = _grid("left", "left")
    if verdict.mypy is None:
        grid.add_row(Text("mypy", "bold"), Text(MYPY_MISSING, "yellow"))
    else:
        grid.add_row(Text("mypy", "bold"), shown(verdict.mypy, "red"))
    if verdict.production is None:
        grid.add_row(Text("production", "bold"), Text("has accepted it", "bold red"))
    else:
        grid.add_row(Text("production", "bold"), shown(verdict.production, "red"))
    after = "the execution is as it was" if verdict.unchanged else "and the execution was changed"
    grid.add_row("", Text(after, "dim"))
    return Group(Text(LINE, "cyan"), grid)
