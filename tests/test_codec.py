"""The third wall: what comes from outside is a valid record whole, or `RecordDecodeError` with the path. Never a default."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstate import (
    CAUSES,
    Cause,
    Created,
    Event,
    Evidence,
    ExecutionRecord,
    ExecutionState,
    Phase,
    PhaseChange,
    RecordDecodeError,
    Transition,
    Warned,
)
from runstate._codec import (
    decode_created,
    decode_evidence,
    decode_phase_change,
    decode_record,
    decode_record_json,
    decode_transition,
    decode_warned,
    encode_event,
    encode_evidence,
    encode_record,
)

from .test_json import VALUES

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TIMES = st.integers(0, 2**63 - 1)
SECONDS = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False)
PHASES = st.sampled_from(Phase)
EVIDENCE = st.builds(
    Evidence,
    observer=TEXTS,
    beats=st.integers(0, 2**53),
    last_beat_age=st.none() | st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    last_phase=st.none() | PHASES,
    last_phase_detail=st.none() | TEXTS,
    stack=st.none() | TEXTS,
    reason=st.none() | TEXTS,
)


def encoded(value: object) -> bytes:
    """Encode a value as the tracker does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@st.composite
def records(draw: st.DrawFn) -> ExecutionRecord:
    """Draw a record that a journal could hold."""
    state = draw(st.sampled_from(ExecutionState))
    ended = state.is_terminal
    metadata = draw(st.none() | st.dictionaries(NAMES, VALUES, max_size=3))
    return ExecutionRecord(
        execution_id=draw(NAMES),
        agent=draw(NAMES),
        thread_id=draw(NAMES),
        user_id=draw(NAMES),
        state=state,
        seq=draw(st.integers(1, 10_000)),
        created_at_ns=draw(TIMES),
        updated_at_ns=draw(TIMES),
        incarnation=draw(NAMES),
        timeout=draw(st.none() | SECONDS),
        heartbeat_timeout=draw(st.none() | SECONDS),
        phase=draw(st.none() | PHASES),
        phase_detail=draw(st.none() | TEXTS),
        cause=draw(st.sampled_from(sorted(CAUSES[state], key=lambda cause: cause.name))) if ended else None,
        evidence=draw(EVIDENCE) if ended else None,
        error=draw(st.none() | TEXTS) if ended and state is not ExecutionState.COMPLETED else None,
        metadata_json=None if metadata is None else encoded(metadata),
        result_json=encoded(draw(VALUES)) if state is ExecutionState.COMPLETED else None,
    )


def decoded(record: ExecutionRecord) -> dict[str, object]:
    """A record's fields, with JSON decoded, as two encodings of one value may differ in their bytes."""
    fields = {name: getattr(record, name) for name in record.__slots__}
    return {**fields, "metadata_json": record.metadata, "result_json": record.result}


@given(records())
@settings(max_examples=200, deadline=None)
def test_a_record_comes_back_through_json(record: ExecutionRecord) -> None:
    """Encoding and decoding a record, live or ended, gives an equal one, and a completed one has a result even if None."""
    wire = encode_record(record)
    again = decode_record_json(wire)
    assert decoded(again) == decoded(record)
    assert (again.result_json is None) == (record.result_json is None)
    assert encode_record(again) == wire
    assert decode_record_json(wire.decode()) == again
    assert json.loads(wire)["state"] == record.state.value


@given(EVIDENCE)
@settings(max_examples=200, deadline=None)
def test_evidence_comes_back(evidence: Evidence) -> None:
    """Encoding and decoding evidence gives equal evidence, and leaves out what is not known."""
    wire = encode_evidence(evidence)
    assert decode_evidence(wire) == evidence
    assert None not in json.loads(wire).values()


ROW: dict[str, object] = {
    "execution_id": "x",
    "agent": "a",
    "thread_id": "t",
    "user_id": "u",
    "state": "failed",
    "seq": 4,
    "created_at_ns": 5,
    "updated_at_ns": 6,
    "incarnation": "w",
    "timeout": 1.5,
    "heartbeat_timeout": None,
    "phase": "thinking",
    "phase_detail": "deep",
    "cause": "raised",
    "error": "ValueError: x",
    "metadata_json": '{"a":1}',
    "result_json": None,
    "evidence_json": '{"observer":"owner","beats":2}',
}
COMPLETED_ROW: dict[str, object] = {**ROW, "state": "completed", "cause": "returned", "error": None, "result_json": "0"}
LIVE_ROW: dict[str, object] = {**ROW, "state": "running", "cause": None, "error": None, "evidence_json": None}

REQUIRED = [
    "execution_id",
    "agent",
    "thread_id",
    "user_id",
    "state",
    "seq",
    "created_at_ns",
    "updated_at_ns",
    "incarnation",
]

WRONG: dict[str, list[object]] = {
    "execution_id": ["", None, 5, b"x", ["x"]],
    "agent": ["", None, 5],
    "state": ["unknown", "FAILED", "", None, 3, True, {"success": False}, Phase.THINKING, b"failed"],
    "seq": [0, -1, "4", 4.0, True, None],
    "created_at_ns": [-1, 1.5, "5", None, True],
    "updated_at_ns": ["2026-01-01T00:00:00", None],
    "timeout": [0, -1.0, math.nan, math.inf, "1.5", True],
    "heartbeat_timeout": [0.0, "soon", [1.0]],
    "phase": ["dreaming", "THINKING", 1, ""],
    "phase_detail": [5, b"x"],
    "cause": ["fate", "RAISED", None, 1],
    "error": [5, {"type": "ValueError"}],
    "evidence_json": [None, "", "{", "[]", "null", "{}", '{"observer":5}', '{"observer":"x","beats":-1}', 7, b"{}"],
    "metadata_json": [5, {"a": 1}],
    "result_json": [5, [1]],
}


def test_a_valid_row_is_a_record() -> None:
    """Rows of a live, a failed and a completed execution give records with members, numbers and bytes."""
    record = decode_record(ROW)
    assert record.state is ExecutionState.FAILED
    assert record.cause is Cause.RAISED
    assert record.phase is Phase.THINKING
    assert record.evidence == Evidence("owner", beats=2)
    assert record.metadata == {"a": 1}
    assert decode_record(COMPLETED_ROW).result_json == b"0"
    assert decode_record(LIVE_ROW).evidence is None


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=repr
)
def test_a_wrong_field_is_refused_with_its_path(name: str, value: object) -> None:
    """A field of the wrong type or with an impossible value is RecordDecodeError that names the field and shows the value."""
    with pytest.raises(RecordDecodeError) as caught:
        decode_record({**ROW, name: value})
    expected = {"evidence_json": ("evidence", "observer", "beats", "cause", "$"), "result_json": ("result",)}
    assert caught.value.path.startswith(expected.get(name, (name,)))
    assert caught.value.path in str(caught.value)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_refused(name: str) -> None:
    """A row or an object without a required field is refused, and the field named."""
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(RecordDecodeError) as caught:
        decode_record(row)
    assert caught.value.path == name
    wire = json.loads(encode_record(decode_record(ROW)))
    del wire[name]
    with pytest.raises(RecordDecodeError) as caught:
        decode_record_json(json.dumps(wire))
    assert caught.value.path == name


def test_an_unknown_field_is_refused() -> None:
    """A field that no record has is refused in rows, in objects and in evidence: it may be a newer format."""
    with pytest.raises(RecordDecodeError, match="colour"):
        decode_record({**ROW, "colour": "red"})
    with pytest.raises(RecordDecodeError, match="colour"):
        decode_record_json(encode_record(decode_record(ROW))[:-1] + b',"colour":"red"}')
    with pytest.raises(RecordDecodeError, match="colour"):
        decode_evidence('{"observer":"x","colour":"red"}')


@pytest.mark.parametrize("wire", ["", "[]", "null", "5", '"running"', "{}", "{", "NaN", b"\xff", '{"state":"running"}'])
def test_what_is_no_record_at_all_is_refused(wire: str | bytes) -> None:
    """Text that is no object, or no JSON, is refused."""
    with pytest.raises(RecordDecodeError):
        decode_record_json(wire)


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        (LIVE_ROW, {"cause": "raised"}),
        (LIVE_ROW, {"evidence_json": '{"observer":"x"}'}),
        (LIVE_ROW, {"error": "broken"}),
        (LIVE_ROW, {"result_json": "1"}),
        (COMPLETED_ROW, {"cause": "raised"}),
        (COMPLETED_ROW, {"cause": None}),
        (ROW, {"cause": "cancelled_by_caller"}),
        (ROW, {"result_json": "1"}),
        (ROW, {"state": "timeout"}),
        (ROW, {"state": "completed"}),
    ],
)
def test_an_end_and_its_facts_go_together(row: dict[str, object], changes: dict[str, object]) -> None:
    """A live record with the facts of an end, or an end with another state's, is refused: no store could have written it."""
    decode_record(row)
    with pytest.raises(RecordDecodeError):
        decode_record({**row, **changes})


PLACE: dict[str, object] = {"execution_id": "x", "seq": 2, "at_ns": 7, "incarnation": "w"}
ENTRIES: dict[str, tuple[Any, dict[str, object], object]] = {
    "created": (
        decode_created,
        {
            **PLACE,
            "seq": 1,
            "agent": "a",
            "thread_id": "t",
            "user_id": "u",
            "timeout": None,
            "heartbeat_timeout": 2.0,
            "metadata_json": "{}",
        },
        Created("x", 1, 7, "a", "t", "u", "w", None, 2.0, b"{}"),
    ),
    "transition": (
        decode_transition,
        {
            **PLACE,
            "source": "running",
            "target": "completed",
            "cause": "returned",
            "error": None,
            "evidence_json": '{"observer":"owner","beats":0}',
            "result_json": "null",
        },
        Transition(
            "x",
            2,
            7,
            ExecutionState.RUNNING,
            ExecutionState.COMPLETED,
            "w",
            Cause.RETURNED,
            Evidence("owner"),
            None,
            b"null",
        ),
    ),
    "phase": (
        decode_phase_change,
        {**PLACE, "phase": "tool_execution", "detail": "get_user"},
        PhaseChange("x", 2, 7, Phase.TOOL_EXECUTION, "get_user", "w"),
    ),
    "warned": (
        decode_warned,
        {**PLACE, "cause": "loop_blocked", "detail": "time.sleep(60)"},
        Warned("x", 2, 7, Cause.LOOP_BLOCKED, "time.sleep(60)", "w"),
    ),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_row_of_a_log_is_an_entry(kind: str) -> None:
    """Each kind of row gives its entry, and each wrong, missing or unknown field is refused with its path."""
    decode, row, entry = ENTRIES[kind]
    assert decode(row) == entry
    assert type(decode(row)) is type(entry)
    for name in row:
        with pytest.raises(RecordDecodeError) as caught:
            decode({**row, name: object()})
        assert caught.value.path.startswith(name)
    for name in ("execution_id", "seq", "at_ns", "incarnation"):
        with pytest.raises(RecordDecodeError):
            decode({key: value for key, value in row.items() if key != name})
        with pytest.raises(RecordDecodeError):
            decode({**row, name: None})
    with pytest.raises(RecordDecodeError):
        decode({**row, "colour": "red"})


@pytest.mark.parametrize("cause", Cause)
def test_a_warning_is_of_a_verdict(cause: Cause) -> None:
    """A row of a warning is decoded with each cause of DEAD, and refused with any other, or none."""
    row: dict[str, object] = {**PLACE, "cause": cause.value, "detail": None}
    if cause in CAUSES[ExecutionState.DEAD]:
        assert decode_warned(row).cause is cause
    else:
        with pytest.raises(RecordDecodeError, match="at cause"):
            decode_warned(row)
    with pytest.raises(RecordDecodeError, match="at cause"):
        decode_warned({**row, "cause": None})


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_event_is_described_as_plain_json(kind: str) -> None:
    """An event's JSON tells its kind and place, and holds every field of its entry as plain data."""
    _, row, entry = ENTRIES[kind]
    wire = json.loads(encode_event(Event(9, entry, "a", "t", "u")))  # type: ignore[arg-type]
    assert (wire["kind"], wire["position"], wire["agent"]) == (kind, 9, "a")
    for name, value in row.items():
        plain = name.removesuffix("_json")
        if name == plain:
            assert wire[plain] == value
        else:
            assert wire[plain] == (None if value is None else json.loads(str(value)))
