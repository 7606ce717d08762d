"""The third wall: records to and from rows and JSON, validated by pydantic-core.

Everything that comes from outside (a row that any program may have written, a file, a request) passes one of these
validators, strictly: an unknown state, a wrong type, a missing or an extra field is a `RecordDecodeError` with the path,
never a default. Enums are members inside and their values outside; they are converted here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar, cast

from pydantic_core import SchemaValidator, ValidationError, to_json
from pydantic_core import core_schema as cs

from ._errors import InvalidValueError, RecordDecodeError, wrong_type
from ._json import decode_json
from ._records import Created, Entry, Event, Evidence, ExecutionRecord, PhaseChange, Transition, Warned
from ._states import CAUSES, Cause, ExecutionState, Phase

E = TypeVar("E", bound=Enum)

_TEXT: Final = cs.str_schema(strict=True)
_NAME: Final = cs.str_schema(strict=True, min_length=1)
_COUNT: Final = cs.int_schema(strict=True, ge=0)
_SEQ: Final = cs.int_schema(strict=True, ge=1)
_LIMIT: Final = cs.nullable_schema(cs.float_schema(strict=True, gt=0, allow_inf_nan=False))
_MAYBE_TEXT: Final = cs.nullable_schema(_TEXT)


def _member(enum: type[E]) -> cs.CoreSchema:
    return cs.enum_schema(enum, list(enum.__members__.values()), strict=False)


_STATE: Final = _member(ExecutionState)
_PHASE: Final = _member(Phase)
_CAUSE: Final = cs.nullable_schema(_member(Cause))


def _fields(required: Mapping[str, cs.CoreSchema], optional: Mapping[str, cs.CoreSchema]) -> cs.CoreSchema:
    return cs.typed_dict_schema(
        {
            **{name: cs.typed_dict_field(schema) for name, schema in required.items()},
            **{name: cs.typed_dict_field(schema, required=False) for name, schema in optional.items()},
        },
        extra_behavior="forbid",
    )


_EVIDENCE_FIELDS: Final = _fields(
    {"observer": _TEXT},
    {
        "beats": _COUNT,
        "last_beat_age": cs.nullable_schema(cs.float_schema(strict=True, ge=0, allow_inf_nan=False)),
        "last_phase": cs.nullable_schema(_PHASE),
        "last_phase_detail": _MAYBE_TEXT,
        "stack": _MAYBE_TEXT,
        "reason": _MAYBE_TEXT,
    },
)
_MAYBE_EVIDENCE: Final = cs.nullable_schema(_EVIDENCE_FIELDS)
_PLACE: Final = {"execution_id": _NAME, "seq": _SEQ, "at_ns": _COUNT, "incarnation": _NAME}
_CREATED: Final = {
    **_PLACE,
    "agent": _NAME,
    "thread_id": _NAME,
    "user_id": _NAME,
    "timeout": _LIMIT,
    "heartbeat_timeout": _LIMIT,
}
_MOVE: Final = {**_PLACE, "source": _STATE, "target": _STATE}
_MOVE_DETAILS: Final = {"cause": _CAUSE, "error": _MAYBE_TEXT}
_PHASE_CHANGE: Final = {**_PLACE, "phase": _PHASE, "detail": _MAYBE_TEXT}
_WARNED: Final = {**_PLACE, "cause": _member(Cause), "detail": _MAYBE_TEXT}
_CHAIN: Final = {"retry_of": cs.nullable_schema(_NAME), "attempt": _SEQ, "message_id": cs.nullable_schema(_NAME)}
_RECORD: Final = {
    "execution_id": _NAME,
    "agent": _NAME,
    "thread_id": _NAME,
    "user_id": _NAME,
    "state": _STATE,
    "seq": _SEQ,
    "created_at_ns": _COUNT,
    "updated_at_ns": _COUNT,
    "incarnation": _NAME,
}
_RECORD_DETAILS: Final = {
    "timeout": _LIMIT,
    "heartbeat_timeout": _LIMIT,
    "phase": cs.nullable_schema(_PHASE),
    "phase_detail": _MAYBE_TEXT,
    "cause": _CAUSE,
    "error": _MAYBE_TEXT,
    **_CHAIN,
}
_ENCODED: Final = {"metadata_json": _MAYBE_TEXT, "result_json": _MAYBE_TEXT, "evidence_json": _MAYBE_TEXT}

_evidence: Final = SchemaValidator(_EVIDENCE_FIELDS)
_record_row: Final = SchemaValidator(_fields(_RECORD, {**_RECORD_DETAILS, **_ENCODED}))
_record_wire: Final = SchemaValidator(
    _fields(
        _RECORD,
        {**_RECORD_DETAILS, "metadata": cs.any_schema(), "result": cs.any_schema(), "evidence": _MAYBE_EVIDENCE},
    )
)
_created_row: Final = SchemaValidator(_fields({**_CREATED, "metadata_json": _MAYBE_TEXT}, _CHAIN))
_move_row: Final = SchemaValidator(
    _fields(_MOVE, {**_MOVE_DETAILS, "evidence_json": _MAYBE_TEXT, "result_json": _MAYBE_TEXT})
)
_phase_row: Final = SchemaValidator(_fields(_PHASE_CHANGE, {}))
_warned_row: Final = SchemaValidator(_fields(_WARNED, {}))


def _validate(validator: SchemaValidator, data: Mapping[str, object]) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", validator.validate_python(data))
    except ValidationError as error:
        raise _decode_error(error) from error


def _decode_error(error: ValidationError) -> RecordDecodeError:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"]) or "$"
    return RecordDecodeError(path, first["msg"], first["input"])


def encode_evidence(evidence: Evidence) -> bytes:
    """Encode evidence, leaving out what is not known."""
    return to_json({name: value for name, value in evidence._asdict().items() if value is not None})


def decode_evidence(encoded: str | bytes) -> Evidence:
    """Decode what `encode_evidence` made.

    Raises:
        RecordDecodeError: It is not evidence.
    """
    try:
        return Evidence(**_evidence.validate_json(encoded))
    except ValidationError as error:
        raise _decode_error(error) from error


def check_evidence(evidence: Evidence) -> Evidence:
    """Check evidence that a caller has made, field by field: a NamedTuple checks nothing itself.

    Raises:
        StateTypeError: It is no `Evidence`, or a field has the wrong type.
        InvalidValueError: A field has an impossible value.
    """
    try:
        fields = evidence._asdict()
        if fields.get("last_phase") is not None and type(fields["last_phase"]) is not Phase:
            raise wrong_type("evidence.last_phase", fields["last_phase"], "a Phase")
        checked = Evidence(**_evidence.validate_python(fields))
        encode_evidence(checked)
    except AttributeError as error:
        raise wrong_type("evidence", evidence, "an Evidence") from error
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = f"evidence.{'.'.join(map(str, wrong['loc']))}"
        if wrong["type"] in {"greater_than_equal", "finite_number", "string_unicode"}:
            raise InvalidValueError(where, wrong["input"], wrong["msg"].removeprefix("Input should be ")) from error
        raise wrong_type(where, wrong["input"], wrong["msg"].removeprefix("Input should be ")) from error
    except ValueError as error:
        raise InvalidValueError("evidence", evidence, "valid Unicode text, without lone surrogates") from error
    return checked


def decode_record(row: Mapping[str, object]) -> ExecutionRecord:
    """Decode a row of a journal, with encoded `metadata_json`, `result_json` and `evidence_json`.

    Raises:
        RecordDecodeError: The row is not a valid record.
    """
    fields = _validate(_record_row, row)
    _decode_encoded(fields, "metadata_json", "result_json")
    return _check_end(ExecutionRecord(**fields))


def encode_record(record: ExecutionRecord) -> bytes:
    """Encode a record as one JSON object: enums by value, times in nanoseconds, metadata and result as they are."""
    return to_json(
        {
            "execution_id": record.execution_id,
            "agent": record.agent,
            "thread_id": record.thread_id,
            "user_id": record.user_id,
            "state": record.state.value,
            "seq": record.seq,
            "created_at_ns": record.created_at_ns,
            "updated_at_ns": record.updated_at_ns,
            "incarnation": record.incarnation,
            "timeout": record.timeout,
            "heartbeat_timeout": record.heartbeat_timeout,
            "phase": record.phase,
            "phase_detail": record.phase_detail,
            "cause": record.cause,
            "error": record.error,
            "evidence": None if record.evidence is None else record.evidence._asdict(),
            "metadata": record.metadata,
            "result": record.result,
            "retry_of": record.retry_of,
            "attempt": record.attempt,
            "message_id": record.message_id,
        }
    )


def decode_record_json(encoded: str | bytes) -> ExecutionRecord:
    """Decode what `encode_record` made.

    Raises:
        RecordDecodeError: It is not a valid record.
    """
    try:
        fields: dict[str, Any] = _record_wire.validate_json(encoded)
    except ValidationError as error:
        raise _decode_error(error) from error
    metadata, result, evidence = (fields.pop(name, None) for name in ("metadata", "result", "evidence"))
    fields["metadata_json"] = None if metadata is None else to_json(metadata)
    completed = fields["state"] is ExecutionState.COMPLETED
    fields["result_json"] = to_json(result) if completed or result is not None else None
    fields["evidence"] = None if evidence is None else Evidence(**evidence)
    return _check_end(ExecutionRecord(**fields))


def decode_created(row: Mapping[str, object]) -> Created:
    """Decode a row of a journal. Raises `RecordDecodeError` when it is not valid."""
    fields = _validate(_created_row, row)
    _decode_encoded(fields, "metadata_json")
    created = Created(**fields)
    _check_chain(created)
    return created


def decode_transition(row: Mapping[str, object]) -> Transition:
    """Decode a row of a journal. Raises `RecordDecodeError` when it is not valid."""
    fields = _validate(_move_row, row)
    _decode_encoded(fields, "result_json")
    return Transition(**fields)


def decode_phase_change(row: Mapping[str, object]) -> PhaseChange:
    """Decode a row of a journal. Raises `RecordDecodeError` when it is not valid."""
    return PhaseChange(**_validate(_phase_row, row))


def decode_warned(row: Mapping[str, object]) -> Warned:
    """Decode a row of a journal. Raises `RecordDecodeError` when it is not valid."""
    warned = Warned(**_validate(_warned_row, row))
    if warned.cause not in CAUSES[ExecutionState.DEAD]:
        raise RecordDecodeError("cause", _cause_of(ExecutionState.DEAD), warned.cause.value)
    return warned


def encode_event(event: Event) -> bytes:
    """Encode an event as one JSON object; `kind` tells created, transition, phase and warned apart."""
    return to_json({"position": event.position, **describe_entry(event.entry), "agent": event.agent,
                    "thread_id": event.thread_id, "user_id": event.user_id})  # fmt: skip


def encode_rows(rows: Sequence[Mapping[str, object]]) -> str:
    """Encode rows of plain values as one JSON text, for a database that takes many at once."""
    return to_json(rows).decode()


def describe_entry(entry: Entry) -> dict[str, object]:
    """Describe a log entry as plain data, ready for JSON."""
    fields: dict[str, object] = {"kind": _KINDS[type(entry)]}
    for name, value in entry._asdict().items():
        if isinstance(value, Enum):
            fields[name] = value.value
        elif isinstance(value, Evidence):
            fields[name] = decode_json(encode_evidence(value))
        elif name.endswith("_json"):
            fields[name.removesuffix("_json")] = None if value is None else decode_json(value)
        else:
            fields[name] = value
    return fields


_KINDS: Final[dict[type[Entry], str]] = {
    Created: "created",
    Transition: "transition",
    PhaseChange: "phase",
    Warned: "warned",
}


def _decode_encoded(fields: dict[str, Any], *names: str) -> None:
    for name in names:
        encoded = fields.get(name)
        fields[name] = None if encoded is None else encoded.encode()
    evidence = fields.pop("evidence_json", None)
    if evidence is not None:
        fields["evidence"] = decode_evidence(evidence)


def _cause_of(state: ExecutionState) -> str:
    return f"a cause of {state.value} ({', '.join(sorted(cause.value for cause in CAUSES[state]))})"


def _check_chain(fact: Created | ExecutionRecord) -> None:
    """Check that the first of a chain, and no other, is the first attempt."""
    if (fact.attempt == 1) != (fact.retry_of is None):
        expected = "1, as it retries nothing" if fact.retry_of is None else f"2 or more, as it retries {fact.retry_of}"
        raise RecordDecodeError("attempt", expected, fact.attempt)


def _check_end(record: ExecutionRecord) -> ExecutionRecord:
    """Check that an end and its facts go together: both are there, or neither is."""
    _check_chain(record)
    state, cause = record.state, record.cause
    if record.is_terminal:
        if cause not in CAUSES[state]:
            raise RecordDecodeError("cause", _cause_of(state), cause and cause.value)
        if record.evidence is None:
            raise RecordDecodeError("evidence", f"evidence, as the state is {state.value}", None)
    else:
        for name in ("cause", "evidence", "error"):
            if getattr(record, name) is not None:
                raise RecordDecodeError(name, f"nothing, as the state is {state.value}", getattr(record, name))
    if record.result_json is not None and state is not ExecutionState.COMPLETED:
        raise RecordDecodeError("result", f"nothing, as the state is {state.value}", record.result_json)
    return record
