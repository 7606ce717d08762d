"""What one execution's log must be like: the half of `verify` that adds up the entries of one execution.

It reads the raw rows, decodes each of them with the strict validators, and folds them by the rules of the transition table.
After a row that cannot be decoded it knows no state any more and accepts whatever comes next, so one damage is one finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from .._codec import decode_created, decode_phase_change, decode_record, decode_transition, decode_warned
from .._errors import RecordDecodeError, describe
from .._json import decode_json
from .._records import Created, Entry, PhaseChange, Transition, Warned
from .._states import CAUSES, INITIAL, TRANSITIONS, Cause, ExecutionState, in_table_order
from ._finding import Finding

Value: TypeAlias = str | int | float | bytes | None
"""What a column of a damaged journal may hold, whatever its type says."""
Row: TypeAlias = Mapping[str, Value]

_NOT_OF_THE_RECORD: Final = frozenset({"number", "worker", "fenced_by", "asked_by"})
_OF_THE_CREATION: Final = (
    *("agent", "thread_id", "user_id", "timeout", "heartbeat_timeout", "metadata_json"),
    *("retry_of", "attempt", "message_id"),
)
_ENDS: Final = ("cause", "error", "evidence_json", "result_json")
"""The columns of an entry that only an end may fill."""


def named(row: Row) -> dict[str, Value]:
    """Name the columns of a row as the query does: SQLite names them as a damaged schema does, where only the case differs."""
    return {name.lower(): row[name] for name in row.keys()}  # noqa: SIM118 - an sqlite3.Row iterates over its values


def id_text(value: Value) -> str:
    """Name an execution, whatever its id column holds."""
    return value if isinstance(value, str) and value.isprintable() else describe(value)


class ExecutionLog:
    """Reads the entries of one execution, in order, and adds them up."""

    def __init__(self, execution: dict[str, Value]) -> None:
        self.execution = execution
        self.execution_id = id_text(execution["execution_id"])
        self.sound = True
        self.seq = 0
        self.position = 0
        self.at_ns: int | None = None
        self.created_at_ns: int | None = None
        self.state: ExecutionState | None = None
        """None before the creation, and after a row that says nothing valid: whatever comes next is then accepted."""
        self.phase: Value = None
        self.phase_detail: Value = None
        self.end: Row = {}

    def check(self, entries: Iterable[Row]) -> Iterator[Finding]:
        """Yield what is wrong with the execution, given its entries by seq."""
        for row in entries:
            yield from self._check_entry(named(row))
        if self.seq == 0:
            yield self._finding("log", "it has no entries; expected at least its creation")
        else:
            yield from self._check_fold()
        if self.seq == 0 or self.sound:
            yield from self._check_record()

    def _finding(self, rule: str, message: str) -> Finding:
        self.sound = False
        return Finding(rule, self.execution_id, message)

    def _check_entry(self, row: dict[str, Value]) -> Iterator[Finding]:
        seq, at_ns, position = row["seq"], row["at_ns"], row["position"]
        expected = self.seq + 1
        if seq != expected:
            yield self._finding("log", f"entry {describe(seq)} where entry {expected} was expected")
        if isinstance(position, int) and position <= self.position:
            yield self._finding("log", f"entry {describe(seq)} is stored before the one that it follows")
        if isinstance(position, int):
            self.position = max(self.position, position)
        if isinstance(at_ns, int) and self.at_ns is not None and at_ns < self.at_ns:
            yield self._finding("time", f"entry {describe(seq)} is {self.at_ns - at_ns} ns earlier than the one before")
        gone_position = row.get("gone_position")
        if isinstance(gone_position, int) and isinstance(position, int) and position > gone_position:
            yield self._finding(
                "fence",
                f"entry {describe(seq)}, at position {position}, was written by worker {describe(row['worker'])}, "
                f"which had gone at position {gone_position}",
            )
        if row["worker"] != self.execution["worker"] and not self._is_burial(row):
            yield self._finding(
                "owner",
                f"entry {describe(seq)} was written by worker {describe(row['worker'])}, but worker "
                f"{describe(self.execution['worker'])} owns the execution",
            )
        first = self.seq == 0
        self.seq = seq if isinstance(seq, int) else expected
        self.at_ns = at_ns if isinstance(at_ns, int) else self.at_ns
        if first:
            self.created_at_ns = self.at_ns
        if row["target"] is not None and row["phase"] is not None:
            yield self._finding("decode", f"entry {describe(seq)} must be either a move or a phase")
        if self.state is not None and self.state.is_terminal:
            yield self._finding("end", f"entry {describe(seq)} comes after the end, {self.state.name}")
        try:
            entry = self._decode(row)
        except RecordDecodeError as error:
            yield self._finding("decode", f"entry {describe(seq)}: {error}")
            if row["phase"] is None:
                self.state = None
            else:
                self.phase, self.phase_detail = row["phase"], row["detail"]
            return
        yield from self._take(entry, row, first=first)

    def _is_burial(self, row: dict[str, Value]) -> bool:
        """Whether an entry that another than the owner has written is the end of what a fenced owner had left live."""
        if self.execution.get("fenced_by") is None:
            return False
        cancelled = row["target"] == ExecutionState.CANCELLED.value and self.execution.get("asked_by") is not None
        return cancelled or row["target"] == ExecutionState.DEAD.value

    def _decode(self, row: dict[str, Value]) -> Entry:
        check_text(row)
        place: dict[str, object] = {
            "execution_id": self.execution["execution_id"],
            **{name: row[name] for name in ("seq", "at_ns", "incarnation")},
        }
        if row["phase"] is not None:
            return decode_phase_change({**place, "phase": row["phase"], "detail": row["detail"]})
        if row["source"] is None and row["target"] is None:
            return decode_warned({**place, "cause": row["cause"], "detail": row["detail"]})
        if row["source"] is None:
            check_text(self.execution)
            created = decode_created({**place, **{name: self.execution[name] for name in _OF_THE_CREATION}})
            decode_column("metadata_json", created.metadata_json)
            return created
        names = ("source", "target", "cause", "error", "evidence_json", "result_json")
        transition = decode_transition({**place, **{name: row[name] for name in names}})
        decode_column("result_json", transition.result_json)
        return transition

    def _take(self, entry: Entry, row: dict[str, Value], *, first: bool) -> Iterator[Finding]:
        if isinstance(entry, Created) != first or (first and row["target"] != INITIAL.value):
            what = f"{describe(row['source'])} -> {describe(row['target'])}"
            if isinstance(entry, PhaseChange):
                what = f"phase {describe(row['phase'])}"
            elif isinstance(entry, Warned):
                what = f"a warning of {entry.cause.name}"
            wanted = f"its creation, as {INITIAL.value}" if first else "anything else: only entry 1 is a creation"
            yield self._finding("log", f"entry {entry.seq} is {what}; expected {wanted}")
        if isinstance(entry, Transition):
            yield from self._take_move(entry)
        elif isinstance(entry, Created):
            self.state = INITIAL
        elif isinstance(entry, PhaseChange):
            self.phase, self.phase_detail = row["phase"], row["detail"]
        if row["detail"] is not None and not isinstance(entry, PhaseChange | Warned):
            yield self._finding("decode", f"entry {entry.seq} has a phase's detail, but is no phase")
        ends = isinstance(entry, Transition) and entry.target.is_terminal
        own = ("cause",) if isinstance(entry, Warned) else ()
        filled = [name for name in _ENDS if row[name] is not None and name not in own]
        if filled and not ends:
            yield self._finding("cause", f"entry {entry.seq} has {', '.join(filled)}, but is no end")
        self.end = row if ends else {}

    def _take_move(self, move: Transition) -> Iterator[Finding]:
        if self.state is not None and move.source is not self.state:
            yield self._finding(
                "transition",
                f"entry {move.seq} moves {move.source.name} -> {move.target.name}, but the execution was {self.state.name}",
            )
        if move.target not in TRANSITIONS[move.source]:
            legal = ", ".join(state.name for state in in_table_order(TRANSITIONS[move.source])) or "nothing"
            yield self._finding(
                "transition",
                f"entry {move.seq} moves {move.source.name} -> {move.target.name}; {move.source.name} may become: {legal}",
            )
        if move.target.is_terminal:
            yield from self._take_end(move)
        self.state = move.target

    def _take_end(self, move: Transition) -> Iterator[Finding]:
        accepted = CAUSES[move.target]
        if move.cause not in accepted:
            names = ", ".join(cause.name for cause in Cause if cause in accepted)
            found = "no cause" if move.cause is None else f"cause {move.cause.name}"
            yield self._finding(
                "cause", f"entry {move.seq} ends {move.target.name} with {found}; expected one of: {names}"
            )
        if move.evidence is None:
            yield self._finding("cause", f"entry {move.seq} ends {move.target.name} without evidence")
        if move.result_json is not None and move.target is not ExecutionState.COMPLETED:
            yield self._finding(
                "cause", f"entry {move.seq} ends {move.target.name} with a result; only COMPLETED has one"
            )

    def _check_fold(self) -> Iterator[Finding]:
        folded: dict[str, Value] = {
            "seq": self.seq,
            "created_at_ns": self.created_at_ns,
            "updated_at_ns": self.at_ns,
            "phase": self.phase,
            "phase_detail": self.phase_detail,
        }
        if self.state is not None:
            folded["state"] = self.state.value
        for name, value in folded.items():
            if self.execution[name] != value:
                yield self._finding(
                    "fold",
                    f"executions.{name} is {describe(self.execution[name])}, but its log adds up to {describe(value)}",
                )

    def _check_record(self) -> Iterator[Finding]:
        row = {name: value for name, value in self.execution.items() if name not in _NOT_OF_THE_RECORD}
        try:
            check_text(row)
            record = decode_record({**row, **{name: self.end.get(name) for name in _ENDS}})
            decode_column("metadata_json", record.metadata_json)
        except RecordDecodeError as error:
            yield self._finding("decode", f"its row in executions: {error}")


def check_text(row: Row) -> None:
    """Refuse text that was not UTF-8 in the file; reading has turned such bytes into lone surrogates.

    Raises:
        RecordDecodeError: A column holds some; names the column.
    """
    for name, value in row.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise RecordDecodeError(name, "valid UTF-8", value) from error


def decode_column(name: str, encoded: bytes | None) -> None:
    """Decode a JSON column to see that it can be.

    Raises:
        RecordDecodeError: It cannot; names the column.
    """
    if encoded is not None:
        try:
            decode_json(encoded)
        except RecordDecodeError as error:
            raise RecordDecodeError(name, error.reason, encoded) from error
