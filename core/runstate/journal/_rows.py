"""What the statements of `_sql` select, decoded: rows to events and records, through the strict codec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, cast

from .._codec import decode_created, decode_phase_change, decode_record, decode_transition, decode_warned
from .._errors import RecordDecodeError
from .._fleet import Unsettled
from .._records import Census, Ends, Entry, Event, ExecutionRecord, by_time
from .._states import ExecutionState

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Value, ...]
_STATES: Final = {state.value: state for state in ExecutionState}


def census_of(rows: Iterable[Row]) -> Census:
    """Decode the rows of `count`: state, count, span, and of live ones the first number and whose it is.

    Raises:
        RecordDecodeError: A row holds no state.
    """
    live: dict[ExecutionState, int] = {}
    ended: list[Ends] = []
    first: tuple[int, str] | None = None
    for state, count, span, number, execution_id in cast("Iterable[tuple[str, int, int | None, int, str]]", rows):
        known = _STATES.get(state)
        if known is None:
            raise RecordDecodeError("state", "a state", state)
        if span is None:
            live[known] = count
            first = min(first or (number, execution_id), (number, execution_id))
        else:
            ended.append(Ends(span, known, count))
    return Census(live, None if first is None else first[1], by_time(ended))


def event_of(row: Row) -> Event:
    """Decode a row of `read_events`; raises `RecordDecodeError` when it is not valid."""
    (position, execution_id, seq, at_ns, incarnation, source, target, phase, detail, cause, error, evidence_json,
     result_json, agent, thread_id, user_id, timeout, heartbeat_timeout, metadata_json,
     retry_of, attempt, message_id) = row  # fmt: skip
    place: dict[str, object] = {"execution_id": execution_id, "seq": seq, "at_ns": at_ns, "incarnation": incarnation}
    entry: Entry
    if phase is not None:
        entry = decode_phase_change({**place, "phase": phase, "detail": detail})
    elif source is None and target is None:
        entry = decode_warned({**place, "cause": cause, "detail": detail})
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
                "retry_of": retry_of,
                "attempt": attempt,
                "message_id": message_id,
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
    names = _name("agent", agent), _name("thread_id", thread_id), _name("user_id", user_id)
    return Event(cast("int", position), entry, *names)  # a rowid is an integer, whatever becomes of the file


def _name(column: str, value: Value) -> str:
    """Check a name that stands beside the entry, not in it."""
    if not isinstance(value, str) or not value:
        raise RecordDecodeError(column, "a text of at least 1 character", value)
    return value


_RECORD_COLUMNS: Final = (
    "execution_id", "agent", "thread_id", "user_id", "state", "seq", "created_at_ns", "updated_at_ns", "incarnation",
    "timeout", "heartbeat_timeout", "phase", "phase_detail", "cause", "error", "metadata_json", "result_json",
    "evidence_json", "retry_of", "attempt", "message_id",
)  # fmt: skip


def record_of(row: Row) -> ExecutionRecord:
    """Decode a row of `read_executions`; raises `RecordDecodeError` when it is not valid."""
    return decode_record(dict(zip(_RECORD_COLUMNS, row, strict=True)))


def unsettled_of(row: Row) -> Unsettled:
    """Decode the same, when it gave its last sign of life, and the time of the store; raises `RecordDecodeError` when it is not valid."""
    *record, signed_at_ns, now_ns = row
    if not isinstance(signed_at_ns, int):
        raise RecordDecodeError(
            "signed_at_ns", "nanoseconds since the epoch: a live execution has an entry", signed_at_ns
        )
    if not isinstance(now_ns, int):
        raise RecordDecodeError("now_ns", "nanoseconds since the epoch", now_ns)
    return Unsettled(record_of(tuple(record)), signed_at_ns, now_ns)
