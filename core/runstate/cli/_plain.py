"""Records as plain data, for `--json`: enums by value, times in nanoseconds since the epoch, results decoded."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Final

from runstate import (
    CAUSES,
    TRANSITIONS,
    CancelRequest,
    Created,
    Diagnosis,
    Entry,
    Evidence,
    ExecutionRecord,
    ExecutionState,
    Fence,
    Finding,
    NoticeRecord,
    OutboxRecord,
    Phase,
    PhaseChange,
    RejectedMove,
    Transition,
    Warned,
    Worker,
)

from ._console import Plain

_KINDS: Final[dict[type[Entry], str]] = {
    Created: "created",
    Transition: "transition",
    PhaseChange: "phase",
    Warned: "warned",
}


def record_data(record: ExecutionRecord) -> dict[str, Plain]:
    """Describe an execution as data."""
    names = [field.name for field in fields(record) if not field.name.endswith("_json")]
    data = {name: _plain(getattr(record, name)) for name in names}
    return {**data, "metadata": record.metadata, "result": record.result}


def entry_data(entry: Entry) -> dict[str, Plain]:
    """Describe one line of a log as data; `kind` tells the kinds apart."""
    data: dict[str, Plain] = {"kind": _KINDS[type(entry)]}
    for name, value in entry._asdict().items():
        if not name.endswith("_json"):
            data[name] = _plain(value)
    if isinstance(entry, Transition):
        data["result"] = entry.result
    return data


def finding_data(finding: Finding) -> dict[str, Plain]:
    """Describe a finding as data."""
    return {"rule": finding.rule, "execution_id": finding.execution_id, "message": finding.message}


def worker_data(worker: Worker) -> dict[str, Plain]:
    """Describe a worker as data."""
    data = {name: _plain(value) for name, value in worker._asdict().items()}
    return {**data, "state": worker.state.value}


def request_data(request: CancelRequest) -> dict[str, Plain]:
    """Describe a request to cancel as data."""
    return {name: _plain(value) for name, value in request._asdict().items()}


def rejected_data(rejected: RejectedMove) -> dict[str, Plain]:
    """Describe an end that came too late as data."""
    return {"move": entry_data(rejected.move), "rejected_at_ns": rejected.rejected_at_ns}


def notice_data(notice: NoticeRecord) -> dict[str, Plain]:
    """Describe a notice as data."""
    return {name: _plain(value) for name, value in notice._asdict().items()}


def outbox_data(outbox: OutboxRecord) -> dict[str, Plain]:
    """Describe an outbox as data."""
    return {name: _plain(value) for name, value in outbox._asdict().items()}


def diagnosis_data(diagnosis: Diagnosis) -> dict[str, Plain]:
    """Describe a diagnosis as data."""
    return {
        **{name: _plain(value) for name, value in diagnosis._asdict().items() if name != "execution_ids"},
        "execution_ids": list(diagnosis.execution_ids),
    }


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
    if isinstance(value, Evidence | Fence):
        return {name: _plain(part) for name, part in value._asdict().items()}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a field of type {type(value).__qualname__} has no form in JSON yet; give it one here")
