"""pydantic-ai's runs as executions, on its own offline models."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ModelRetry, RunContext, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import UsageLimits

from runstate import Cause, ExecutionState, ExecutionTimeoutError, ExecutionTracker, Phase
from runstate.contrib import RESUMES, counts, paused
from runstate.contrib.pydantic_ai import track
from tests.clock import FakeClock

from .endings import LOOK_UP, Endings, Hanging, Tool, _found
from .runs import ended, only, phases, printed_by, shown, steps

MODEL, TOOL = Phase.LLM_INTERACTION, Phase.TOOL_EXECUTION


@pytest.fixture(autouse=True)
def _loop() -> Iterator[None]:
    """The loop that `run_sync` takes, and leaves open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def tracking(tracker: ExecutionTracker, options: dict[str, Any]) -> Any:
    """The adapter, with the thread and user of all tests."""
    return track(tracker, **{"thread_id": "t-1", "user_id": "u-1", **options})


def looking(tool: Tool) -> Agent[None, str]:
    """An agent that calls the tool and answers "done"."""
    agent = Agent(TestModel(custom_output_text="done"), name="bob")
    agent.tool_plain(tool.__call__ if isinstance(tool, Hanging) else tool, name="look_up")
    return agent


def answering(*answers: ModelResponse | Exception, **arguments: Any) -> Agent[None, Any]:
    """An agent whose model gives these answers one after the other."""
    left = iter(answers)

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        said = next(left)
        if isinstance(said, Exception):
            raise said
        return said

    return Agent(FunctionModel(answer), name="bob", **arguments)


class TestEndings(Endings):
    framework = "pydantic-ai"

    async def run(self, tracker: ExecutionTracker, tool: Tool = _found, **options: Any) -> object:
        return (await looking(tool).run("hi", capabilities=[tracking(tracker, options)])).output

    async def run_failing(self, tracker: ExecutionTracker, error: Exception, **options: Any) -> object:
        return (await answering(error).run("hi", capabilities=[tracking(tracker, options)])).output

    def source_thread(self) -> Callable[[Any], str]:
        return lambda ctx: "told" if isinstance(ctx, RunContext) else "nothing"


# -- ways to drive a run ----------------------------------------------------------------------------------------------


def test_an_agent_is_tracked_for_good(tracker: ExecutionTracker) -> None:
    """An adapter given to the agent tracks all of its runs, also blocking ones, with pydantic-ai's own conversation as thread."""
    agent = Agent(TestModel(), name="bob", capabilities=[track(tracker, user_id=lambda ctx: ctx.deps)], deps_type=str)
    agent.run_sync("hi", deps="u-3", conversation_id="c-1")
    agent.run_sync("hi", deps="u-4", conversation_id="c-2")
    assert [(one.thread_id, one.user_id) for one in tracker.find()] == [("c-2", "u-4"), ("c-1", "u-3")]


def test_two_adapters_on_one_run_are_one_execution(tracker: ExecutionTracker) -> None:
    """An adapter of the agent and one of the run record the run once."""
    agent = Agent(TestModel(), name="bob", capabilities=[tracking(tracker, {})])
    agent.run_sync("hi", capabilities=[tracking(tracker, {"agent": "second"})])
    assert only(tracker).agent == "bob"
    assert steps(tracker) == LOOK_UP[:1]
    assert counts(tracker) == (1, 0, 0, {})


def test_a_streamed_run_is_completed(tracker: ExecutionTracker) -> None:
    """A run whose answer is streamed to its end is COMPLETED."""

    async def main() -> None:
        async with looking(_found).run_stream("hi", capabilities=[tracking(tracker, {})]) as stream:
            assert [text async for text in stream.stream_text()][-1] == "done"

    asyncio.run(main())
    assert only(tracker).result == "done"
    assert steps(tracker) == LOOK_UP


def test_a_stream_that_is_broken_off_is_cancelled(tracker: ExecutionTracker) -> None:
    """A run whose stream is left before its end is CANCELLED: nobody got the answer."""

    async def words(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        for word in ("do", "ne", "."):
            yield word

    async def main() -> None:
        agent = Agent(FunctionModel(stream_function=words), name="bob")
        async with agent.run_stream("hi", capabilities=[tracking(tracker, {})]) as stream:
            async for _ in stream.stream_text(debounce_by=None):
                break

    asyncio.run(main())
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_a_stream_whose_reader_fails_is_failed(tracker: ExecutionTracker) -> None:
    """A run whose stream is left by its reader's exception is FAILED with it."""

    async def main() -> None:
        async with looking(_found).run_stream("hi", capabilities=[tracking(tracker, {})]):
            raise ConnectionError("the client is gone")

    with pytest.raises(ConnectionError):
        asyncio.run(main())
    assert ended(only(tracker)) == (ExecutionState.FAILED, Cause.RAISED)


def test_an_iteration_that_is_broken_off_is_cancelled(tracker: ExecutionTracker) -> None:
    """A run that is iterated over and left half-way is CANCELLED, though its caller sees no exception; to its end: COMPLETED."""

    async def main(half: bool) -> None:
        async with looking(_found).iter("hi", capabilities=[tracking(tracker, {})]) as run:
            async for node in run:
                if half and Agent.is_call_tools_node(node):
                    break

    asyncio.run(main(half=True))
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    asyncio.run(main(half=False))
    assert tracker.find()[0].result == "done"


# -- endings of its own -----------------------------------------------------------------------------------------------


def test_a_limit_on_requests_is_a_failure(tracker: ExecutionTracker) -> None:
    """A run that exceeds its usage limits is FAILED with pydantic-ai's error."""
    with pytest.raises(UsageLimitExceeded):
        looking(_found).run_sync("hi", usage_limits=UsageLimits(request_limit=1), capabilities=[tracking(tracker, {})])
    record = only(tracker)
    assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
    assert str(record.error).startswith("UsageLimitExceeded")


def test_a_tool_that_asks_for_another_try_is_no_failure(tracker: ExecutionTracker) -> None:
    """A tool's `ModelRetry` goes back to the model; each try is a phase, and the run is COMPLETED."""
    tries: list[int] = []

    async def look_up() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ModelRetry("again")
        return "found"

    call = ModelResponse([ToolCallPart("look_up", {})])
    agent = answering(call, call, ModelResponse([TextPart("done")]))
    agent.tool_plain(look_up)
    agent.run_sync("hi", capabilities=[tracking(tracker, {})])
    assert ended(only(tracker)) == (ExecutionState.COMPLETED, Cause.RETURNED)
    assert steps(tracker) == [*LOOK_UP[:2], *LOOK_UP]


def test_a_tool_that_raises_fails_the_run(tracker: ExecutionTracker) -> None:
    """Any other exception of a tool leaves the run, which is FAILED in that tool."""

    async def broken() -> str:
        raise KeyError("nobody")

    with pytest.raises(KeyError):
        looking(broken).run_sync("hi", capabilities=[tracking(tracker, {})])
    record = only(tracker)
    assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
    assert (record.phase, record.phase_detail) == (TOOL, "look_up")


def test_an_exit_cancels(tracker: ExecutionTracker) -> None:
    """What is no `Exception`, as `SystemExit` is, stops the run from outside: CANCELLED."""

    async def leave() -> str:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        asyncio.run(looking(leave).run("hi", capabilities=[tracking(tracker, {})]))
    assert only(tracker).state is ExecutionState.CANCELLED


def test_tools_beside_each_other(tracker: ExecutionTracker) -> None:
    """Of tools that run at the same time, the one that still runs is the phase again when a later one is done."""
    first_done = asyncio.Event()

    async def slow() -> str:
        await first_done.wait()
        return "slow"

    async def quick() -> str:
        first_done.set()
        return "quick"

    both = ModelResponse([ToolCallPart("slow", {}, "c-1"), ToolCallPart("quick", {}, "c-2")])
    agent = answering(both, ModelResponse([TextPart("done")]))
    agent.tool_plain(slow)
    agent.tool_plain(quick)
    agent.run_sync("hi", capabilities=[tracking(tracker, {})])
    assert [one for one in phases(tracker) if one[0] is TOOL] == [(TOOL, "slow"), (TOOL, "quick"), (TOOL, "slow")]


def test_answers_that_are_models_are_kept_as_json(tracker: ExecutionTracker) -> None:
    """A structured answer is recorded as the JSON object that pydantic makes of it."""

    class Flight(BaseModel):
        number: str
        seats: tuple[int, int]

    agent = answering(
        ModelResponse([ToolCallPart("final_result", {"number": "LH 400", "seats": [1, 2]})]), output_type=Flight
    )
    agent.run_sync("hi", capabilities=[tracking(tracker, {})])
    assert only(tracker).result == {"number": "LH 400", "seats": [1, 2]}


def test_a_run_that_waits_for_approval_is_paused(tracker: ExecutionTracker) -> None:
    """A run that needs a human's approval is COMPLETED with what it waits for; the run that goes on from it is linked to it."""
    call = ModelResponse([ToolCallPart("refund", {"amount": 9}, "c-1")])
    agent = answering(call, ModelResponse([TextPart("refunded")]), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    async def refund(amount: int) -> str:
        return f"{amount} paid"

    async def main() -> None:
        asked = await agent.run("refund me", capabilities=[tracking(tracker, {})])
        assert isinstance(asked.output, DeferredToolRequests)
        answer = await agent.run(
            message_history=asked.all_messages(),
            deferred_tool_results=DeferredToolResults(approvals={"c-1": True}),
            capabilities=[tracking(tracker, {})],
        )
        assert answer.output == "refunded"

    asyncio.run(main())
    resumed, waiting = tracker.find()
    assert ended(waiting) == (ExecutionState.COMPLETED, Cause.RETURNED)
    (asked_for,) = paused(waiting)  # type: ignore[misc]
    assert (asked_for["tool_name"], asked_for["tool_call_id"]) == ("refund", "c-1")
    assert paused(resumed) is None
    assert resumed.result == "refunded"
    assert isinstance(resumed.metadata, dict)
    assert resumed.metadata[RESUMES] == waiting.execution_id
    assert steps(tracker, resumed) == [(TOOL, "refund"), (MODEL, None)]


def test_the_timeout_of_a_run_is_a_timeout(tracker: ExecutionTracker) -> None:
    """A run that pydantic-ai's own `timeout=` stops is TIMEOUT, where there is such an argument."""
    if "timeout" not in inspect.signature(Agent.run).parameters:
        with pytest.raises(TypeError, match="timeout"):
            looking(_found).run_sync("hi", timeout=0.05)
        return
    with pytest.raises(TimeoutError):
        asyncio.run(_run_hanging(tracker, timeout=0.05))
    assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.REPORTED)


async def _run_hanging(tracker: ExecutionTracker, **arguments: Any) -> None:
    await looking(Hanging()).run("hi", capabilities=[tracking(tracker, {})], **arguments)


def test_a_hanging_model_is_stopped_by_the_deadline(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A request to a model that never answers ends when the execution's time limit passes."""
    asked = asyncio.Event()

    async def never(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        agent = Agent(FunctionModel(never), name="bob")
        task = asyncio.create_task(agent.run("hi", capabilities=[tracking(tracker, {"timeout": 25.0})]))
        await asked.wait()
        clock.advance(26.0)
        tracker.sweep()
        with pytest.raises(ExecutionTimeoutError):
            await task

    asyncio.run(main())
    assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.DEADLINE)


def test_a_run_without_a_user_is_not_recorded(tracker: ExecutionTracker) -> None:
    """pydantic-ai knows no users, so `track` has to be told one."""
    with pytest.raises(TypeError, match="user_id"):
        track(tracker)  # type: ignore[call-arg]


def test_the_guides_example(tmp_path: Path) -> None:
    """The example in the guide prints what the guide says."""
    name = "pydantic_ai_example.py"
    assert printed_by(name, tmp_path) == shown(name)[1]
