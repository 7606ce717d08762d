"""The JSON Schema of everything that goes over the wire, made from the types that it is made from.

The file `schema.json` beside this module is what `document` returns, for who wants it without a server; a test keeps the two the same.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from runstate import (
    CancelRequest,
    Cause,
    Evidence,
    ExecutionRecord,
    ExecutionState,
    Fence,
    Phase,
    Statistics,
    Worker,
    WorkerState,
)

from ._frames import ENDINGS
from ._plain import INTERNAL, KINDS
from ._vocabulary import FINAL, THINKING

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NUMBERS: Final[dict[object, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
}
_ENUMS: Final = (ExecutionState, Phase, Cause, WorkerState)
_NAMED: Final[dict[object, str]] = {one: one.__name__ for one in (*_ENUMS, Evidence, Fence)}
PLACE: Final = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
_ANY: Final[Schema] = {}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_RATE: Final = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_BULK: Final = {"metadata_json": "metadata", "result_json": "result"}


def ref(name: str) -> Schema:
    """Point to a schema of `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Mapping[str, Schema], *, optional: frozenset[str] = frozenset()) -> Schema:
    """Describe an object that has these properties and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def components() -> dict[str, Schema]:
    """Return the schemas by name, each pointing to others as `ref` does."""
    entries = {f"{KINDS[kind].title()}Entry": _entry(kind) for kind in KINDS}
    events = {
        f"{KINDS[kind].title()}Event": closed(
            {
                "id": PLACE,
                "position": {"type": "integer", "minimum": 1},
                **_entry(kind)["properties"],
                **dict.fromkeys(("agent", "thread_id", "user_id"), _TEXT),
            }
        )
        for kind in KINDS
    }
    client = {"".join(word.title() for word in name.split("_")): one for name, one in _client_events().items()}
    return {
        **{enum.__name__: {"type": "string", "enum": [member.value for member in enum]} for enum in _ENUMS},
        "Evidence": _fields(Evidence),
        "Fence": _fields(Fence),
        **entries,
        "Entry": {"oneOf": [ref(name) for name in entries]},
        **events,
        "JournalEvent": {"oneOf": [ref(name) for name in events]},
        **client,
        "ClientEvent": {"oneOf": [ref(name) for name in client]},
        "ControlEvent": {
            "oneOf": [
                closed({"event": {"const": "interrupted"}, "reason": _TEXT}),
                closed({"event": {"const": "resumed"}}),
                closed({"event": {"const": "closed"}, "reason": {"enum": ENDINGS}, "message": _TEXT}),
            ]
        },
        "ExecutionSummary": _fields(ExecutionRecord, left_out=frozenset(_BULK)),
        "Execution": _fields(ExecutionRecord),
        "Worker": _with(_fields(Worker), {"state": ref("WorkerState")}),
        "CancelRequest": _fields(CancelRequest),
        "RejectedMove": closed({"move": ref("TransitionEntry"), "rejected_at_ns": {"type": "integer"}}),
        "Rates": closed(_rates()),
        "Statistics": _statistics(),
        "Error": closed({"error": closed({"kind": _TEXT, "message": _TEXT})}),
    }


def document() -> Schema:
    """Return all of it as one JSON Schema: whatever a stream or an answer carries is one of `$defs`."""
    schemas: dict[str, Schema] = json.loads(json.dumps(components()).replace("#/components/schemas/", "#/$defs/"))
    return {
        "$schema": DIALECT,
        "title": "runstate: events and records",
        "description": "All times that end in _ns are integer nanoseconds since the Unix epoch.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in schemas],
        "$defs": schemas,
    }


def _with(schema: Schema, properties: Mapping[str, Schema]) -> Schema:
    return closed({**schema["properties"], **properties})


def _fields(record: type, left_out: frozenset[str] = frozenset()) -> Schema:
    """Describe a record by its own annotations. Fields that tell of machines are null for users."""
    properties: dict[str, Schema] = {}
    for name, hint in get_type_hints(record).items():
        if name in left_out:
            continue
        if name in _BULK:
            properties[_BULK[name]] = _ANY
            continue
        schema = _type(hint)
        properties[name] = _nullable(schema) if name in INTERNAL else schema
    return closed(properties)


def _entry(kind: type) -> Schema:
    return _with({"properties": {"kind": {"const": KINDS[kind]}}}, _fields(kind)["properties"])


def _type(hint: object) -> Schema:
    if hint in _NUMBERS:
        return _NUMBERS[hint]
    if get_origin(hint) in {Union, types.UnionType}:
        parts = [_type(part) for part in get_args(hint)]
        return _nullable(parts[0]) if parts[1:] == [{"type": "null"}] else {"anyOf": parts}
    if hint in _NAMED:
        return ref(_NAMED[hint])
    raise TypeError(f"{hint!r} has no form in JSON yet; give it one here")


def _nullable(schema: Schema) -> Schema:
    if schema.get("type") == "null" or {"type": "null"} in schema.get("anyOf", ()):
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def _client_events() -> dict[str, Schema]:
    whose = {
        "id": PLACE,
        **dict.fromkeys(("execution_id", "thread_id", "user_id", "agent"), _TEXT),
        "at_ns": {"type": "integer"},
        **dict.fromkeys(("message_id", "retry_of"), _nullable(_TEXT)),
        "attempt": {"type": "integer", "minimum": 1},
    }
    tool = {"tool_name": _nullable(_TEXT)}
    states = {name: [state.value for state, final in FINAL.items() if final == name] for name in FINAL.values()}
    final = {"cause": ref("Cause"), "is_final": {"type": "boolean"}}
    unhappy = {**final, "error": _nullable(_TEXT), **tool}
    facts: dict[str, Mapping[str, Schema]] = {
        "agent_started": {},
        "agent_thinking": {"phase": {"enum": sorted(phase.value for phase in THINKING)}, "detail": _nullable(_TEXT)},
        "tool_executing": tool,
        "tool_completed": tool,
        "agent_completed": {"state": {"const": "completed"}, **final, "result": _ANY},
        "agent_error": {"state": {"enum": states["agent_error"]}, **unhappy},
        "agent_death": {"state": {"enum": states["agent_death"]}, **unhappy},
    }
    return {name: closed({"event": {"const": name}, **whose, **more}) for name, more in facts.items()}


def _rates() -> dict[str, Schema]:
    ends = [state.value for state in ExecutionState if state.is_terminal]
    return {"ended": closed(dict.fromkeys(ends, _COUNT)), "completion": _RATE, "reliability": _RATE}


def _statistics() -> Schema:
    live = [state.value for state in ExecutionState if not state.is_terminal]
    return closed(
        {
            "at_ns": {"type": "integer"},
            "live": closed(dict.fromkeys(live, _COUNT)),
            "oldest_live": _nullable(ref("ExecutionSummary")),
            "lately": ref("Rates"),
            "span_ns": {"type": "integer"},
            "spans": {"type": "array", "items": closed({"from_ns": {"type": "integer"}, **_rates()})},
            "tracker": _with(_fields(Statistics, left_out=frozenset({"ended"})), {"streams": _COUNT}),
        },
        optional=frozenset({"tracker"}),
    )
