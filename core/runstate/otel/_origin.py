"""Where in a trace an execution stands: written down when it is created, read by whoever records its end.

Its metadata say so:

- `traceparent` and `tracestate`, as W3C has them: the span that was current in the code that created the execution, its parent;
- `otel.trace`, where there was none: the id of the trace of its own;
- `otel.adopted`, with the parent's span id: it is a framework's `invoke_agent`, and stands for the execution, which has no span
  of its own.

The execution's own span has an id that follows from the execution's. So spans inside the execution can name it as their parent before
it exists, a death does not take it along, and attempts of one call, which share all metadata, share the trace and not the span.
What is no valid `traceparent` counts as not there: metadata are the user's.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol, cast

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
_TRACE: Final = "otel.trace"
_ADOPTED: Final = "otel.adopted"
_W3C: Final = TraceContextTextMapPropagator()
_NOWHERE: Final = Context()


class Origin(NamedTuple):
    """The place of one execution in a trace."""

    parent: SpanContext | None = None
    """The span that it was created in."""
    own: SpanContext | None = None
    """Its own span, where its ids follow from what is known."""
    is_adopted: bool = False
    """Whether the parent is a framework's span that stands for the execution."""

    @property
    def surroundings(self) -> Context:
        """What a span that starts at the creation starts in: the parent, or nothing."""
        return _NOWHERE if self.parent is None else set_span_in_context(NonRecordingSpan(self.parent), _NOWHERE)


def written(parent: SpanContext, *, is_adopted: bool) -> dict[str, object]:
    """Return the metadata that say where an execution stands that has a parent."""
    header = f"00-{parent.trace_id:032x}-{parent.span_id:016x}-{parent.trace_flags:02x}"
    kept: dict[str, object] = {_PARENT: header}
    if parent.trace_state:
        kept[_STATE] = parent.trace_state.to_header()
    if is_adopted:
        kept[_ADOPTED] = f"{parent.span_id:016x}"
    return kept


def written_root(trace_id: int) -> dict[str, object]:
    """Return the metadata that say where an execution stands that begins a trace."""
    return {_TRACE: f"{trace_id:032x}"}


def read(execution_id: str, metadata_json: bytes | None) -> Origin:
    """Return what was written of an execution, whatever else the metadata hold."""
    if metadata_json is None or (b'"traceparent"' not in metadata_json and b'"otel.trace"' not in metadata_json):
        return Origin()
    metadata = cast("dict[str, object]", json.loads(metadata_json))
    parent = _parent(metadata)
    if parent is not None:
        own = SpanContext(
            parent.trace_id,
            _span_id(execution_id),
            is_remote=False,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )
        return Origin(parent, own, is_adopted=metadata.get(_ADOPTED) == f"{parent.span_id:016x}")
    trace = metadata.get(_TRACE)
    if not isinstance(trace, str) or re.fullmatch(r"[0-9a-f]{32}", trace) is None:
        return Origin()
    own = SpanContext(
        int(trace, 16), _span_id(execution_id), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return Origin(None, own if own.is_valid else None)


def _parent(metadata: Mapping[str, object]) -> SpanContext | None:
    header, state = metadata.get(_PARENT), metadata.get(_STATE)
    if not isinstance(header, str):
        return None
    carrier = {_PARENT: header, _STATE: state} if isinstance(state, str) else {_PARENT: header}
    found = get_current_span(_W3C.extract(carrier, _NOWHERE)).get_span_context()
    return found if found.is_valid else None


def _span_id(execution_id: str) -> int:
    """A digest, as ids of spans shall be evenly spread, and those of executions are not."""
    return int.from_bytes(blake2b(execution_id.encode(), digest_size=8).digest(), "big") or 1


class _IdGenerator(Protocol):
    """As much of the SDK's generator of ids as is needed here."""

    def generate_trace_id(self) -> int: ...
    def generate_span_id(self) -> int: ...


class ChosenIds:
    """Gives the ids that were chosen for the next span of this thread, else those of the generator that it stands before."""

    def __init__(self, generator: _IdGenerator) -> None:
        self.generator: _IdGenerator = generator
        self._chosen = threading.local()

    def choose(self, own: SpanContext | None) -> None:
        """Have the next span of this thread be *own*; None leaves it to the generator again."""
        self._chosen.own = own

    def generate_trace_id(self) -> int:
        """Return the trace id of a span that has no parent."""
        own: SpanContext | None = getattr(self._chosen, "own", None)
        return self.generator.generate_trace_id() if own is None else own.trace_id

    def generate_span_id(self) -> int:
        """Return the id of a span."""
        own: SpanContext | None = getattr(self._chosen, "own", None)
        return self.generator.generate_span_id() if own is None else own.span_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)


def chosen_ids(tracer: Tracer) -> ChosenIds | None:
    """Have spans of *tracer*, and of no other, take ids that we choose; None where its implementation cannot.

    The SDK's tracer asks its public attribute `id_generator`. The tracer is ours alone: the SDK has one for each instrumenting name.
    """
    generator = getattr(tracer, "id_generator", None)
    if isinstance(generator, ChosenIds):
        return generator
    if generator is None or not hasattr(generator, "generate_span_id"):
        return None
    ids = ChosenIds(generator)
    cast("Any", tracer).id_generator = ids
    return ids
