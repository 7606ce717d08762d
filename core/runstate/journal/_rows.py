"""What the statements of `_sql` select, decoded: rows to events and records, through the strict codec."""

from __future__ import annotations

from typing import Final, TypeAlias

from .._codec import decode_created, decode_phase_change, decode_record, decode_transition
from .._records import Entry, Event, ExecutionRecord

Row: TypeAlias = tuple[str | int | float | None, ...]


def event_of(row: Row) -> Event:
    """Decode a row of `read_events`; raises `RecordDecodeError` when it is not valid."""
    (position, execution_id, seq, at_ns, incarnation, source, target, phase, detail, cause, error, evidence_json,
     result_json, agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json) = row  # fmt: skip
    place: dict[str, object] = {"execution_id": execution_id, "seq": seq, "at_ns": at_ns, "incarnation": incarnation}
    entry: Entry
    if phase is not None:
        entry = decode_phase_change({**place, "phase": phase, "detail": detail})
    elif source is None:
        entry = decode_created(
            {
                **place,
                "agent": agent,
                "thread_id": thread_id,
                "user_id": user_id,
                "timeout": timeout,
                "heartbeat_timeout": heartbeat_timeout,
                "metadata_json": metadata_json,
            }
        )
    else:
        entry = decode_transition(
            {
                **place,
                "source": source,
                "target": target,
                "cause": cause,
                "error": error,
                "evidence_json": evidence_json,
                "result_json": result_json,
            }
        )
    return Event(int(position or 0), entry, str(agent), str(thread_id), str(user_id))


_RECORD_COLUMNS: Final = (
    "execution_id", "agent", "thread_id", "user_id", "state", "seq", "created_at_ns", "updated_at_ns", "incarnation",
    "timeout", "heartbeat_timeout", "phase", "phase_detail", "cause", "error", "metadata_json", "result_json",
    "evidence_json",
)  # fmt: skip


def record_of(row: Row) -> ExecutionRecord:
    """Decode a row of `read_executions`; raises `RecordDecodeError` when it is not valid."""
    return decode_record(dict(zip(_RECORD_COLUMNS, row, strict=True)))
