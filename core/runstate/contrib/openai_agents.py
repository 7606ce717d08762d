"""The OpenAI Agents SDK: each run of a `Runner` is one execution.

    runner = track(tracker, user_id="u-1", thread_id="t-1")
    result = await runner.run(agent, "hi")          # as Runner.run(agent, "hi")

The SDK's hooks are not told of failures, cancellations and pauses, and its tracing does not tell them from success. So the adapter
stands where `Runner` stood: it takes what `Runner.run`, `run_sync` and `run_streamed` take, hands it on, and reads the ending from
what leaves the call. Hooks give the phases; hooks of the caller are called after ours.

A streamed run ends when its stream has been read to the end, is left, or is cancelled; `run_streamed` returns the SDK's own
object, whose class is a subclass made here, so that everybody who knows that object goes on knowing it. A stream that nobody reads
ends with its run. Runs that the SDK itself nests (agents as tools) and handoffs belong to the one run that was begun here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Unpack, cast

from agents import (
    Agent,
    RunConfig,
    RunContextWrapper,
    RunHooks,
    Runner,
    RunResult,
    RunResultStreaming,
    RunState,
    StreamEvent,
    Tool,
    TResponseInputItem,
)
from agents.items import ModelResponse

from runstate import ExecutionTracker, FencedError, NotOwnerError, Phase

from ._options import Options
from ._recorder import Identity, Recorder
from ._recording import Recording

if TYPE_CHECKING:
    from agents.run_config import RunOptions

TContext = TypeVar("TContext")

FRAMEWORK: Final = "openai-agents"


def track(
    tracker: ExecutionTracker,
    *,
    user_id: str | Callable[[Any], str],
    thread_id: str | Callable[[Any], str] | None = None,
    **options: Unpack[Options],
) -> TrackedRunner:
    """Make the runner that tracks what it runs.

    Args:
        tracker: Where runs are recorded.
        user_id: The user who asked, or a function that tells it from the run's `context` object.
        thread_id: The conversation, likewise; None takes the session's id, the `conversation_id`, or the `group_id` of the `RunConfig`.
        **options: See `runstate.contrib.Options`.

    Raises:
        StateTypeError: *tracker* is no tracker, there is no such option, or an argument has the wrong type.
        InvalidValueError: An argument has an impossible value.
    """
    return TrackedRunner(Recorder(FRAMEWORK, tracker, thread_id, user_id, options))


class TrackedRunner:
    """Runs agents as `agents.Runner` does, each run an execution. Made by `track`; one may be shared by all runs.

    Args:
        recorder: Records them.
    """

    def __init__(self, recorder: Recorder[Any]) -> None:
        self._recorder = recorder

    async def run(
        self,
        starting_agent: Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],  # noqa: A002 - the SDK's name
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResult:
        """Do what `Runner.run` does, and track it.

        Args:
            starting_agent: As for `Runner.run`, and so are the others.
            input: What the agent is asked, or the state of a paused run to go on from.
            **options: The keyword arguments of `Runner.run`.

        Raises:
            FencedError: Somebody else has ended the execution.
        """
        recording = await self._begun(starting_agent, input, options)
        try:
            recording.watch()
            with recording.stoppable():
                result = await Runner.run(starting_agent, input, **_hooked(recording, options))
        except BaseException as error:
            _leave(recording, error)
            await recording.settled(error)
            raise
        _finish(recording, result)
        await recording.settled()
        return result

    def run_sync(
        self,
        starting_agent: Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],  # noqa: A002 - the SDK's name
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResult:
        """Do what `Runner.run_sync` does, and track it. If somebody else ends the execution, it is stopped at its next event.

        Args:
            starting_agent: As for `Runner.run_sync`, and so are the others.
            input: What the agent is asked, or the state of a paused run to go on from.
            **options: The keyword arguments of `Runner.run_sync`.

        Raises:
            FencedError: Somebody else has ended the execution.
        """
        recording = self._begin(starting_agent, input, options)
        try:
            result = Runner.run_sync(starting_agent, input, **_hooked(recording, options))
        except BaseException as error:
            _leave(recording, error)
            recording.settle(error)
            raise
        _finish(recording, result)
        recording.settle()
        return result

    def run_streamed(
        self,
        starting_agent: Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],  # noqa: A002 - the SDK's name
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResultStreaming:
        """Do what `Runner.run_streamed` does, and track it until its stream ends.

        Args:
            starting_agent: As for `Runner.run_streamed`, and so are the others.
            input: What the agent is asked, or the state of a paused run to go on from.
            **options: The keyword arguments of `Runner.run_streamed`.

        Raises:
            FencedError: From its stream: somebody else has ended the execution.
        """
        recording = self._begin(starting_agent, input, options)
        try:
            result = Runner.run_streamed(starting_agent, input, **_hooked(recording, options))
        except BaseException as error:
            _leave(recording, error)
            raise
        result.__class__ = TrackedStream
        tracked = cast("TrackedStream", result)
        tracked.follow(recording)
        recording.left()
        return tracked

    async def _begun(self, agent: Agent[Any], said: object, options: Any) -> Recording:
        recorder = self._recorder
        with recorder.guard:
            recording = recorder.nested(agent.name, None)
            if recording is not None:
                return recording
            identity = self._identify(agent, options)
            if isinstance(said, RunState):
                await asyncio.to_thread(recorder.link, identity)
            return recorder.begin(identity)
        return recorder.begin(None)

    def _begin(self, agent: Agent[Any], said: object, options: Any) -> Recording:
        recorder = self._recorder
        with recorder.guard:
            recording = recorder.nested(agent.name, None)
            if recording is not None:
                return recording
            identity = self._identify(agent, options)
            if isinstance(said, RunState):
                recorder.link(identity)
            return recorder.begin(identity)
        return recorder.begin(None)

    def _identify(self, agent: Agent[Any], options: Any) -> Identity | None:
        return self._recorder.identify(
            options.get("context"), agent=agent.name, thread_id=_conversation(options), user_id=None, run_id=None
        )


class TrackedStream(RunResultStreaming):
    """A streamed run that is tracked. Made by `TrackedRunner.run_streamed`, of the SDK's own result."""

    def follow(self, recording: Recording) -> None:
        """Begin to track the run.

        Args:
            recording: Its execution.
        """
        self._recording = recording
        self._is_read = False
        self._is_cancelled = False
        if self.run_loop_task is not None:
            self.run_loop_task.add_done_callback(self._unread)

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        """Stream the events as the SDK does; the stream's end is the run's.

        Raises:
            FencedError: Somebody else has ended the execution.
        """
        recording = self._recording
        self._is_read = True
        events = cast("AsyncGenerator[StreamEvent]", super().stream_events())
        try:
            recording.watch()
            while True:
                with recording.stoppable():
                    event = await anext(events, None)
                if event is None:
                    break
                recording.beat()
                yield event
        except BaseException as error:
            _leave(recording, error)
            if not isinstance(error, GeneratorExit):
                await recording.settled(error)
            raise
        finally:
            await events.aclose()
        if self._is_cancelled and self.final_output is None and not self.interruptions:
            recording.stopped(None, "the run was cancelled after a turn")
        else:
            _finish(recording, self)
        await recording.settled()

    def cancel(self, mode: Literal["immediate", "after_turn"] = "immediate") -> None:
        """Cancel the run as the SDK does.

        Args:
            mode: "immediate", or "after_turn".
        """
        super().cancel(mode)
        self._is_cancelled = True
        if mode == "immediate":
            self._recording.stopped(None, "the run was cancelled")

    def _unread(self, task: asyncio.Task[Any]) -> None:
        """The run is over; if nobody reads its stream, this is all that is heard of it."""
        if self._is_read or self._recording.is_over:
            return
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self._recording.stopped(None, "the run was cancelled")
        elif error is not None:
            self._recording.raised(error)
        elif self.final_output is None and not self.interruptions:
            self._recording.failed("the run ended without an answer, and nobody read its stream to learn why")
        else:
            try:
                _finish(self._recording, self)
            except (FencedError, NotOwnerError):
                return  # nobody reads the answer that came too late; the record says who ended the execution


class PhaseHooks(RunHooks[Any]):
    """Records what a run does, and hands all on to the caller's own hooks.

    Args:
        recording: The run.
        then: The caller's hooks.
    """

    def __init__(self, recording: Recording, then: RunHooks[Any] | None) -> None:
        self._recording = recording
        self._guard = recording.guard
        self._then = then

    async def on_agent_start(self, context: Any, agent: Any) -> None:
        """Record an agent, also one that was handed over to, as THINKING."""
        with self._guard:
            self._recording.phase(Phase.THINKING, agent.name)
        if self._then is not None:
            await self._then.on_agent_start(context, agent)

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:
        """Hand on."""
        if self._then is not None:
            await self._then.on_agent_end(context, agent, output)

    async def on_handoff(self, context: RunContextWrapper[Any], from_agent: Any, to_agent: Any) -> None:
        """Hand on: the start of the other agent is the phase."""
        if self._then is not None:
            await self._then.on_handoff(context, from_agent, to_agent)

    async def on_llm_start(
        self,
        context: RunContextWrapper[Any],
        agent: Agent[Any],
        system_prompt: str | None,
        input_items: list[TResponseInputItem],
    ) -> None:
        """Record a model request as LLM_INTERACTION."""
        with self._guard:
            self._recording.turn()
            self._recording.enter(
                "model", Phase.LLM_INTERACTION, agent.model if isinstance(agent.model, str) else agent.name
            )
        if self._then is not None:
            await self._then.on_llm_start(context, agent, system_prompt, input_items)

    async def on_llm_end(self, context: RunContextWrapper[Any], agent: Agent[Any], response: ModelResponse) -> None:
        """End the request."""
        self._recording.leave("model")
        if self._then is not None:
            await self._then.on_llm_end(context, agent, response)

    async def on_tool_start(self, context: RunContextWrapper[Any], agent: Any, tool: Tool) -> None:
        """Record the call of a tool as TOOL_EXECUTION."""
        with self._guard:
            self._recording.enter(_call(context, tool), Phase.TOOL_EXECUTION, tool.name)
        if self._then is not None:
            await self._then.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: RunContextWrapper[Any], agent: Any, tool: Tool, result: Any) -> None:
        """End the call."""
        with self._guard:
            self._recording.leave(_call(context, tool))
        if self._then is not None:
            await self._then.on_tool_end(context, agent, tool, result)


def _call(context: RunContextWrapper[Any], tool: Tool) -> str:
    """What tells a call from others: its id, where the SDK gives it."""
    call_id: str = getattr(context, "tool_call_id", tool.name)
    return call_id


def _hooked(recording: Recording, options: Any) -> Any:
    """The caller's options, with our hooks before theirs."""
    return options if recording.handle is None else {**options, "hooks": PhaseHooks(recording, options.get("hooks"))}


def _conversation(options: Any) -> str | None:
    """The conversation that the SDK was told."""
    session: object = options.get("session")
    config: object = options.get("run_config")
    if isinstance(config, dict):  # newer versions take one
        config = RunConfig(group_id=cast("dict[str, Any]", config).get("group_id"))
    group = config.group_id if isinstance(config, RunConfig) else None
    found: str | None = getattr(session, "session_id", None) or options.get("conversation_id") or group
    return found


def _leave(recording: Recording, error: BaseException) -> None:
    """Record what leaves a run."""
    if isinstance(error, GeneratorExit):
        recording.stopped(error, "the stream was broken off")
    elif isinstance(error, asyncio.CancelledError):
        recording.stopped(error, "the run was cancelled")
    else:
        recording.raised(error)


def _finish(recording: Recording, result: RunResult | RunResultStreaming) -> None:
    """Record what a run has returned."""
    if result.interruptions:
        recording.paused([{"tool_name": one.name, "call": one.raw_item} for one in result.interruptions])
    else:
        recording.returned(result.final_output)
