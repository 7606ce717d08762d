"""Streamed runs of the OpenAI Agents SDK as executions."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Runner,
    RunResultStreaming,
)

from runstate import Cause, ExecutionState, ExecutionTracker, Phase
from runstate.contrib import counts

from .agents_program import agent, looking, tracking
from .endings import LOOK_UP, Endings, Hanging, Tool, _found
from .runs import ended, only, printed_by, shown, steps

THINKING, MODEL, TOOL = Phase.THINKING, Phase.LLM_INTERACTION, Phase.TOOL_EXECUTION


class TestStreamedEndings(Endings):
    framework = "openai-agents"

    async def run(self, tracker: ExecutionTracker, tool: Tool = _found, **options: Any) -> object:
        result = tracking(tracker, **options).run_streamed(looking(tool), "hi", context={"thread": "told"})
        async for _ in result.stream_events():
            pass
        return result.final_output

    async def run_failing(self, tracker: ExecutionTracker, error: Exception, **options: Any) -> object:
        result = tracking(tracker, **options).run_streamed(agent(error), "hi")
        async for _ in result.stream_events():
            pass
        return result.final_output

    def source_thread(self) -> Callable[[Any], str]:
        return lambda context: str(context["thread"])


def test_a_stream_is_the_sdks_own(tracker: ExecutionTracker) -> None:
    """What a streamed run returns is the SDK's result to everybody who knows that, and its stream has the same events."""

    async def main() -> None:
        result = tracking(tracker).run_streamed(looking(), "hi")
        assert isinstance(result, RunResultStreaming)
        plain = Runner.run_streamed(looking(), "hi")
        assert [one.type async for one in result.stream_events()] == [one.type async for one in plain.stream_events()]
        assert result.final_output == "done"
        assert result.last_agent.name == "bob"

    asyncio.run(main())
    assert only(tracker).result == "done"
    assert steps(tracker) == LOOK_UP


@pytest.mark.parametrize("mode", ["immediate", "after_turn"])
def test_a_cancelled_stream_is_cancelled(tracker: ExecutionTracker, mode: Any) -> None:
    """A stream that is cancelled, at once or after its turn, just ends for its reader: its execution is CANCELLED."""

    async def main() -> None:
        async def stop() -> str:
            result.cancel(mode)
            return "stopped"

        result = tracking(tracker).run_streamed(looking(stop), "hi")
        async for _ in result.stream_events():
            pass
        assert result.final_output is None

    asyncio.run(main())
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert counts(tracker).troubles == {}


def test_a_stream_that_is_broken_off_is_cancelled(tracker: ExecutionTracker) -> None:
    """A stream that its reader leaves before the end is CANCELLED: nobody got the answer."""

    async def main() -> None:
        result = tracking(tracker).run_streamed(looking(), "hi")
        events = result.stream_events()
        async for _ in events:
            break
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    record = only(tracker)
    assert ended(record) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert record.error == "the stream was broken off"


def test_a_stream_that_nobody_reads_ends_with_its_run(tracker: ExecutionTracker) -> None:
    """A streamed run whose events are never read is COMPLETED, FAILED or CANCELLED when the run itself is over."""

    async def main() -> None:
        runner = tracking(tracker)
        hanging = runner.run_streamed(looking(Hanging()), "hi")
        for bob in (looking(), agent(RuntimeError("away"))):
            result = runner.run_streamed(bob, "hi")
            assert result.run_loop_task is not None
            await asyncio.wait([result.run_loop_task])
        assert hanging.run_loop_task is not None
        hanging.run_loop_task.cancel()
        await asyncio.wait([hanging.run_loop_task])
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    expected = [ExecutionState.FAILED, ExecutionState.COMPLETED, ExecutionState.CANCELLED]
    assert [one.state for one in tracker.find()] == expected


def test_a_streamed_run_leaves_its_caller_outside(tracker: ExecutionTracker) -> None:
    """While a streamed run goes on, another run that its caller begins is an execution of its own."""

    async def main() -> None:
        result = tracking(tracker).run_streamed(looking(), "hi")
        await tracking(tracker, agent="other").run(looking(), "hi")
        async for _ in result.stream_events():
            pass

    asyncio.run(main())
    assert {one.agent for one in tracker.find()} == {"bob", "other"}
    assert counts(tracker).nested == 0


def test_the_guides_example(tmp_path: Path) -> None:
    """The example in the guide prints what the guide says."""
    name = "openai_agents_example.py"
    assert printed_by(name, tmp_path) == shown(name)[1]
