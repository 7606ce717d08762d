"""Rows to the records of a fleet, validated by pydantic-core like everything that comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from ._codec import decode_transition
from ._errors import RecordDecodeError
from ._fleet import CancelRequest, Fence, Peer, RejectedMove, Worker
from ._notices import NoticeRecord, NoticeState, OutboxRecord
from ._states import Cause, ExecutionState

_NAME: Final = cs.str_schema(strict=True, min_length=1)
_MAYBE_NAME: Final = cs.nullable_schema(_NAME)
_MAYBE_TEXT: Final = cs.nullable_schema(cs.str_schema(strict=True))
_COUNT: Final = cs.int_schema(strict=True, ge=0)
_MAYBE_COUNT: Final = cs.nullable_schema(_COUNT)
_CAUSE: Final = cs.nullable_schema(cs.enum_schema(Cause, list(Cause), strict=False))


def _validator(**fields: cs.CoreSchema) -> SchemaValidator:
    return SchemaValidator(
        cs.typed_dict_schema(
            {name: cs.typed_dict_field(schema) for name, schema in fields.items()}, extra_behavior="forbid"
        )
    )


_PEER: Final[dict[str, cs.CoreSchema]] = {
    "incarnation": _NAME,
    "lease": cs.nullable_schema(cs.float_schema(strict=True, gt=0, allow_inf_nan=False)),
    "renewed_at_ns": cs.nullable_schema(cs.int_schema(strict=True)),
    "renewed_age": cs.nullable_schema(cs.float_schema(strict=True, ge=0, allow_inf_nan=False)),
    "expired": cs.bool_schema(),
    "gone_at_ns": _MAYBE_COUNT,
    "gone_position": _MAYBE_COUNT,
    "fenced_by": _MAYBE_NAME,
    "fence_cause": _CAUSE,
    "fence_reason": _MAYBE_TEXT,
}
_peer: Final = _validator(**_PEER)
_worker: Final = _validator(
    number=cs.int_schema(strict=True),
    live=_COUNT,
    host=_MAYBE_NAME,
    pid=cs.nullable_schema(cs.int_schema(strict=True, gt=0)),
    started_at_ns=_MAYBE_COUNT,
    **_PEER,
)
_notice: Final = _validator(
    notice_id=_NAME,
    outbox=_NAME,
    agent=_NAME,
    thread_id=_NAME,
    user_id=_NAME,
    end=cs.enum_schema(ExecutionState, list(ExecutionState), strict=False),
    ended_at_ns=_COUNT,
    attempts=_COUNT,
    due_at_ns=_COUNT,
    claimed_by=_MAYBE_NAME,
    delivered_at_ns=_MAYBE_COUNT,
    parked_at_ns=_MAYBE_COUNT,
    error=_MAYBE_TEXT,
    now_ns=_COUNT,
)
_outbox: Final = _validator(name=_NAME, since_ns=_COUNT, pending=_COUNT, parked=_COUNT, lost=_COUNT)
_request: Final = _validator(execution_id=_NAME, owner=_NAME, by=_NAME, reason=_MAYBE_TEXT, at_ns=_COUNT)


def decode_worker(row: Mapping[str, object]) -> Worker:
    """Decode a worker: its row, its fence in it, and how many of its executions are live.

    Raises:
        RecordDecodeError: It is not valid.
    """
    fields = _validate(_worker, row)
    joined = ("host", "pid", "started_at_ns", "lease", "renewed_at_ns")
    if len({fields[name] is None for name in joined}) > 1:
        missing = next(name for name in joined if fields[name] is None)
        raise RecordDecodeError(missing, "a value, as the worker has joined", None)
    gone_at_ns, fence = _taken_end(fields)
    return Worker(**fields, left_at_ns=gone_at_ns if fence is None else None, fence=fence)


def decode_peer(row: Mapping[str, object]) -> Peer:
    """Decode a worker that is there, or was fenced: its lease and its fence.

    Raises:
        RecordDecodeError: It is not valid.
    """
    fields = _validate(_peer, row)
    return Peer(fence=_taken_end(fields)[1], **fields)


def decode_request(row: Mapping[str, object]) -> CancelRequest:
    """Decode a request. Raises `RecordDecodeError` when it is not valid."""
    return CancelRequest(**_validate(_request, row))


def decode_rejected(row: Mapping[str, object]) -> RejectedMove:
    """Decode a move and when it was rejected. Raises `RecordDecodeError` when it is not valid."""
    move = {name: value for name, value in row.items() if name != "rejected_at_ns"}
    rejected_at_ns = row.get("rejected_at_ns")
    if not isinstance(rejected_at_ns, int) or rejected_at_ns < 0:
        raise RecordDecodeError("rejected_at_ns", "nanoseconds since the epoch", rejected_at_ns)
    return RejectedMove(decode_transition(move), rejected_at_ns)


def decode_notice(row: Mapping[str, object]) -> NoticeRecord:
    """Decode a notice, with what stands of it in its execution, and the store's time.

    Raises:
        RecordDecodeError: It is not valid.
    """
    fields = _validate(_notice, row)
    if not fields["end"].is_terminal:
        raise RecordDecodeError("end", "a state in which an execution has ended", fields["end"].value)
    due_at_ns, now_ns = fields.pop("due_at_ns"), fields.pop("now_ns")
    delivered_at_ns, parked_at_ns = fields["delivered_at_ns"], fields["parked_at_ns"]
    if delivered_at_ns is not None and parked_at_ns is not None:
        raise RecordDecodeError("parked_at_ns", "nothing, as the notice is delivered", parked_at_ns)
    state = (
        NoticeState.DELIVERED
        if delivered_at_ns is not None
        else NoticeState.PARKED
        if parked_at_ns is not None
        else NoticeState.PENDING
    )
    until_ns = now_ns if delivered_at_ns is None else delivered_at_ns
    age = max(0, until_ns - fields["ended_at_ns"]) / 1e9
    due_in = max(0, due_at_ns - now_ns) / 1e9 if state is NoticeState.PENDING else None
    return NoticeRecord(**fields, state=state, age=age, due_in=due_in)


def decode_outbox(row: Mapping[str, object]) -> OutboxRecord:
    """Decode an outbox. Raises `RecordDecodeError` when it is not valid."""
    return OutboxRecord(**_validate(_outbox, row))


def _taken_end(fields: dict[str, Any]) -> tuple[int | None, Fence | None]:
    """Take what says that a worker has gone out of its fields: when, and the fence if there is one."""
    gone_at_ns, position = fields.pop("gone_at_ns"), fields.pop("gone_position")
    by, cause, reason = fields.pop("fenced_by"), fields.pop("fence_cause"), fields.pop("fence_reason")
    if (position is None) != (gone_at_ns is None):
        raise RecordDecodeError("gone_position", "a position if the worker has gone, and only then", position)
    if by is None:
        return gone_at_ns, None
    if cause is None or gone_at_ns is None:
        raise RecordDecodeError("fence_cause", "the cause and the time of a fence", cause)
    return gone_at_ns, Fence(by, cause, reason, gone_at_ns, position)


def _validate(validator: SchemaValidator, row: Mapping[str, object]) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", validator.validate_python(row))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "$"
        raise RecordDecodeError(path, first["msg"], first["input"]) from error
