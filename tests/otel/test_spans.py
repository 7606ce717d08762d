"""Spans: one for each execution, in its trace, with its times, and what is inside it below it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode

import runstate.otel
from runstate import Cause, ExecutionState, ExecutionTracker, Phase

from .telemetry import WHO, Telemetry


def test_a_completed_execution(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """It is one `invoke_agent` span below the caller's, from its creation to its end, with its phases as events."""
    with telemetry.of(tracker), telemetry.tracer.start_as_current_span("request") as request:
        run = tracker.create(**WHO).run()
        run.phase(Phase.TOOL_EXECUTION, "get_user_details")
        run.complete("LH 400")
    span = telemetry.span("invoke_agent airline")
    assert span.kind is SpanKind.INTERNAL
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (
        request.get_span_context().trace_id,
        request.get_span_context().span_id,
    )
    created, *_, ended = tracker.timeline(run.execution_id)
    assert (span.start_time, span.end_time) == (created.at_ns, ended.at_ns)
    assert span.status.status_code is StatusCode.UNSET
    said = dict(span.attributes or {})
    assert said == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "airline",
        "gen_ai.conversation.id": "t-1",
        "runstate.execution.id": run.execution_id,
        "runstate.worker": tracker.incarnation,
        "runstate.state": "completed",
        "runstate.cause": "returned",
        "runstate.evidence.observer": "owner",
        "runstate.evidence.beats": 0,
        "runstate.evidence.last_beat_age": said["runstate.evidence.last_beat_age"],
        "runstate.evidence.last_phase": "tool_execution",
        "runstate.evidence.last_phase_detail": "get_user_details",
    }
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("runstate.transition", {"runstate.state": "running"}),
        (
            "runstate.phase",
            {
                "runstate.phase": "tool_execution",
                "runstate.phase.detail": "get_user_details",
                "gen_ai.tool.name": "get_user_details",
            },
        ),
        ("runstate.transition", {"runstate.state": "completed"}),
    ]
    assert [event.timestamp for event in span.events] == [
        entry.at_ns for entry in tracker.timeline(run.execution_id)[1:]
    ]


ENDS: list[tuple[ExecutionState, dict[str, Any], str, str]] = [
    (ExecutionState.FAILED, {"error": KeyError("the moon")}, "raised", "KeyError"),
    (ExecutionState.FAILED, {"error": ArithmeticError()}, "raised", "ArithmeticError"),
    (ExecutionState.FAILED, {"error": "no seat left"}, "reported", "reported"),
    (ExecutionState.TIMEOUT, {}, "reported", "reported"),
    (ExecutionState.DEAD, {"cause": Cause.NO_HEARTBEAT, "error": "silent"}, "no_heartbeat", "no_heartbeat"),
    (ExecutionState.CANCELLED, {"error": "gone"}, "cancelled_by_caller", "cancelled_by_caller"),
]


@pytest.mark.parametrize(("state", "details", "cause", "kind"), ENDS)
def test_an_unhappy_end(
    tracker: ExecutionTracker,
    telemetry: Telemetry,
    state: ExecutionState,
    details: dict[str, Any],
    cause: str,
    kind: str,
) -> None:
    """Its span is an error, with its cause, and `error.type` names the exception or the cause, never the text."""
    with telemetry.of(tracker):
        run = tracker.create(**WHO).run()
        tracker.update_execution_state(run.execution_id, state, **details)
    span = telemetry.span("invoke_agent airline")
    said = dict(span.attributes or {})
    assert (said["runstate.state"], said["runstate.cause"], said["error.type"]) == (state.value, cause, kind)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == tracker.get(run.execution_id).error


def test_a_long_error_is_cut(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """A text of any length is carried up to a bound, and says that it was cut."""
    with telemetry.of(tracker):
        tracker.create(**WHO).fail("x" * 50_000)
    description = telemetry.span("invoke_agent airline").status.description
    assert description is not None
    assert len(description) == 4_096
    assert description.endswith("x…")


def test_each_way_to_track(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """Handles, blocks and agents, sync and async, each are a span below what was current when they were created."""

    @tracker.agent("airline")
    def sync_agent() -> str:
        return "done"

    @tracker.agent("airline")
    async def async_agent() -> str:
        return "done"

    async def main() -> None:
        with telemetry.tracer.start_as_current_span("four"):
            await async_agent.bind(thread_id="t", user_id="u")()
        with telemetry.tracer.start_as_current_span("three"):
            async with tracker.execution(**WHO) as run:
                run.complete("done")

    with telemetry.of(tracker):
        with telemetry.tracer.start_as_current_span("one"):
            tracker.create(**WHO).fail("no")
        with telemetry.tracer.start_as_current_span("two"):
            sync_agent.bind(thread_id="t", user_id="u")()
        asyncio.run(main())
        tracker.create(**WHO).fail("no")
    parents = {span.context.span_id: span.name for span in telemetry.spans() if span.context and " " not in span.name}
    ours = [span for span in telemetry.spans() if span.name == "invoke_agent airline"]
    assert [parents[span.parent.span_id] for span in ours if span.parent] == ["one", "two", "four", "three"]
    assert [span.parent for span in ours[4:]] == [None], "outside of any trace it is the root of its own"


def test_what_is_inside(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """Spans opened `within` an execution are its children, also where it is a root, and nested executions are too."""
    with telemetry.of(tracker) as telling, tracker.execution(**WHO) as run:
        with telling.within(run.execution_id):
            with telemetry.tracer.start_as_current_span("chat"):
                pass
            with tracker.execution(agent="refunds", thread_id="t-1", user_id="u-1") as inner:
                inner.complete(None)
        assert not trace.get_current_span().get_span_context().is_valid
        run.complete(None)
    outer, chat, refunds = (telemetry.span(name) for name in ("invoke_agent airline", "chat", "invoke_agent refunds"))
    assert outer.parent is None
    for child in (chat, refunds):
        assert child.parent is not None
        assert outer.context is not None
        assert (child.parent.trace_id, child.parent.span_id) == (outer.context.trace_id, outer.context.span_id)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_sampling(tracker: ExecutionTracker, rate: float) -> None:
    """An execution that is a root is sampled together with what is inside it, whatever the sampler."""
    telemetry = Telemetry(ParentBased(TraceIdRatioBased(rate)))
    with telemetry.of(tracker) as telling:
        for _ in range(20):
            run = tracker.create(**WHO).run()
            with telling.within(run.execution_id), telemetry.tracer.start_as_current_span("chat"):
                pass
            run.complete(None)
    roots = {span.context.trace_id for span in telemetry.spans() if span.context and span.name != "chat"}
    inside = {span.context.trace_id for span in telemetry.spans() if span.context and span.name == "chat"}
    assert roots == inside
    assert {0.0: len(roots) == 0, 0.5: 0 < len(roots) < 20, 1.0: len(roots) == 20}[rate]
    telemetry.shut_down()


def test_a_parent_that_is_not_sampled(tracker: ExecutionTracker) -> None:
    """An execution in a trace that nobody records is not recorded either; it keeps the trace all the same."""
    telemetry = Telemetry(ALWAYS_OFF)
    with telemetry.of(tracker), telemetry.tracer.start_as_current_span("request") as request:
        run = tracker.create(**WHO)
        run.fail("no")
    assert telemetry.spans() == []
    metadata: Any = tracker.get(run.execution_id).metadata
    expected = request.get_span_context()
    assert metadata["traceparent"] == f"00-{expected.trace_id:032x}-{expected.span_id:016x}-{expected.trace_flags:02x}"
    telemetry.shut_down()


def test_the_users_metadata_stay(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """What the user keeps is kept; a `traceparent` that comes with a message is the parent, and nonsense is none."""
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with telemetry.of(tracker), telemetry.tracer.start_as_current_span("request"):
        first = tracker.create(**WHO, metadata={"tier": "free", "traceparent": given, "tracestate": "a=1"})
        first.fail("no")
        second = tracker.create(**WHO, metadata={"traceparent": "nonsense", "otel.trace": 3})
        second.fail("no")
    metadata: Any = tracker.get(first.execution_id).metadata
    assert metadata == {"tier": "free", "traceparent": given, "tracestate": "a=1"}
    one, two = (span for span in telemetry.spans() if span.name == "invoke_agent airline")
    assert one.parent is not None
    assert (f"{one.parent.trace_id:032x}", f"{one.parent.span_id:016x}") == (given[3:35], given[36:52])
    assert one.parent.trace_state == {"a": "1"}
    assert two.parent is None


def test_no_ids_to_choose(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """With a tracer that chooses its ids alone all is recorded still, and `within` leaves the current span as it is."""

    class Foreign:
        """A tracer of another implementation."""

        def start_span(self, *arguments: Any, **options: Any) -> trace.Span:
            return telemetry.tracer.start_span(*arguments, **options)

    class Provider:
        def get_tracer(self, *_: object, **__: object) -> Foreign:
            return Foreign()

    with (
        runstate.otel.instrument(tracker, tracer_provider=Provider()) as telling,  # type: ignore[arg-type]
        telemetry.tracer.start_as_current_span("request") as request,
    ):
        run = tracker.create(**WHO).run()
        with telling.within(run.execution_id):
            assert trace.get_current_span() is request
        run.complete(None)
    span = telemetry.span("invoke_agent airline")
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id


@pytest.mark.parametrize("in_request", [True, False])
def test_attempts_share_a_trace(tracker: ExecutionTracker, telemetry: Telemetry, *, in_request: bool) -> None:
    """Executions that keep the same metadata, as attempts of one call do, are spans of their own in one trace."""
    request = telemetry.tracer.start_span("request") if in_request else trace.INVALID_SPAN
    with telemetry.of(tracker):
        with trace.use_span(request):
            first = tracker.create(**WHO)
        kept: Any = tracker.get(first.execution_id).metadata
        first.fail("no")
        tracker.create(**WHO, metadata=kept).fail("no")
    one, two = (span for span in telemetry.spans() if span.name == "invoke_agent airline")
    assert one.context is not None
    assert two.context is not None
    assert one.context.trace_id == two.context.trace_id
    assert one.context.span_id != two.context.span_id
    assert one.parent == two.parent
    assert (one.parent is not None) == in_request


def test_without_an_sdk(tracker: ExecutionTracker) -> None:
    """Where only the API is there nothing is recorded, nothing fails, and a trace that comes in is kept."""
    parent = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    with runstate.otel.instrument(tracker) as telling, trace.use_span(NonRecordingSpan(parent)):
        run = tracker.create(**WHO).run()
        with telling.within(run.execution_id):
            run.complete(None)
    metadata: Any = tracker.get(run.execution_id).metadata
    assert metadata == {"traceparent": f"00-{1:032x}-{2:016x}-01"}


def test_modes(tmp_path: Path) -> None:
    """`execution` is never called `invoke_agent`, and `none` records no span and keeps nothing."""
    names: dict[str, list[str]] = {}
    for mode in ("auto", "invoke_agent", "execution", "none"):
        telemetry = Telemetry()
        with runstate.open(tmp_path / f"{mode}.db") as tracker, telemetry.of(tracker, spans=mode):
            run = tracker.create(**WHO)
            run.fail("no")
            assert (tracker.get(run.execution_id).metadata is None) == (mode == "none")
        names[mode] = [span.name for span in telemetry.spans()]
        telemetry.shut_down()
    assert names == {
        "auto": ["invoke_agent airline"],
        "invoke_agent": ["invoke_agent airline"],
        "execution": ["execution airline"],
        "none": [],
    }
