"""Records as plain data, for `--json`: enums by value, times in nanoseconds since the epoch, results decoded."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

from runstate import (
    CAUSES,
    TRANSITIONS,
    Created,
    Entry,
    Evidence,
    ExecutionRecord,
    ExecutionState,
    Finding,
    Phase,
    PhaseChange,
)

from ._console import Plain


def record_data(record: ExecutionRecord) -> dict[str, Plain]:
    """Describe an execution as data."""
    names = [field.name for field in fields(record) if not field.name.endswith("_json")]
    data = {name: _plain(getattr(record, name)) for name in names}
    return {**data, "metadata": record.metadata, "result": record.result}


def entry_data(entry: Entry) -> dict[str, Plain]:
    """Describe one line of a log as data; `kind` tells the three kinds apart."""
    kind = "created" if isinstance(entry, Created) else "phase" if isinstance(entry, PhaseChange) else "transition"
    data: dict[str, Plain] = {"kind": kind}
    for name, value in entry._asdict().items():
        if not name.endswith("_json"):
            data[name] = _plain(value)
    if not isinstance(entry, Created | PhaseChange):
        data["result"] = entry.result
    return data


def finding_data(finding: Finding) -> dict[str, Plain]:
    """Describe a finding as data."""
    return {"rule": finding.rule, "execution_id": finding.execution_id, "message": finding.message}


def table_data() -> dict[str, Plain]:
    """Describe the transition table as data."""
    return {
        "transitions": {state.value: _values(TRANSITIONS[state]) for state in ExecutionState},
        "causes": {state.value: sorted(cause.value for cause in causes) for state, causes in CAUSES.items()},
        "phases": [phase.value for phase in Phase],
    }


def _values(states: frozenset[ExecutionState]) -> list[Plain]:
    return [state.value for state in ExecutionState if state in states]


def _plain(value: object) -> Plain:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Evidence):
        return {name: _plain(part) for name, part in value._asdict().items()}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a field of type {type(value).__qualname__} has no form in JSON yet; give it one here")
