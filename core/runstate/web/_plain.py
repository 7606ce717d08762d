"""Records as plain data: enums by value, times in nanoseconds since the epoch, results and metadata decoded.

What goes to a user, rather than to an operator, tells nothing of the machines: no stack, no host, no process id, no name of a worker.
"""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Any, Final, TypeAlias

from runstate import (
    CancelRequest,
    Created,
    Entry,
    Event,
    Evidence,
    ExecutionRecord,
    Fence,
    PhaseChange,
    RejectedMove,
    Transition,
    Warned,
    Worker,
)

Plain: TypeAlias = dict[str, Any]

KINDS: Final[dict[type[Entry], str]] = {
    Created: "created",
    Transition: "transition",
    PhaseChange: "phase",
    Warned: "warned",
}
"""How the wire calls each kind of entry."""

INTERNAL: Final = frozenset({"incarnation", "stack", "observer", "host", "pid", "owner", "by"})
"""Fields that tell of machines: null, or an empty text, for users."""


def record_data(record: ExecutionRecord, *, full: bool, bulk: bool = True) -> Plain:
    """Describe an execution.

    Args:
        record: Which.
        full: For an operator, rather than for the user.
        bulk: With its metadata and its result, which may be large.
    """
    names = [field.name for field in fields(record) if not field.name.endswith("_json")]
    data = {name: _plain(name, getattr(record, name), full) for name in names}
    return {**data, "metadata": record.metadata, "result": record.result} if bulk else data


def entry_data(entry: Entry, *, full: bool) -> Plain:
    """Describe one line of a log; `kind` tells the kinds apart."""
    data: Plain = {"kind": KINDS[type(entry)]}
    for name, value in entry._asdict().items():
        if not name.endswith("_json"):
            data[name] = _plain(name, value, full)
    if isinstance(entry, Transition):
        data["result"] = entry.result
    elif isinstance(entry, Created):
        data["metadata"] = metadata_of(entry)
    elif isinstance(entry, Warned) and not full:
        data["detail"] = None  # a stack, as a rule
    return data


def event_data(event: Event, *, full: bool) -> Plain:
    """Describe an entry that is stored, with its place in the journal."""
    whose = {"agent": event.agent, "thread_id": event.thread_id, "user_id": event.user_id}
    return {"position": event.position, **entry_data(event.entry, full=full), **whose}


def worker_data(worker: Worker) -> Plain:
    """Describe a worker, for an operator."""
    return {
        **{name: _plain(name, value, True) for name, value in worker._asdict().items()},
        "state": worker.state.value,
    }


def request_data(request: CancelRequest, *, full: bool) -> Plain:
    """Describe a request to cancel."""
    return {name: _plain(name, value, full) for name, value in request._asdict().items()}


def rejected_data(rejected: RejectedMove) -> Plain:
    """Describe an end that came too late, for an operator."""
    return {"move": entry_data(rejected.move, full=True), "rejected_at_ns": rejected.rejected_at_ns}


def metadata_of(created: Created) -> object:
    """The metadata that an execution was created with, decoded."""
    from pydantic_core import from_json

    return None if created.metadata_json is None else from_json(created.metadata_json)


def _plain(name: str, value: object, full: bool) -> Any:  # noqa: FBT001 - private, and hot
    if isinstance(value, Enum):
        return value.value
    if not full and name in INTERNAL:
        return None
    if isinstance(value, Evidence | Fence):
        return {part: _plain(part, inner, full) for part, inner in value._asdict().items()}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a field of type {type(value).__qualname__} has no form in JSON yet; give it one here")
