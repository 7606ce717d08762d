"""Budgets, verdicts, and the table that is printed: a Markdown table with its columns aligned."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.pairs import duration

BUDGETS = Path(__file__).with_name("budgets.toml")
_BOUNDS = {"at_most": "≤", "at_least": "≥", "above": ">"}


@dataclass(frozen=True, slots=True)
class Gate:
    """One budget."""

    name: str
    module: str
    case: str
    against: str
    unit: str
    bound: str
    limit: float
    unmet: str = ""
    """Why the budget is not kept, where that is known and said; `holds` is then what may not get worse."""
    holds: float | None = None

    def accepts(self, value: float) -> bool:
        """Whether *value* keeps the budget."""
        return self._within(value, self.limit)

    def tolerates(self, value: float) -> bool:
        """Whether *value* keeps the budget, or a declared miss has not become worse."""
        return self.accepts(value) or (self.holds is not None and self._within(value, self.holds))

    def _within(self, value: float, limit: float) -> bool:
        return {"at_most": value <= limit, "at_least": value >= limit, "above": value > limit}[self.bound]

    def better(self, one: float, other: float) -> bool:
        """Whether *one* is better than *other*."""
        return one < other if self.bound == "at_most" else one > other

    @property
    def budget(self) -> str:
        """The budget as text."""
        return f"{_BOUNDS[self.bound]} {self.limit:,} {self.unit}"


def gates() -> list[Gate]:
    """Read budgets.toml.

    Raises:
        ValueError: A budget has not exactly one bound, or one of `unmet` and `holds` without the other.
    """
    found = []
    for name, fields in tomllib.loads(BUDGETS.read_text()).items():
        bounds = [bound for bound in _BOUNDS if bound in fields]
        if len(bounds) != 1:
            raise ValueError(f"budgets.toml: {name} must have one of {', '.join(_BOUNDS)}, not {bounds}")
        if ("unmet" in fields) is not ("holds" in fields):
            raise ValueError(f"budgets.toml: {name} needs both `unmet` and `holds`, or neither")
        unit = fields.get("unit", "×")
        found.append(
            Gate(
                name,
                fields["module"],
                fields["case"],
                fields["against"],
                unit,
                bounds[0],
                fields[bounds[0]],
                fields.get("unmet", ""),
                fields.get("holds"),
            )
        )
    return found


@dataclass(slots=True)
class Result:
    """What became of one gate: the row of its best attempt, or why there is none."""

    gate: Gate
    row: dict[str, Any] | None
    problem: str = ""
    attempts: int = 1

    @property
    def passed(self) -> bool:
        """Whether the budget is kept."""
        return self.row is not None and self.gate.accepts(self.row["value"])

    @property
    def tolerated(self) -> bool:
        """Whether the gate lets it through: the budget is kept, or its declared miss has not become worse."""
        return self.row is not None and self.gate.tolerates(self.row["value"])

    @property
    def verdict(self) -> str:
        """The last column."""
        if self.row is None:
            return "NOT MEASURED"
        verdict = "pass" if self.passed else "missed, declared" if self.tolerated else "MISSED"
        return verdict if self.attempts == 1 else f"{verdict} (best of {self.attempts})"

    def cells(self) -> list[str]:
        """The row's cells."""
        gate = self.gate
        if self.row is None:
            return [gate.case, gate.against, "–", "–", gate.budget, self.verdict]
        times = "–"
        if self.row["ours"] is not None:
            times = f"{duration(self.row['ours'])} : {duration(self.row['theirs'])}"
        return [gate.case, gate.against, _measured(gate, self.row), times, gate.budget, self.verdict]


def _measured(gate: Gate, row: dict[str, Any]) -> str:
    if gate.unit == "bytes":
        return f"{row['value']:,.0f} bytes"
    return f"{_ratio(row['value'])} {gate.unit} ({_ratio(row['low'])}–{_ratio(row['high'])})"


def _ratio(value: float) -> str:
    return f"{value:.3f}" if 0.9 < value < 1.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


HEADER = ["case", "against", "measured (quartiles)", "ours : theirs", "budget", "verdict"]


def table(results: list[Result]) -> str:
    """All results as a Markdown table with aligned columns."""
    rows = [HEADER, *(result.cells() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def notes(results: list[Result]) -> str:
    """What was measured beside the table's figures, one line for each gate that has any."""
    lines = []
    for result in results:
        if result.gate.unmet and not result.passed:
            lines.append(
                f"{result.gate.name}: declared miss, may not get past {result.gate.holds}: {result.gate.unmet}"
            )
        if result.problem:
            lines.append(f"{result.gate.name}: {result.problem}")
        if result.row is not None and result.row["notes"]:
            facts = "; ".join(f"{name}: {value}" for name, value in result.row["notes"].items())
            lines.append(f"{result.gate.name}: {facts}")
    return "\n".join(lines)
