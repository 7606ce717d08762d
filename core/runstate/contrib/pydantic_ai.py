"""pydantic-ai: each run of an agent is one execution.

    agent = Agent("openai:gpt-5.2", capabilities=[track(tracker, user_id=lambda ctx: ctx.deps.user_id)])

or, for one run, `agent.run("hi", capabilities=[track(tracker, thread_id="t-1", user_id="u-1")])`.

The adapter is a *capability*. `wrap_run` sees every ending, whichever way the run is driven (`run`, `run_sync`, `run_stream`,
`run_stream_events`, `iter`), because pydantic-ai runs it as a task beside the run and hands it the run's outcome. Two things follow.
Every stop reaches it as `CancelledError`: a cancelled task, `ctx.cancel()`, a broken-off stream, and pydantic-ai's own `timeout=`,
which alone can be told from the others, by `ctx.deadline`. And what is to be stopped at once when somebody else ends the execution
is not the task of `wrap_run` but what the run awaits: model requests and tools, which are wrapped too.

One object may serve many runs at the same time: what is known of a run is kept by its run id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Unpack

from pydantic_ai import DeferredToolRequests, RunContext
from pydantic_ai.capabilities import AbstractCapability, WrapModelRequestHandler, WrapRunHandler, WrapToolExecuteHandler
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import ToolDefinition

from runstate import ExecutionTracker, Phase

from ._options import Options
from ._recorder import Recorder
from ._recording import Recording

FRAMEWORK: Final = "pydantic-ai"


def track(
    tracker: ExecutionTracker,
    *,
    user_id: str | Callable[[RunContext[Any]], str],
    thread_id: str | Callable[[RunContext[Any]], str] | None = None,
    **options: Unpack[Options],
) -> TrackRuns:
    """Make the capability that tracks an agent's runs.

    Args:
        tracker: Where they are recorded.
        user_id: The user who asked, or a function that tells it from the run's `RunContext`.
        thread_id: The conversation, likewise; None takes pydantic-ai's `conversation_id`.
        **options: See `runstate.contrib.Options`.

    Raises:
        StateTypeError: *tracker* is no tracker, there is no such option, or an argument has the wrong type.
        InvalidValueError: An argument has an impossible value.
    """
    return TrackRuns(Recorder(FRAMEWORK, tracker, thread_id, user_id, options))


class TrackRuns(AbstractCapability[Any]):
    """Tracks the runs of the agents that it is given to. Made by `track`.

    Args:
        recorder: Records them.
    """

    def __init__(self, recorder: Recorder[RunContext[Any]]) -> None:
        self._recorder = recorder
        self._recordings: dict[str | None, Recording] = {}

    async def wrap_run(self, ctx: RunContext[Any], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Track the run; raises what it raises, or `FencedError` if somebody else has ended the execution."""
        recording = await self._begin(ctx)
        if recording.handle is None:
            return await handler()
        self._recordings[ctx.run_id] = recording
        try:
            recording.watch()
            result = await handler()
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                recording.raised(error)
            elif _is_out_of_time(ctx):
                recording.timed_out(error, "the timeout of the run passed")
            else:
                recording.stopped(error, "the run was cancelled, or broken off")
            await recording.settled(error)
            raise
        finally:
            self._recordings.pop(ctx.run_id, None)
        if isinstance(result.output, DeferredToolRequests):
            recording.paused([*result.output.approvals, *result.output.calls])
        else:
            recording.returned(result.output)
        await recording.settled()
        return result

    async def wrap_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, handler: WrapModelRequestHandler
    ) -> ModelResponse:
        """Record a model request as LLM_INTERACTION."""
        recording = self._recordings.get(ctx.run_id)
        if recording is None:
            return await handler(request_context)
        with self._recorder.guard:
            recording.enter("model", Phase.LLM_INTERACTION, ctx.model.model_name)
        try:
            with recording.stoppable():
                return await handler(request_context)
        finally:
            recording.leave("model")

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: WrapToolExecuteHandler,
    ) -> Any:
        """Record the call of a tool as TOOL_EXECUTION."""
        recording = self._recordings.get(ctx.run_id)
        if recording is None:
            return await handler(args)
        recording.enter(call.tool_call_id, Phase.TOOL_EXECUTION, call.tool_name)
        try:
            with recording.stoppable():
                return await handler(args)
        finally:
            recording.leave(call.tool_call_id)

    async def _begin(self, ctx: RunContext[Any]) -> Recording:
        recorder = self._recorder
        with recorder.guard:
            agent = (ctx.agent.name if ctx.agent is not None else None) or "agent"
            nested = recorder.nested(agent, ctx.run_id)
            if nested is not None:
                return nested
            thread_id = ctx.conversation_id
            identity = recorder.identify(ctx, agent=agent, thread_id=thread_id, user_id=None, run_id=ctx.run_id)
            if _is_resumed(ctx):
                await asyncio.to_thread(recorder.link, identity)
            return recorder.begin(identity, ctx.run_id)
        return recorder.begin(None)


def _is_out_of_time(ctx: RunContext[Any]) -> bool:
    """Whether pydantic-ai's own timeout has stopped the run."""
    deadline: datetime | None = getattr(ctx, "deadline", None)  # since 2.68
    return deadline is not None and datetime.now(UTC) >= deadline


def _is_resumed(ctx: RunContext[Any]) -> bool:
    """Whether the run begins where another one waited for the results of tools."""
    last = ctx.messages[-1] if ctx.messages else None
    return isinstance(last, ModelResponse) and any(isinstance(part, ToolCallPart) for part in last.parts)
