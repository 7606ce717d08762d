"""Runs of the OpenAI Agents SDK as executions, on a model that says what it is told to."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agents import (
    Agent,
    AgentHooks,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    RunConfig,
    RunHooks,
    Runner,
    SQLiteSession,
    UserError,
    function_tool,
)

from runstate import Cause, ExecutionState, ExecutionTimeoutError, ExecutionTracker, Phase
from runstate.contrib import RESUMES, counts, paused
from runstate.contrib.openai_agents import PhaseHooks, track
from tests.clock import FakeClock

from .agents_program import Scripted, agent, calls, looking, named, says, tracking
from .endings import LOOK_UP, Endings, Tool, _found
from .runs import ended, only, phases, steps, stored

THINKING, MODEL, TOOL = Phase.THINKING, Phase.LLM_INTERACTION, Phase.TOOL_EXECUTION


@pytest.fixture(autouse=True)
def _loop() -> Iterator[None]:
    """The loop that `run_sync` takes, and leaves open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


class TestEndings(Endings):
    framework = "openai-agents"

    async def run(self, tracker: ExecutionTracker, tool: Tool = _found, **options: Any) -> object:
        return (await tracking(tracker, **options).run(looking(tool), "hi", context={"thread": "told"})).final_output

    async def run_failing(self, tracker: ExecutionTracker, error: Exception, **options: Any) -> object:
        return (await tracking(tracker, **options).run(agent(error), "hi")).final_output

    def source_thread(self) -> Callable[[Any], str]:
        return lambda context: str(context["thread"])


# -- ways to drive a run ----------------------------------------------------------------------------------------------


def test_agents_models_and_tools_are_phases(tracker: ExecutionTracker) -> None:
    """The agent is a phase, and so is each request to its model, by the model's or else the agent's name, and each tool."""
    asyncio.run(tracking(tracker).run(looking(), "hi"))
    assert phases(tracker) == [(THINKING, "bob"), (MODEL, "bob"), (TOOL, "look_up"), (MODEL, "bob")]


def test_a_blocking_run(tracker: ExecutionTracker) -> None:
    """A blocking run is COMPLETED, durable when it returns; one that fails is FAILED."""
    runner = tracking(tracker)
    assert runner.run_sync(looking(), "hi").final_output == "done"
    assert stored(tracker) == [ExecutionState.COMPLETED]
    with pytest.raises(RuntimeError):
        runner.run_sync(agent(RuntimeError("away")), "hi")
    assert [one.state for one in tracker.find()] == [ExecutionState.FAILED, ExecutionState.COMPLETED]


def test_a_blocking_run_is_stopped_at_its_next_event(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A blocking run whose time has passed is stopped before the model is asked again."""

    async def late() -> str:
        clock.advance(26.0)
        tracker.sweep()
        return "late"

    bob = looking(late)
    with pytest.raises(ExecutionTimeoutError):
        tracking(tracker, timeout=25.0).run_sync(bob, "hi")
    assert len(bob.model.script) == 1  # type: ignore[union-attr]
    assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.DEADLINE)


def test_the_conversation_of_the_sdk_is_taken(tracker: ExecutionTracker) -> None:
    """Without being told, the adapter takes the session's id, the conversation, or the group; else it says what is missing."""

    async def main() -> None:
        runner = track(tracker, user_id="u-1")
        session = SQLiteSession("s-1")
        await runner.run(looking(), "hi", session=session)
        session.close()
        await runner.run(looking(), "hi", conversation_id="c-1")
        await runner.run(looking(), "hi", run_config=RunConfig(group_id="g-1"))
        await runner.run(looking(), "hi")

    asyncio.run(main())
    assert [one.thread_id for one in tracker.find()] == ["g-1", "c-1", "s-1"]
    assert counts(tracker).troubles == {"openai-agents identify: InvalidValueError": 1}


def test_the_callers_hooks_are_called(tracker: ExecutionTracker) -> None:
    """Hooks that the caller gives hear all that they would hear without the adapter, and so do those of the agent."""

    class Heard(RunHooks[Any]):
        def __init__(self) -> None:
            self.names: list[str] = []

    for name in _events():
        setattr(Heard, name, _listener(name))

    async def main(run: Any) -> list[str]:
        heard = Heard()
        other = agent(says("done"))
        bob = agent(calls("look_up"), calls("transfer_to_bob"), tools=(named("look_up", _found),), handoffs=[other])
        bob.hooks = AgentHooks()
        await run(bob, "hi", hooks=heard)
        return heard.names

    plain = asyncio.run(main(Runner.run))
    assert set(plain) == _events()
    assert asyncio.run(main(tracking(tracker).run)) == plain
    assert counts(tracker) == (1, 0, 0, {})


def _events() -> set[str]:
    return {name for name in dir(RunHooks) if name.startswith("on_")}


def _listener(name: str) -> Any:
    async def listen(self: Any, *args: Any, **kwargs: Any) -> None:
        self.names.append(name)

    return listen


def test_every_hook_is_handed_on() -> None:
    """A new kind of hook in the SDK must be handed on here, with the SDK's own names of parameters, which it passes by keyword."""
    assert _events() == {name for name in vars(PhaseHooks) if name.startswith("on_")}
    for name in _events():
        theirs, ours = (inspect.signature(getattr(owner, name)).parameters for owner in (RunHooks, PhaseHooks))
        assert list(theirs) == list(ours)


def test_every_option_of_the_runner_is_taken(tracker: ExecutionTracker) -> None:
    """What the SDK's `Runner` takes is handed on: a wrong one is refused by the SDK itself, and recorded as a failure."""
    with pytest.raises(TypeError, match="no_such_option"):
        asyncio.run(tracking(tracker).run(looking(), "hi", no_such_option=1))  # type: ignore[call-arg]
    assert only(tracker).state is ExecutionState.FAILED


# -- endings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [False, True], ids=["run", "streamed"])
def test_too_many_turns_are_a_failure(tracker: ExecutionTracker, is_streamed: bool) -> None:
    """A run that reaches `max_turns` is FAILED with the SDK's error."""
    bob = agent(calls("look_up"), calls("look_up"), tools=(named("look_up", _found),))

    async def main() -> None:
        if not is_streamed:
            await tracking(tracker).run(bob, "hi", max_turns=1)
        else:
            async for _ in tracking(tracker).run_streamed(bob, "hi", max_turns=1).stream_events():
                pass

    with pytest.raises(MaxTurnsExceeded):
        asyncio.run(main())
    record = only(tracker)
    assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
    assert str(record.error).startswith("MaxTurnsExceeded")


def test_a_tool_error_is_no_failure(tracker: ExecutionTracker) -> None:
    """By default the SDK tells the model what a tool raised: the run is COMPLETED; a tool that may fail the run does so."""

    @function_tool(name_override="look_up")
    async def broken() -> str:
        raise KeyError("nobody")

    asyncio.run(tracking(tracker).run(agent(calls("look_up"), says("done"), tools=(broken,)), "hi"))
    assert ended(only(tracker)) == (ExecutionState.COMPLETED, Cause.RETURNED)

    async def failing() -> str:
        raise KeyError("nobody")

    with pytest.raises((KeyError, UserError)):
        asyncio.run(tracking(tracker).run(looking(failing), "hi"))
    record = tracker.find()[0]
    assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
    assert (record.phase, record.phase_detail) == (TOOL, "look_up")


def test_a_tripwire_is_a_failure(tracker: ExecutionTracker) -> None:
    """A run that a guardrail stops is FAILED with the guardrail's error."""

    async def trip(*args: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(None, tripwire_triggered=True)

    with pytest.raises(InputGuardrailTripwireTriggered):
        asyncio.run(tracking(tracker).run(agent(says("done"), input_guardrails=[InputGuardrail(trip)]), "hi"))
    assert ended(only(tracker)) == (ExecutionState.FAILED, Cause.RAISED)


def test_a_handoff_is_part_of_the_run(tracker: ExecutionTracker) -> None:
    """The agent that is handed over to is a phase of the same execution, which keeps the name of the first."""
    other = Agent(name="alice", model=Scripted(says("done")))
    asyncio.run(tracking(tracker).run(agent(calls("transfer_to_alice"), handoffs=[other]), "hi"))
    assert only(tracker).agent == "bob"
    assert [one for one in phases(tracker) if one[0] is THINKING] == [(THINKING, "bob"), (THINKING, "alice")]


def test_an_agent_as_a_tool_is_a_tool(tracker: ExecutionTracker) -> None:
    """An agent that the SDK runs as a tool is that tool's phase, and no execution of its own."""
    other = Agent(name="alice", model=Scripted(says("found")))
    tool = other.as_tool("look_up", "Look it up.")
    call = calls("look_up")
    call[0].arguments = '{"input": "hi"}'
    asyncio.run(tracking(tracker).run(agent(call, says("done"), tools=(tool,)), "hi"))
    assert steps(tracker) == LOOK_UP


def test_tools_beside_each_other(tracker: ExecutionTracker) -> None:
    """Of tools that run at the same time, the one that still runs is the phase again when a later one is done."""
    quick_done = asyncio.Event()

    async def slow() -> str:
        await quick_done.wait()
        await asyncio.sleep(0)
        return "slow"

    async def quick() -> str:
        asyncio.get_running_loop().call_later(0.05, quick_done.set)
        return "quick"

    bob = agent(calls("slow", "quick"), says("done"), tools=(named("slow", slow), named("quick", quick)))
    asyncio.run(tracking(tracker).run(bob, "hi"))
    assert [one for one in phases(tracker) if one[0] is TOOL] == [(TOOL, "slow"), (TOOL, "quick"), (TOOL, "slow")]


# -- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [False, True], ids=["run", "streamed"])
def test_a_run_that_waits_for_approval_is_paused(tracker: ExecutionTracker, is_streamed: bool) -> None:
    """A run that needs a human's approval is COMPLETED with what it waits for; the run that goes on from it is linked to it."""
    bob = agent(calls("refund"), says("refunded"), tools=(named("refund", _found, needs_approval=True),))

    async def run(said: Any) -> Any:
        if not is_streamed:
            return await tracking(tracker).run(bob, said)
        result = tracking(tracker).run_streamed(bob, said)
        async for _ in result.stream_events():
            pass
        return result

    async def main() -> None:
        asked = await run("refund me")
        state = asked.to_state()
        for one in asked.interruptions:
            state.approve(one)
        assert (await run(state)).final_output == "refunded"

    asyncio.run(main())
    resumed, waiting = tracker.find()
    assert ended(waiting) == (ExecutionState.COMPLETED, Cause.RETURNED)
    (asked_for,) = paused(waiting)  # type: ignore[misc]
    assert (asked_for["tool_name"], asked_for["call"]["call_id"]) == ("refund", "c-refund")
    assert paused(resumed) is None
    assert resumed.result == "refunded"
    assert resumed.metadata[RESUMES] == waiting.execution_id  # type: ignore[call-overload, index]
    assert [one for one in steps(tracker, resumed) if one[0] is TOOL] == [(TOOL, "refund")]
