"""`runstate demo`: what the plan says, what a replay does with it, how it is accounted for, and the whole as a command."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import runstate
from runstate import Cause, ExecutionState, Phase, verify
from runstate.cli._account import account
from runstate.cli._issue import MYPY_MISSING, reproduce
from runstate.cli._recording import Conversation, Ending, Fault, RecordedToolStep, Turn, plan, recorded
from runstate.cli._replay import Replay, replay
from runstate.cli._report import percentile

EXECUTIONS = 1_341
ENDS: dict[Fault | Ending, tuple[str, str]] = {
    Fault.RAISE: ("failed", "raised"),
    Fault.HANG: ("timeout", "deadline"),
    Fault.CANCEL: ("cancelled", "cancelled_by_caller"),
    Fault.NOT_JSON: ("failed", "raised"),
    Fault.DICT_STATE: ("failed", "raised"),
    Ending.ANSWER: ("completed", "returned"),
    Ending.HANDOVER: ("completed", "returned"),
    Ending.STOP: ("failed", "no_outcome"),
}
"""How a turn must end, by what the plan has in store for it."""

TIMELESS = (
    "seed",
    "conversations",
    "executions",
    "ends",
    "silent",
    "unplanned",
    "injected",
    "handovers",
    "tool_errors",
    "findings",
)
"""The figures that nothing but the seed and the share of faults may decide."""


def turns(conversations: tuple[Conversation, ...]) -> Iterator[Turn]:
    """All turns of a plan."""
    for conversation in conversations:
        yield from conversation.turns


def planned_ends(conversations: tuple[Conversation, ...]) -> Counter[tuple[str, str]]:
    """How many executions must end how, from the plan alone."""
    return Counter(ENDS[turn.fault or turn.ending] for turn in turns(conversations))


def ends_of(figures: dict[str, Any]) -> Counter[tuple[str, str]]:
    """How many executions ended how, from the command's JSON."""
    return Counter({(end["state"], end["cause"]): end["executions"] for end in figures["ends"]})


def demo(*arguments: str) -> dict[str, Any]:
    """The figures of a demo that must succeed, by the real command."""
    done = subprocess.run(
        [sys.executable, "-m", "runstate", "demo", "--json", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_the_recording_is_what_its_description_says() -> None:
    """The data in the package has the counts and the checksum of its README."""
    data = files("runstate.cli") / "data"
    readme = (data / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256((data / "airline_runs.jsonl").read_bytes()).hexdigest() in readme
    steps = [step for conversation in recorded() for turn in conversation.turns for step in turn.steps]
    tools = [step for step in steps if isinstance(step, RecordedToolStep)]
    assert len(recorded()) == 200
    assert len(steps) == 3_618
    assert (len(tools), sum(step.error for step in tools)) == (1_164, 73)
    assert sum(conversation.reward for conversation in recorded()) == 84.0
    for count in (
        "200 real conversations",
        "1,341 turns",
        "3,618 steps",
        "1,164 tool calls",
        "73 of them errors",
        "84 of 200",
    ):
        assert count in readme


def test_the_plan_keeps_what_was_recorded() -> None:
    """Without faults the plan is the recording: 1,290 answers, 48 handovers, 3 turns that just stop."""
    planned = plan(305, 0.0)
    assert Counter(turn.ending for turn in turns(planned)) == {
        Ending.ANSWER: 1_290,
        Ending.HANDOVER: 48,
        Ending.STOP: 3,
    }
    assert {turn.fault for turn in turns(planned)} == {None}
    assert sum(step.is_tool_error for turn in turns(planned) for step in turn.steps) == 73


def test_every_step_has_a_phase_and_tools_are_named() -> None:
    """A tool's step is TOOL_EXECUTION with the tool's name, a model's step THINKING or LLM_INTERACTION."""
    for conversation, planned in zip(recorded(), plan(305, 0.0), strict=True):
        for turn, planned_turn in zip(conversation.turns, planned.turns, strict=True):
            for step, planned_step in zip(turn.steps, planned_turn.steps, strict=True):
                if isinstance(step, RecordedToolStep):
                    assert (planned_step.phase, planned_step.detail) == (Phase.TOOL_EXECUTION, step.name)
                else:
                    assert planned_step.phase in {Phase.THINKING, Phase.LLM_INTERACTION}
                assert 0 < planned_step.seconds < 2


def test_the_seed_decides_the_plan() -> None:
    """The same seed gives the same plan, another one another."""
    assert plan(7, 0.03) == plan(7, 0.03)
    assert plan(7, 0.03) != plan(8, 0.03)


def test_a_few_percent_of_the_turns_get_a_fault_of_each_kind() -> None:
    """By default every kind of fault strikes, together a few percent of the turns, and never a handover or a stop."""
    struck = [turn for turn in turns(plan(305, 0.03)) if turn.fault is not None]
    assert {turn.fault for turn in struck} == set(Fault)
    assert 0.02 * EXECUTIONS < len(struck) < 0.05 * EXECUTIONS
    assert {turn.ending for turn in turns(plan(305, 1.0)) if turn.fault is not None} == {Ending.ANSWER}
    assert sum(turn.fault is not None for turn in turns(plan(305, 1.0))) == 1_290


# -- the replay and its account ---------------------------------------------------------------------------------------


def replayed(path: Path, conversations: tuple[Conversation, ...]) -> Replay:
    """Replay some conversations as fast as possible."""
    with runstate.open(path) as tracker:
        return asyncio.run(replay(tracker, conversations, 10_000.0, lambda: None))


def test_a_busy_machine_changes_no_count(tmp_path: Path) -> None:
    """With a fault in every turn, and two threads that fight for the interpreter, every turn ends as planned."""
    planned = plan(305, 1.0)[:12]
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1_000))

    spinners = [threading.Thread(target=spin) for _ in range(2)]
    for spinner in spinners:
        spinner.start()
    try:
        done = replayed(tmp_path / "runs.db", planned)
    finally:
        stop.set()
        for spinner in spinners:
            spinner.join()
    found = account(tmp_path / "runs.db", done)
    assert done.unplanned == []
    assert found.silent == 0
    assert {
        (state.value, cause.value if cause else ""): number for (state, cause), number in found.ends.items()
    } == planned_ends(planned)


def test_a_handover_completes_and_says_so(tmp_path: Path) -> None:
    """The result of a turn that ends with `transfer_to_human_agents` names the handover."""
    conversations = tuple(
        conversation
        for conversation in plan(305, 0.0)
        if any(turn.ending is Ending.HANDOVER for turn in conversation.turns)
    )[:3]
    replayed(tmp_path / "runs.db", conversations)
    with runstate.open(tmp_path / "runs.db", read_only=True) as reader:
        results = [record.result for record in reader.find(state=ExecutionState.COMPLETED, limit=1_000)]
    handed_over = [
        result for result in results if isinstance(result, dict) and result.get("handed_over_to") == "a human"
    ]
    assert len(handed_over) == sum(turn.ending is Ending.HANDOVER for turn in turns(conversations))
    assert {result["text"] for result in handed_over} == {None}


def test_every_step_is_in_the_journal(tmp_path: Path) -> None:
    """Each execution's log has its turn's phases in order, with the tools' names, and as many heartbeats as steps."""
    conversations = plan(305, 0.0)[:4]
    replayed(tmp_path / "runs.db", conversations)
    with runstate.open(tmp_path / "runs.db", read_only=True) as reader:
        for conversation in conversations:
            for record, turn in zip(
                reversed(reader.find(thread_id=conversation.thread_id)), conversation.turns, strict=True
            ):
                assert record.metadata == {"turn": turn.number, "user_chars": turn.user_chars}
                phases = [
                    entry for entry in reader.timeline(record.execution_id) if isinstance(entry, runstate.PhaseChange)
                ]
                assert [(entry.phase, entry.detail) for entry in phases] == [
                    (step.phase, step.detail) for step in turn.steps
                ]
                assert record.evidence is not None
                assert record.evidence.beats == len(turn.steps)


def test_what_went_unheard_is_counted_as_silent(tmp_path: Path) -> None:
    """An asker without an outcome, without an execution, or with another end than the journal's is each one silent turn."""
    done = replayed(tmp_path / "runs.db", plan(305, 0.0)[:4])
    assert account(tmp_path / "runs.db", done).silent == 0
    first, second, third, *_ = done.asked
    done.asked[first] = None
    done.asked[second] = runstate.Failed(
        "x", execution_id=second, cause=Cause.RAISED, evidence=runstate.Evidence("owner")
    )
    del done.asked[third]
    done.asked["never recorded"] = None
    done.unheard = 1
    assert account(tmp_path / "runs.db", done).silent == 5


def test_an_execution_without_an_end_is_counted_as_silent(tmp_path: Path) -> None:
    """An execution that a killed process has left live in the journal is silent."""
    path = tmp_path / "runs.db"
    program = f"""
import os, runstate
tracker = runstate.open({str(path)!r})
tracker.create(agent="a", thread_id="t", user_id="u").run()
tracker.flush()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    found = account(path, Replay())
    assert (found.silent, found.ends) == (1, {(ExecutionState.RUNNING, None): 1})


def test_percentiles_are_nearest_ranks() -> None:
    """Of 1 to 100 ns the 50th and 99th percentiles are 50 and 99 ns; of nothing there is none."""
    durations = list(range(100, 0, -1))
    assert (percentile(durations, 50), percentile(durations, 99)) == (50e-9, 99e-9)
    assert percentile([7], 99) == 7e-9
    assert percentile([], 50) is None


# -- issue #305's line ------------------------------------------------------------------------------------------------


def test_the_line_is_refused_twice() -> None:
    """mypy, where it is installed, names the argument; production raises StateTypeError and leaves the execution as it was."""
    verdict = reproduce()
    assert verdict.production is not None
    assert verdict.production.startswith("StateTypeError: ")
    assert "{'success': False}" in verdict.production
    assert verdict.unchanged
    if find_spec("mypy") is None:
        assert verdict.mypy is None
    else:
        assert verdict.mypy is not None
        assert 'incompatible type "dict[str, bool]"; expected "ExecutionState"' in verdict.mypy


def test_without_mypy_the_demo_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mypy is missing, nothing is made up."""
    monkeypatch.setitem(sys.modules, "mypy", None)
    assert reproduce().mypy is None
    assert "pip install mypy" in MYPY_MISSING


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_counts(tmp_path: Path) -> None:
    """1,341 executions, twice, at different speeds: the same ends by state and cause, as planned, none silent, sound."""
    first = demo("--seed", "305", "--speed", "2000")
    again = demo("--seed", "305", "--speed", "50", "--journal", str(tmp_path / "runs.db"))
    assert first["executions"] == EXECUTIONS
    assert ends_of(first) == planned_ends(plan(305, 0.03))
    assert first["silent"] == 0
    assert first["handovers"] == 48
    assert {name: first[name] for name in TIMELESS} == {name: again[name] for name in TIMELESS}
    assert verify(tmp_path / "runs.db") == ()
    assert (tmp_path / "runs.db").stat().st_size == again["file_bytes"]


def test_without_faults_the_recorded_counts_hold() -> None:
    """With `--faults 0` 1,338 executions complete, and the 3 that vanished in the wild are FAILED with NO_OUTCOME."""
    figures = demo("--faults", "0", "--speed", "2000")
    assert ends_of(figures) == {("completed", "returned"): 1_338, ("failed", "no_outcome"): 3}
    assert (figures["handovers"], figures["tool_errors"], figures["steps"]) == (48, 73, 3_618)
    assert set(figures["injected"].values()) == {0}
    assert figures["moves"] == 1_338 * 3 + 3 * 2
    assert figures["entries"] == figures["moves"] + EXECUTIONS + 3_618
    assert figures["bytes_per_execution"] < 2_500


def test_the_report_is_for_people(tmp_path: Path) -> None:
    """Without --json the figures are tables: every state and cause, nothing silent, the line twice; no progress bar in a pipe."""
    path = tmp_path / "runs.db"
    done = subprocess.run(
        [sys.executable, "-m", "runstate", "demo", "--faults", "none", "--speed", "2000", "--journal", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    squeezed = " ".join(done.stdout.split())
    assert "COMPLETED RETURNED 1,338" in squeezed
    assert "FAILED NO_OUTCOME 3" in squeezed
    assert "together 1,341" in squeezed
    assert "silent 0 every execution has exactly one end" in squeezed
    assert "p50" in squeezed
    assert "p99" in squeezed
    assert 'tracker.update_execution_state(execution_id, {"success": False})' in squeezed
    assert "production StateTypeError: " in squeezed
    assert f"runstate ls {path}" in squeezed
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 400
