"""LangChain and LangGraph: each outermost run of a runnable, or of a graph, is one execution.

    graph.invoke(state, {"callbacks": [track(tracker, thread_id="t-1", user_id="u-1")]})

The adapter is a callback handler, because it alone is told of every ending: the root run gets exactly one `on_chain_end` or
`on_chain_error`, also when its task is cancelled, a stream is broken off (`GeneratorExit`) or a step times out. Errors of children
are no endings: a retry, or another branch, may follow. Two endings look like success at the root. An interrupt is read from the
child that raised it, or, for `interrupt_before` and the like, from LangGraph's own event. And a chain's blocking stream that is
broken off is told by the generator that it was read from (`is_broken_off`).

A handler is told; it stands around nothing. So a run whose execution somebody else has ended is stopped at its next event, by the
error that the handler raises, and not while it waits. And only a blocking run waits until its end is durable: an async one would
block its event loop. Whoever wants both puts the call into a tracked agent or block; the handler then adds
its phases to that execution.

One object may serve many runs at the same time: what is known of a run is kept by the ids of its runs, children included, and those of
ended runs are remembered for a while, so that a late child is not taken for a new run.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack
from uuid import UUID
from weakref import WeakSet

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from runstate import ExecutionTracker, Phase

from ._langgraph import GraphCallbackHandler, GraphInterrupt, Run, answer, is_broken_off
from ._options import Options
from ._recorder import Recorder
from ._recording import Recording

if TYPE_CHECKING:
    from langgraph.callbacks import GraphInterruptEvent

Source: TypeAlias = Mapping[str, Any]
"""What ids are told from: the metadata of the root run, in which LangGraph puts its `thread_id`."""

FRAMEWORK: Final = "langchain"
REMEMBERED: Final = 64
"""How many ended runs are remembered, for the events that come late."""


def track(
    tracker: ExecutionTracker,
    *,
    thread_id: str | Callable[[Source], str] | None = None,
    user_id: str | Callable[[Source], str] | None = None,
    **options: Unpack[Options],
) -> TrackRuns:
    """Make the callback handler that tracks runs.

    Args:
        tracker: Where they are recorded.
        thread_id: The conversation, or a function that tells it from the run's metadata; None takes LangGraph's `thread_id`.
        user_id: The user who asked, likewise; None takes the metadata's `user_id`.
        **options: See `runstate.contrib.Options`.

    Raises:
        StateTypeError: *tracker* is no tracker, there is no such option, or an argument has the wrong type.
        InvalidValueError: An argument has an impossible value.
    """
    return TrackRuns(Recorder(FRAMEWORK, tracker, thread_id, user_id, {"result": answer, **options}))


class TrackRuns(GraphCallbackHandler):
    """Tracks the runs that it is a callback of. Made by `track`.

    Args:
        recorder: Records them.
    """

    run_inline = True
    """Called where the run is: in order, and in its context."""
    raise_error = True
    """What is raised here is meant: `FencedError`, or what `on_error="raise"` asks for."""

    def __init__(self, recorder: Recorder[Source]) -> None:
        self._recorder = recorder
        self._guard = recorder.guard
        self.runs: dict[UUID, Run] = {}
        """The live runs by their ids, children included."""
        self._roots: dict[UUID, Run] = {}
        self._ended: deque[set[UUID]] = deque(maxlen=REMEMBERED)
        with _handlers_lock:
            _handlers.add(self)

    # -- beginnings ---------------------------------------------------------------------------------------------------

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a run, or record a node of a graph as THINKING."""
        with self._guard:
            run = None if parent_run_id is None else self.runs.get(parent_run_id)
            if run is None:
                self._run(run_id, parent_run_id, serialized, metadata, kwargs, inputs)
                return
            self.runs[run_id] = run
            run.ids.add(run_id)
            for tag in tags or ():
                if tag.startswith("graph:step:"):
                    run.is_graph = True
                    run.recording.phase(Phase.THINKING, kwargs.get("name"))
                    return

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record a request to a chat model as LLM_INTERACTION."""
        self._step(Phase.LLM_INTERACTION, run_id, parent_run_id, serialized, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record a request to a model as LLM_INTERACTION."""
        self._step(Phase.LLM_INTERACTION, run_id, parent_run_id, serialized, metadata, kwargs)

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record the call of a tool as TOOL_EXECUTION."""
        self._step(Phase.TOOL_EXECUTION, run_id, parent_run_id, serialized, metadata, kwargs)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record a search as TOOL_EXECUTION."""
        self._step(Phase.TOOL_EXECUTION, run_id, parent_run_id, serialized, metadata, kwargs)

    def on_llm_new_token(
        self, token: str | list[str | dict[str, Any]], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Take a token as a sign of life."""
        run = self.runs.get(run_id)
        if run is not None:
            run.recording.beat()

    # -- endings ------------------------------------------------------------------------------------------------------

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        """End the run if it is the root."""
        if run_id in self._roots:
            if is_broken_off():
                self._raised(run_id, GeneratorExit())
            else:
                self._returned(run_id, outputs)
        elif (run := self.runs.get(run_id)) is not None and run.is_over:
            self._left(run_id)

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """End the request, and the run if it is the root."""
        self._returned(run_id, response)

    def on_tool_end(self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        """End the call, and the run if it is the root."""
        self._returned(run_id, output)

    def on_retriever_end(
        self, documents: Sequence[Any], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """End the search, and the run if it is the root."""
        self._returned(run_id, documents)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """End the run if it is the root; of a child, note what tells how the root ends."""
        self._raised(run_id, error)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """End the request, and the run if it is the root."""
        self._raised(run_id, error)

    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """End the call, and the run if it is the root."""
        self._raised(run_id, error)

    def on_retriever_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """End the search, and the run if it is the root."""
        self._raised(run_id, error)

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Note that the graph has paused. LangGraph calls this from 1.1.6 on."""
        with self._guard:
            run = None if event.run_id is None else self.runs.get(event.run_id)
            if run is not None:
                run.note(event.interrupts)
                if not run.waiting_for:
                    run.waiting_for[event.checkpoint_id] = {"status": event.status}

    # -- what they share ----------------------------------------------------------------------------------------------

    def _run(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        serialized: dict[str, Any] | None,
        metadata: Source | None,
        kwargs: Source,
        inputs: object = None,
    ) -> Run | None:
        """The run that something belongs to, begun if it is the root; None if that has ended."""
        run = None if parent_run_id is None else self.runs.get(parent_run_id)
        if run is None:
            ended = next((ids for ids in list(self._ended) if parent_run_id in ids), None)
            if ended is not None:
                ended.add(run_id)  # its own children come later still
                self._recorder.ledger.count("dropped")
                return None
            is_told = parent_run_id is not None and any(parent_run_id in handler.runs for handler in _all())
            agent = kwargs.get("name") or _name(serialized) or "run"
            run = Run(self._begin(run_id, agent, metadata or {}, inputs, is_told=is_told))
            self._roots[run_id] = run
        self.runs[run_id] = run
        run.ids.add(run_id)
        return run

    def _begin(self, run_id: UUID, agent: str, metadata: Source, inputs: object, *, is_told: bool) -> Recording:
        recorder = self._recorder
        known = str(run_id)
        nested = recorder.nested(agent, known, is_told=is_told)
        if nested is not None:
            return nested
        identity = recorder.identify(
            metadata,
            agent=agent,
            thread_id=_text(metadata.get("thread_id")),
            user_id=_text(metadata.get("user_id")),
            run_id=known,
        )
        if inputs is None or getattr(inputs, "resume", None) is not None:
            recorder.link(identity)
        return recorder.begin(identity, known)

    def _step(
        self,
        phase: Phase,
        run_id: UUID,
        parent_run_id: UUID | None,
        serialized: dict[str, Any] | None,
        metadata: Source | None,
        kwargs: Source,
    ) -> None:
        with self._guard:
            run = self._run(run_id, parent_run_id, serialized, metadata, kwargs)
            if run is not None:
                own = (metadata or {}).get("ls_model_name") if phase is Phase.LLM_INTERACTION else _name(serialized)
                run.recording.enter(run_id, phase, own or kwargs.get("name") or _name(serialized))

    def _returned(self, run_id: UUID, output: object) -> None:
        with self._guard:
            run = self._left(run_id)
            if run is not None:
                if run.waiting_for:
                    run.recording.paused([*run.waiting_for.values()])
                else:
                    run.recording.returned(output)
                if not _is_async():
                    run.recording.settle()

    def _raised(self, run_id: UUID, error: BaseException) -> None:
        with self._guard:
            child = self.runs.get(run_id)
            if child is not None and run_id not in self._roots:
                if isinstance(error, GraphInterrupt):
                    child.note(error.args[0] if error.args else ())
                elif isinstance(error, TimeoutError):
                    child.overtime.append(error)
            run = self._left(run_id)
            if run is None:
                return
            recording = run.recording
            if isinstance(error, GeneratorExit):
                recording.stopped(error, "the stream was broken off")
            elif isinstance(error, asyncio.CancelledError):
                recording.stopped(error, "the run was cancelled")
            elif run.is_graphs_timeout(error):
                recording.timed_out(error, f"{type(error).__name__}: {error}")
            else:
                recording.raised(error)
            if not _is_async():
                recording.settle(error)

    def _left(self, run_id: UUID) -> Run | None:
        """End a step; return the run if that was its root."""
        run = self._roots.pop(run_id, None)
        if run is None:
            child = self.runs.get(run_id)
            if child is not None:
                child.recording.leave(run_id)
                if child.is_over:  # it began, in another thread, while its root ended
                    self.runs.pop(run_id, None)
            return None
        run.is_over = True
        self._ended.append(run.ids)
        for one in list(run.ids):  # a copy: threads of the run may go on and add theirs
            self.runs.pop(one, None)
        return run


def _name(serialized: Source | None) -> str | None:
    """The name of what runs; a run may have been given another."""
    return _text((serialized or {}).get("name"))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_async() -> bool:
    """Whether the caller runs in an event loop, which must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_handlers: Final[WeakSet[TrackRuns]] = WeakSet()
"""All handlers there are: a run whose parent another one knows is told to that one too."""
_handlers_lock: Final = threading.Lock()


def _all() -> list[TrackRuns]:
    with _handlers_lock:
        return list(_handlers)
