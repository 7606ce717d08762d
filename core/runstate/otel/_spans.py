"""The span of an execution: recorded when its end is in the journal, by whoever wrote the end, with the times of the entries.

| the execution was created | its span is |
|---|---|
| in a recording `invoke_agent` span of a framework (`spans="auto"`) | that one: it gets our events and attributes. Once it has ended, which a framework's often has when the journal tells the end, a child `execution {agent}` of it has them |
| anywhere else | `invoke_agent {agent}`, a child of the span that was current then, or the root of a trace of its own |

Nothing is started at the creation. So an execution whose process dies loses nothing: whoever buries it records the same span,
under the same id. The price is that the span is seen when it is over, as a batch exporter has it anyway.

Phases and moves are events of that span, never `execute_tool` spans: a phase says what an execution is doing now, while the
conventions want of a tool's span that one call begins and ends with it, which phases of parallel calls do not. Frameworks know.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Literal, TypeAlias
from weakref import WeakValueDictionary

from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.trace import get_current_span as current_span
from opentelemetry.util.types import AttributeValue

from runstate import Evidence, ExecutionState, Phase, PhaseChange, Transition, Warned

from . import _conventions as names
from ._life import Life, error_type
from ._origin import ChosenIds, Origin, chosen_ids, written, written_root

Mode: TypeAlias = Literal["auto", "invoke_agent", "execution", "none"]
"""Which span an execution has; see `instrument`."""
MODES: Final[tuple[Mode, ...]] = ("auto", "invoke_agent", "execution", "none")

_TEXT: Final = 4_096
"""Characters of a text that a span may carry: errors and stacks can be long."""


class Spans:
    """Writes executions into traces.

    Args:
        tracer: Starts the spans.
        mode: Which ones.
    """

    def __init__(self, tracer: Tracer, mode: Mode) -> None:
        self._tracer = tracer
        self._mode = mode
        self._ids: ChosenIds | None = chosen_ids(tracer)
        self._frameworks: WeakValueDictionary[int, Span] = WeakValueDictionary()

    def annotation(self) -> dict[str, object]:
        """Return what an execution that is created here and now shall remember of its place."""
        if self._mode == "none":
            return {}
        current = current_span()
        parent = current.get_span_context()
        if self._mode == "auto" and _is_agent(current):
            with suppress(TypeError):  # it takes no weak reference: what we have to say goes to a child of it
                self._frameworks[parent.span_id] = current
            return written(parent, is_adopted=True)
        if parent.is_valid:
            return written(parent, is_adopted=False)
        return {} if self._ids is None else written_root(self._ids.generator.generate_trace_id())

    def is_agent_span(self, origin: Origin) -> bool:
        """Whether the execution's own span is the `invoke_agent` of its agent."""
        return self._mode != "execution" and not origin.is_adopted

    def begun(self, life: Life) -> None:
        """Tell a framework's span which execution it stands for."""
        framework = self._framework(life.origin)
        if framework is not None and framework.is_recording():
            framework.set_attribute(names.EXECUTION_ID, life.created.execution_id)

    def ended(self, life: Life, end: Transition) -> None:
        """Record an execution that has ended."""
        if self._mode == "none":
            return
        framework = self._framework(life.origin)
        if framework is not None and framework.is_recording():
            framework.set_attributes({**_facts(life), **_end(end)})
            _tell(framework, life, end)
            if framework.is_recording():
                return  # else it has ended under our hands, and may have taken nothing
        span = self._start(life)
        if span.is_recording():
            span.set_attributes(_end(end))
            _tell(span, life, end)
            if end.target is not ExecutionState.COMPLETED:
                span.set_status(Status(StatusCode.ERROR, _cut(end.error)))
        span.end(max(end.at_ns, life.created.at_ns))

    def inside(self, origin: Origin, agent: str) -> Span | None:
        """Return what spans inside an execution have as their parent; None where the current span is right already."""
        own = origin.own
        if own is None or origin.is_adopted or self._ids is None:
            return None
        if origin.parent is None:
            own = SpanContext(own.trace_id, own.span_id, is_remote=False, trace_flags=self._root_flags(own, agent))
        return NonRecordingSpan(own)

    def _framework(self, origin: Origin) -> Span | None:
        return self._frameworks.get(origin.parent.span_id) if origin.parent is not None and origin.is_adopted else None

    def _name(self, origin: Origin, agent: str) -> str:
        return f"{names.INVOKE_AGENT if self.is_agent_span(origin) else 'execution'} {agent}"

    def _start(self, life: Life) -> Span:
        created, origin = life.created, life.origin
        attributes = _facts(life)
        if self.is_agent_span(origin):
            attributes[names.OPERATION] = names.INVOKE_AGENT
        if self._ids is not None:
            self._ids.choose(origin.own)
        try:
            return self._tracer.start_span(
                self._name(origin, created.agent),
                context=origin.surroundings,
                kind=SpanKind.INTERNAL,
                attributes=attributes,
                start_time=created.at_ns,
            )
        finally:
            if self._ids is not None:
                self._ids.choose(None)

    def _root_flags(self, own: SpanContext, agent: str) -> TraceFlags:
        """Ask the sampler now what it will say when the root is recorded, so that what is inside shares its fate."""
        sampler = getattr(self._tracer, "sampler", None)
        if sampler is None:
            return TraceFlags(TraceFlags.SAMPLED)
        attributes = {names.OPERATION: names.INVOKE_AGENT, names.AGENT: agent}
        name = f"{names.INVOKE_AGENT} {agent}"
        said = sampler.should_sample(None, own.trace_id, name, SpanKind.INTERNAL, attributes, ())
        return TraceFlags(TraceFlags.SAMPLED if said.decision.is_sampled() else TraceFlags.DEFAULT)


def _is_agent(span: Span) -> bool:
    """Whether a span is a recording `invoke_agent`; the API has no name of a span, the SDK's spans do."""
    name = getattr(span, "name", None)
    if not isinstance(name, str) or not name.startswith(names.INVOKE_AGENT) or not span.is_recording():
        return False
    return name[len(names.INVOKE_AGENT) :][:1] in {"", " "}


def _facts(life: Life) -> dict[str, AttributeValue]:
    """What was known at the creation, and what samplers may judge by."""
    created = life.created
    return {
        names.AGENT: created.agent,
        names.CONVERSATION: created.thread_id,
        names.EXECUTION_ID: created.execution_id,
        names.WORKER: created.incarnation,
    }


def _end(end: Transition) -> dict[str, AttributeValue]:
    said: dict[str, AttributeValue] = {names.STATE: end.target.value}
    if end.cause is not None:
        said[names.CAUSE] = end.cause.value
    kind = error_type(end)
    if kind is not None:
        said[names.ERROR_TYPE] = kind
    if end.evidence is not None:
        said |= _evidence(end.evidence)
    return said


def _evidence(evidence: Evidence) -> dict[str, AttributeValue]:
    said: dict[str, AttributeValue] = {}
    for field, fact in evidence._asdict().items():
        if isinstance(fact, str):
            said[names.EVIDENCE + field] = _cut(fact) or ""
        elif isinstance(fact, int | float):
            said[names.EVIDENCE + field] = fact
        elif isinstance(fact, Phase):
            said[names.EVIDENCE + field] = fact.value
    return said


def _tell(span: Span, life: Life, end: Transition) -> None:
    """Add what has happened as events, each at its own time."""
    for entry in life.entries:
        if isinstance(entry, Transition):
            span.add_event(names.TRANSITION_EVENT, {names.STATE: entry.target.value}, entry.at_ns)
        elif isinstance(entry, PhaseChange):
            said: dict[str, AttributeValue] = {names.PHASE: entry.phase.value}
            if entry.detail is not None:
                said[names.PHASE_DETAIL] = entry.detail
                if entry.phase is Phase.TOOL_EXECUTION:
                    said[names.TOOL] = entry.detail
            span.add_event(names.PHASE_EVENT, said, entry.at_ns)
        elif isinstance(entry, Warned):
            said = {names.CAUSE: entry.cause.value, names.WARNING_DETAIL: _cut(entry.detail) or ""}
            span.add_event(names.WARNING_EVENT, said, entry.at_ns)
    kind = error_type(end)
    if kind is not None and end.error is not None:
        said = {names.EXCEPTION_TYPE: kind, names.EXCEPTION_MESSAGE: _cut(end.error) or ""}
        span.add_event(names.EXCEPTION_EVENT, said, end.at_ns)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT else text[: _TEXT - 1] + "…"
