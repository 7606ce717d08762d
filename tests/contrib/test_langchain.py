"""Runs of LangChain and LangGraph as executions, with LangChain's own fake models."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import langgraph.errors
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send

from runstate import Cause, ExecutionState, ExecutionTimeoutError, ExecutionTracker, FencedError, Phase
from runstate.contrib import counts
from runstate.contrib.langchain import TrackRuns, track
from tests.clock import FakeClock

from .chats import Answering, Broken, Counted, chatting, config, counting, one_more
from .endings import LOOK_UP, Endings, Tool, _found
from .runs import ended, only, phases, steps, stored

THINKING, MODEL, TOOL = Phase.THINKING, Phase.LLM_INTERACTION, Phase.TOOL_EXECUTION


class TestEndings(Endings):
    framework = "langchain"
    stops_at_once = False
    waits = False

    async def run(self, tracker: ExecutionTracker, tool: Tool = _found, **options: Any) -> object:
        said = await chatting(Answering(), tool).ainvoke({"messages": ["hi"]}, config(tracker, **options))
        return said["messages"][-1].content

    async def run_failing(self, tracker: ExecutionTracker, error: Exception, **options: Any) -> object:
        return await chatting(Broken(error=error), _found).ainvoke({"messages": ["hi"]}, config(tracker, **options))

    def source_thread(self) -> Callable[[Any], str]:
        return lambda metadata: "told" if isinstance(metadata, dict) else "nothing"


# -- ways to drive a run ----------------------------------------------------------------------------------------------


def test_nodes_are_phases(tracker: ExecutionTracker) -> None:
    """Each node of a graph is a phase; a model's request inside is one too, by the model's name where it has one."""
    asyncio.run(chatting(Answering(), _found).ainvoke({"messages": ["hi"]}, config(tracker)))
    expected = [
        (THINKING, "ask"),
        (MODEL, "Answering"),
        (THINKING, "call"),
        (TOOL, "look_up"),
        (THINKING, "answer"),
        (MODEL, "Answering"),
    ]
    assert phases(tracker) == expected


def test_a_blocking_run(tracker: ExecutionTracker) -> None:
    """A blocking run is COMPLETED with its state, which is durable when it returns."""
    assert counting(one_more, checkpointer=None).invoke({"n": 1}, config(tracker)) == {"n": 2}
    assert stored(tracker) == [ExecutionState.COMPLETED]
    assert only(tracker).result == {"n": 2}


def test_the_thread_of_the_graph_is_taken(tracker: ExecutionTracker) -> None:
    """Without being told, the adapter takes LangGraph's `thread_id`, and the `user_id` of the metadata; else it says what is missing."""
    graph = counting(one_more, checkpointer=MemorySaver())
    callbacks = [track(tracker)]
    graph.invoke(
        {"n": 1}, {"callbacks": callbacks, "configurable": {"thread_id": "t-5"}, "metadata": {"user_id": "u-5"}}
    )
    assert (only(tracker).thread_id, only(tracker).user_id, only(tracker).agent) == ("t-5", "u-5", "LangGraph")
    counting(one_more).invoke({"n": 1}, {"callbacks": callbacks})
    assert counts(tracker).troubles == {"langchain identify: InvalidValueError": 1}


def test_a_chain_and_a_model_alone_are_tracked(tracker: ExecutionTracker) -> None:
    """Without LangGraph: a chain, a tool or a model that is called by itself is an execution too."""
    model = GenericFakeChatModel(messages=iter([AIMessage("one"), AIMessage("two")]))
    chain = RunnableLambda(lambda text: [("user", text)]) | model
    assert chain.invoke("hi", config(tracker)).content == "one"
    assert model.invoke("hi", config(tracker)).content == "two"
    tool = StructuredTool.from_function(lambda: "found", name="look_up", description="Look it up.")
    assert tool.invoke({}, config(tracker)) == "found"
    assert [one.result for one in tracker.find()] == ["found", "two", "one"]
    assert [steps(tracker, one) for one in tracker.find()] == [[LOOK_UP[1]], [LOOK_UP[0]], [LOOK_UP[0]]]


def test_tokens_are_signs_of_life(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A model that streams gives a sign of life with each token, so only one that has stopped is DEAD."""
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three four five six")]))
    for _ in model.stream("hi", config(tracker, heartbeat_timeout=10.0)):
        clock.advance(6.0)
        assert tracker.sweep() == 0
    assert only(tracker).state is ExecutionState.COMPLETED


def test_a_batch_is_many_executions(tracker: ExecutionTracker) -> None:
    """The runs of a batch, which share the adapter and run in threads, are one execution each."""
    counting(one_more).batch([{"n": number} for number in range(8)], config(tracker))
    assert sorted(one.result["n"] for one in tracker.find()) == list(range(1, 9))  # type: ignore[call-overload, index]


def test_two_adapters_on_one_run_are_one_execution(tracker: ExecutionTracker) -> None:
    """An adapter of the graph and one of the call record the run once."""
    graph = counting(one_more).with_config(callbacks=[track(tracker, thread_id="t-1", user_id="u-1", agent="first")])
    graph.invoke({"n": 1}, config(tracker, agent="second"))
    assert phases(tracker) == [(THINKING, "one_more")]
    assert counts(tracker) == (1, 0, 0, {})


def test_a_graph_in_a_graph_is_part_of_it(tracker: ExecutionTracker) -> None:
    """A graph that is a node of another is a phase, and its nodes are phases."""
    inner = counting(one_more)
    graph = StateGraph(Counted)
    graph.add_node("inner", inner)
    graph.add_edge(START, "inner")
    assert graph.compile().invoke({"n": 1}, config(tracker)) == {"n": 2}
    assert phases(tracker) == [(THINKING, "inner"), (THINKING, "one_more")]


# -- endings ----------------------------------------------------------------------------------------------------------


def test_a_stream_that_is_broken_off_is_cancelled(tracker: ExecutionTracker) -> None:
    """A run whose stream is left before its end is CANCELLED, blocking or async; one that is read to its end is COMPLETED."""
    graph = counting(one_more, *(_copied(number) for number in range(2)))
    for _ in graph.stream({"n": 1}, config(tracker)):
        break
    gc.collect()

    async def main(half: bool) -> None:
        stream = graph.astream({"n": 1}, config(tracker))
        async for _ in stream:
            if half:
                break
        await stream.aclose()

    asyncio.run(main(half=True))
    asyncio.run(main(half=False))
    last, *broken = tracker.find()
    assert last.state is ExecutionState.COMPLETED
    assert [ended(one) for one in broken] == [(ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)] * 2
    assert {one.error for one in broken} == {"the stream was broken off"}


def _copied(number: int) -> Callable[[Counted], Counted]:
    def node(state: Counted) -> Counted:
        return one_more(state)

    node.__name__ = f"copy_{number}"
    return node


def test_a_tool_that_raises_fails_the_run(tracker: ExecutionTracker) -> None:
    """An exception that leaves the root is its failure, and the phase is the tool that raised it."""

    async def broken() -> str:
        raise KeyError("nobody")

    with pytest.raises(KeyError):
        asyncio.run(chatting(Answering(), broken).ainvoke({"messages": ["hi"]}, config(tracker)))
    record = only(tracker)
    assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
    assert (record.phase, record.phase_detail) == (TOOL, "look_up")


def test_a_retried_node_is_no_failure(tracker: ExecutionTracker) -> None:
    """What a node raises and its retry policy tries again is a phase for each attempt, and the run is COMPLETED."""
    tries: list[int] = []

    def shaky(state: Counted) -> Counted:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("again")
        return state

    graph = StateGraph(Counted)
    graph.add_node("shaky", shaky, retry_policy=RetryPolicy(initial_interval=0.001, jitter=False))
    graph.add_edge(START, "shaky")
    graph.compile().invoke({"n": 1}, config(tracker))
    assert ended(only(tracker)) == (ExecutionState.COMPLETED, Cause.RETURNED)
    assert phases(tracker) == [(THINKING, "shaky")] * 3


def test_a_failing_branch_fails_the_run(tracker: ExecutionTracker) -> None:
    """When one of several branches fails, the others are cancelled and the run is FAILED with that error."""

    async def branch(state: Counted) -> Counted:
        if state["n"] == 1:
            raise RuntimeError("branch 1")
        await asyncio.Event().wait()
        return state

    graph = StateGraph(Counted)
    graph.add_node("branch", branch)
    graph.add_conditional_edges(START, lambda _: [Send("branch", {"n": number}) for number in range(3)])
    with pytest.raises(RuntimeError, match="branch 1"):
        asyncio.run(graph.compile().ainvoke({"n": 0}, config(tracker)))
    record = only(tracker)
    assert ended(record) == (ExecutionState.FAILED, Cause.RAISED)
    assert "branch 1" in str(record.error)
    assert counts(tracker).troubles == {}


def test_too_many_steps_are_a_failure(tracker: ExecutionTracker) -> None:
    """A graph that reaches its recursion limit is FAILED with LangGraph's error."""
    graph = StateGraph(Counted)
    graph.add_node("one_more", one_more)
    graph.add_edge(START, "one_more")
    graph.add_edge("one_more", "one_more")
    with pytest.raises(GraphRecursionError):
        graph.compile().invoke({"n": 1}, {**config(tracker), "recursion_limit": 3})
    assert ended(only(tracker)) == (ExecutionState.FAILED, Cause.RAISED)


async def hang(state: Counted) -> Counted:
    """Never return."""
    await asyncio.Event().wait()
    return state


async def too_slow(state: Counted) -> Counted:
    """Run out of somebody else's time."""
    raise TimeoutError("the database was too slow")


def test_the_timeout_of_a_step_is_a_timeout(tracker: ExecutionTracker) -> None:
    """A graph that its own `step_timeout` stops is TIMEOUT; a `TimeoutError` that a node raises is a failure like others."""
    graph = counting(hang)
    graph.step_timeout = 0.05
    with pytest.raises(TimeoutError):
        asyncio.run(graph.ainvoke({"n": 1}, config(tracker)))
    assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.REPORTED)
    with pytest.raises(TimeoutError):
        asyncio.run(counting(too_slow).ainvoke({"n": 1}, config(tracker)))
    assert ended(tracker.find()[0]) == (ExecutionState.FAILED, Cause.RAISED)


def test_the_timeout_of_a_node_is_a_timeout(tracker: ExecutionTracker) -> None:
    """A graph that a node's own `timeout` stops is TIMEOUT, where LangGraph has such."""
    if not hasattr(langgraph.errors, "NodeTimeoutError"):  # before LangGraph 1.2
        return
    graph = StateGraph(Counted)
    graph.add_node("hang", hang, timeout=0.05)
    graph.add_edge(START, "hang")
    with pytest.raises(Exception, match="exceeded its run timeout"):
        asyncio.run(graph.compile().ainvoke({"n": 1}, config(tracker)))
    assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.REPORTED)


def test_a_keyboard_interrupt_cancels(tracker: ExecutionTracker) -> None:
    """What is no `Exception` stops the run from outside: CANCELLED."""

    def leave(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunnableLambda(leave).invoke(1, config(tracker))
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_a_blocking_run_is_stopped_at_its_next_event(tracker: ExecutionTracker, clock: FakeClock) -> None:
    """A blocking run whose time has passed is stopped when its next node begins."""
    ran: list[int] = []

    def late(state: Counted) -> Counted:
        clock.advance(26.0)
        tracker.sweep()
        return state

    def never(state: Counted) -> Counted:
        ran.append(1)
        return state

    with pytest.raises(ExecutionTimeoutError):
        counting(late, never).invoke({"n": 1}, config(tracker, timeout=25.0))
    assert ran == []
    assert ended(only(tracker)) == (ExecutionState.TIMEOUT, Cause.DEADLINE)


def test_an_answer_that_comes_too_late_is_refused(tracker: ExecutionTracker) -> None:
    """A run that returns after somebody else has ended its execution gets an error: its user was told something else."""

    def last(state: Counted) -> Counted:
        tracker.cancel(only(tracker).execution_id)
        return state

    with pytest.raises(FencedError):
        counting(last).invoke({"n": 1}, config(tracker))
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


# -- events out of order ----------------------------------------------------------------------------------------------


def test_children_of_an_ended_run_are_dropped(tracker: ExecutionTracker) -> None:
    """An event whose root has ended is counted, and begins no execution."""
    handler = track(tracker, thread_id="t-1", user_id="u-1")
    root, child = uuid4(), uuid4()
    handler.on_chain_start({}, {}, run_id=root, name="bob")
    handler.on_chain_error(asyncio.CancelledError(), run_id=root)
    handler.on_tool_start({}, "", run_id=child, parent_run_id=root, name="look_up")
    handler.on_tool_end("found", run_id=child, parent_run_id=root)
    handler.on_chain_end({}, run_id=root)
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert counts(tracker) == (1, 0, 1, {})


def test_children_of_a_late_child_are_dropped(tracker: ExecutionTracker) -> None:
    """What runs below a child that began after the end of its root begins no execution either, however deep."""
    handler = track(tracker, thread_id="t-1", user_id="u-1")
    root, child, grandchild, model = (uuid4() for _ in range(4))
    handler.on_chain_start({}, {}, run_id=root, name="bob")
    handler.on_chain_error(GeneratorExit(), run_id=root)
    handler.on_chain_start({}, {}, run_id=child, parent_run_id=root, name="chain")
    handler.on_chain_start({}, {}, run_id=grandchild, parent_run_id=child, name="lambda")
    handler.on_chat_model_start({}, [], run_id=model, parent_run_id=grandchild)
    handler.on_chain_end("late", run_id=child, parent_run_id=root)
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert counts(tracker) == (1, 0, 3, {})


def test_the_outermost_run_that_is_seen_is_the_root(tracker: ExecutionTracker) -> None:
    """An adapter that is given to an inner call only tracks that call."""

    async def node(state: Counted) -> Counted:
        await Answering().ainvoke("hi", config(tracker))
        return state

    asyncio.run(counting(node).ainvoke({"n": 1}))
    assert only(tracker).result == "done"
    assert steps(tracker) == LOOK_UP[:1]


def test_nothing_is_kept_of_ended_runs(tracker: ExecutionTracker) -> None:
    """An adapter that serves many runs keeps the ids of the last few only."""
    handler = track(tracker, thread_id="t-1", user_id="u-1")
    graph = counting(one_more)
    for _ in range(100):
        graph.invoke({"n": 1}, {"callbacks": [handler]})
    assert (len(handler.runs), len(handler._roots), len(handler._ended)) == (0, 0, 64)


def test_every_event_of_langchain_is_heard() -> None:
    """A new kind of run in LangChain must be given its place here."""
    known = {name for name in dir(BaseCallbackHandler) if name.startswith("on_")}
    ours = {name for name in vars(TrackRuns) if name.startswith("on_")}
    assert known - ours <= {
        "on_text",
        "on_retry",
        "on_agent_action",
        "on_agent_finish",
        "on_custom_event",
        "on_stream_event",
    }
