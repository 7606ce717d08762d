"""Whether what was stored has exactly the types that it should have: no subclass, no look-alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from enum import Enum
from typing import Any

from runstate import Cause, Entry, Evidence, ExecutionRecord, ExecutionState, Phase, PhaseChange, Warned

TEXTS = {"execution_id", "agent", "thread_id", "user_id", "incarnation", "observer"}
COUNTS = {"attempt", "seq", "at_ns", "created_at_ns", "updated_at_ns", "beats"}
STATES = {"state", "source", "target"}
MAYBE: dict[str, type] = {
    "timeout": float,
    "heartbeat_timeout": float,
    "last_beat_age": float,
    "phase": Phase,
    "last_phase": Phase,
    "cause": Cause,
    "evidence": Evidence,
    "error": str,
    "phase_detail": str,
    "last_phase_detail": str,
    "detail": str,
    "stack": str,
    "reason": str,
    "retry_of": str,
    "message_id": str,
    "metadata_json": bytes,
    "result_json": bytes,
}


def wrong_types(fact: ExecutionRecord | Entry | Evidence) -> Iterator[str]:
    """Yield the fields of a record or an entry that have another type than they should."""
    names = fact.__slots__ if isinstance(fact, ExecutionRecord) else fact._fields
    for name in names:
        value: Any = getattr(fact, name)
        if name in TEXTS:
            fits = type(value) is str
        elif name in COUNTS:
            fits = type(value) is int
        elif name in STATES:
            fits = type(value) is ExecutionState
        elif name == "phase" and isinstance(fact, PhaseChange):
            fits = type(value) is Phase
        elif name == "cause" and isinstance(fact, Warned):
            fits = type(value) is Cause
        else:
            fits = value is None or type(value) is MAYBE[name]
        if not fits:
            yield f"{type(fact).__name__}.{name} is {value!r}"
        if type(value) is Evidence:
            yield from wrong_types(value)
        if name.endswith("_json") and value is not None:
            json.loads(value, parse_constant=_no_constant)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def rows_of_wrong_type(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield the raw rows of an SQLite journal that hold a word that is none of ours, or text that is no JSON."""
    words: dict[str, tuple[type[Enum], tuple[str, ...]]] = {
        "state": (ExecutionState, ("executions",)),
        "source": (ExecutionState, ("entries",)),
        "target": (ExecutionState, ("entries",)),
        "cause": (Cause, ("entries",)),
        "phase": (Phase, ("executions", "entries")),
    }
    for column, (enumeration, tables) in words.items():
        known = {member.value for member in enumeration} | {None}
        for table in tables:
            for (word,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}"):
                if word not in known:
                    yield f"{table}.{column} holds {word!r}"
    for table, column in (("executions", "metadata_json"), ("entries", "result_json"), ("entries", "evidence_json")):
        for (text,) in connection.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
            json.loads(text, parse_constant=_no_constant)
