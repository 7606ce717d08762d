"""Graphs that ask a human: LangGraph's interrupts and breakpoints as pauses, and the runs that go on from them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from runstate import Cause, ExecutionState, ExecutionTracker
from runstate.contrib import RESUMES, paused
from runstate.contrib.langchain import track

from .chats import Counted, config, counting, one_more
from .runs import ended, only, printed_by, shown


def ask(state: Counted) -> Counted:
    """Ask a human."""
    return {"n": interrupt("how many?")}


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
def test_an_interrupt_is_a_pause(tracker: ExecutionTracker, is_async: bool) -> None:
    """A graph that interrupts itself is COMPLETED with what it asks; the run that goes on from it is linked to it."""
    graph = counting(one_more, ask, checkpointer=MemorySaver())
    told = {**config(tracker), "configurable": {"thread_id": "t-1"}}

    def run(value: Any) -> Any:
        return asyncio.run(graph.ainvoke(value, told)) if is_async else graph.invoke(value, told)

    run({"n": 1})
    assert run(Command(resume=7)) == {"n": 7}
    resumed, waiting = tracker.find()
    assert ended(waiting) == (ExecutionState.COMPLETED, Cause.RETURNED)
    assert [one["value"] for one in paused(waiting)] == ["how many?"]  # type: ignore[union-attr, call-overload, index]
    assert paused(resumed) is None
    assert resumed.result == {"n": 7}
    assert resumed.metadata[RESUMES] == waiting.execution_id  # type: ignore[call-overload, index]


def test_a_breakpoint_is_a_pause_where_langgraph_says_so(tracker: ExecutionTracker) -> None:
    """`interrupt_before` is a pause from LangGraph 1.1.6 on; before, nothing tells it from an end, and it is recorded as one."""
    graph = counting(one_more, ask, checkpointer=MemorySaver(), interrupt_before=["ask"])
    told = {**config(tracker), "configurable": {"thread_id": "t-1"}}
    graph.invoke({"n": 1}, told)
    is_told = hasattr(track(tracker), "on_resume")
    assert (paused(only(tracker)) is not None) is is_told
    graph.invoke(None, told)
    resumed, waiting = tracker.find()
    assert [one["value"] for one in paused(resumed)] == ["how many?"]  # type: ignore[union-attr, call-overload, index]
    assert (resumed.metadata.get(RESUMES) == waiting.execution_id) is is_told  # type: ignore[union-attr]


def test_branches_that_all_ask_are_one_pause(tracker: ExecutionTracker) -> None:
    """Several interrupts at the same time are one pause that lists them all."""

    def asking(state: Counted) -> Counted:
        interrupt(f"question {state['n']}")
        return state

    graph = StateGraph(Counted)
    graph.add_node("asking", asking)
    graph.add_conditional_edges(START, lambda _: [Send("asking", {"n": number}) for number in range(3)])
    told = {**config(tracker), "configurable": {"thread_id": "t-1"}}
    graph.compile(checkpointer=MemorySaver()).invoke({"n": 0}, told)
    questions = sorted(one["value"] for one in paused(only(tracker)))  # type: ignore[union-attr, call-overload, index]
    assert questions == ["question 0", "question 1", "question 2"]


def test_langgraph_need_not_be_there() -> None:
    """Where there is no LangGraph, runs of LangChain are tracked all the same."""
    code = """
import sys
sys.modules.update({"langgraph": None, "langgraph.errors": None, "langgraph.callbacks": None})
import runstate
from langchain_core.runnables import RunnableLambda
from runstate.contrib.langchain import track
with runstate.open("memory:") as tracker:
    RunnableLambda(str.upper).invoke("hi", {"callbacks": [track(tracker, thread_id="t-1", user_id="u-1")]})
    print(tracker.find()[0].state.name, tracker.find()[0].result)
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert run.stdout == "COMPLETED HI\n"


def test_the_guides_example(tmp_path: Path) -> None:
    """The example in the guide prints what the guide says."""
    name = "langchain_example.py"
    assert printed_by(name, tmp_path) == shown(name)[1]
