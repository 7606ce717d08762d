"""Beside a framework that opens `invoke_agent` itself: pydantic-ai with its own instrumentation, and spans of that shape."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability, Instrumentation
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel

from runstate import ExecutionTracker, Phase

from .telemetry import WHO, Telemetry

WHO_IT_IS = {**WHO, "agent": "demo"}


class Tracked(AbstractCapability[Any]):
    """Tracks each run, as an adapter does: inside the framework's own span."""

    def __init__(self, tracker: ExecutionTracker) -> None:
        self._tracker = tracker

    async def wrap_run(self, ctx: Any, *, handler: Any) -> Any:
        async with self._tracker.execution(**WHO_IT_IS) as run:
            result = await handler()
            run.complete(result.output)
        return result


def run_agent(telemetry: Telemetry, *capabilities: Any) -> None:
    """Run an agent that calls a tool, instrumented by pydantic-ai itself."""
    settings = InstrumentationSettings(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    agent = Agent(TestModel(), name="demo", capabilities=[Instrumentation(settings=settings), *capabilities])

    @agent.tool_plain
    async def flights() -> str:
        return "LH 400"

    asyncio.run(agent.run("BER to JFK"))


def test_no_second_agent_span(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """A run that pydantic-ai traces has one `invoke_agent`, pydantic-ai's; ours is a child of it, or it is that span itself."""
    with telemetry.of(tracker):
        run_agent(telemetry, Tracked(tracker))
    (record,) = tracker.find()
    agent = telemetry.span("invoke_agent demo")
    operations = [dict(span.attributes or {}).get("gen_ai.operation.name") for span in telemetry.spans()]
    assert operations.count("invoke_agent") == 1
    ours = [span for span in telemetry.spans() if "runstate.state" in dict(span.attributes or {})]
    assert len(ours) == 1
    facts = dict(ours[0].attributes or {})
    assert (facts["runstate.execution.id"], facts["runstate.state"]) == (record.execution_id, "completed")
    if ours[0] is not agent:
        assert ours[0].name == "execution demo"
        assert ours[0].parent is not None
        assert agent.context is not None
        assert ours[0].parent.span_id == agent.context.span_id
    assert telemetry.points("gen_ai.invoke_agent.duration") == {}, "its duration is for the framework to tell"
    assert sum(telemetry.points("runstate.execution.duration").values()) == 1


def test_a_framework_inside_an_execution(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """With `spans="execution"` and `within`, the framework's `invoke_agent` is the only one, below the execution."""

    async def main() -> None:
        async with tracker.execution(**WHO_IT_IS) as run:
            with telling.within(run.execution_id):
                await asyncio.to_thread(run_agent, telemetry)
            run.complete(None)

    with telemetry.of(tracker, spans="execution") as telling:
        asyncio.run(main())
    agent, ours = telemetry.span("invoke_agent demo"), telemetry.span("execution demo")
    assert agent.parent is not None
    assert ours.context is not None
    assert (agent.parent.trace_id, agent.parent.span_id) == (ours.context.trace_id, ours.context.span_id)
    assert ours.parent is None
    assert telemetry.points("gen_ai.invoke_agent.duration") == {}


def test_a_span_that_outlives_the_execution(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """While the framework's span records, the execution's events and end are on it, and there is no other span."""
    telling = telemetry.of(tracker)
    with telemetry.tracer.start_as_current_span("invoke_agent demo"):
        run = tracker.create(**WHO_IT_IS).run()
        run.phase(Phase.LLM_INTERACTION)
        run.fail(KeyError("the moon"))
        telling.close()
    (span,) = telemetry.spans()
    facts = dict(span.attributes or {})
    assert (facts["runstate.state"], facts["error.type"]) == ("failed", "KeyError")
    assert [event.name for event in span.events] == [
        "runstate.transition",
        "runstate.phase",
        "runstate.transition",
        "exception",
    ]


@pytest.mark.parametrize("name", ["invoke_agent_later", "chat model", "execute_tool flights"])
def test_other_spans_are_no_agents(tracker: ExecutionTracker, telemetry: Telemetry, name: str) -> None:
    """Only a span that is an agent's stands for an execution; below any other the execution has its own."""
    with telemetry.of(tracker), telemetry.tracer.start_as_current_span(name):
        tracker.create(**WHO).fail("no")
    assert {span.name for span in telemetry.spans()} == {name, "invoke_agent airline"}


def test_always_our_own(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """With `spans="invoke_agent"` the execution has a span of its own below the framework's."""
    with telemetry.of(tracker, spans="invoke_agent"), telemetry.tracer.start_as_current_span("invoke_agent demo"):
        tracker.create(**WHO).fail("no")
    assert {span.name for span in telemetry.spans()} == {"invoke_agent demo", "invoke_agent airline"}
