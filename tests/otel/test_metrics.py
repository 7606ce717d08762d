"""Metrics: what they count, that they hold no ids, and that a journal in trouble is seen in them."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

import runstate
from runstate import CAUSES, Cause, ExecutionState, ExecutionTracker, InvalidTransitionError, Warned

from ..calling import AT_ONCE, Agent
from .telemetry import WHO, Telemetry, await_that, ends

METRICS = {
    "gen_ai.invoke_agent.duration",
    "runstate.execution.duration",
    "runstate.executions.created",
    "runstate.executions.ended",
    "runstate.executions.live",
    "runstate.executions.oldest_live",
    "runstate.executions.rejected",
    "runstate.executions.retried",
    "runstate.executions.warned",
    "runstate.journal.commits",
    "runstate.journal.failing",
    "runstate.journal.lag",
    "runstate.journal.pending",
    "runstate.journal.written",
    "runstate.moves.refused",
    "runstate.verdict.delay",
    "runstate.workers",
    "runstate.workers.fenced",
}


LIVE = ("pending", "starting", "running", "completing")


def live_through(tracker: ExecutionTracker) -> None:
    """Have one execution end in each way that a caller can tell."""
    for state, causes in CAUSES.items():
        for cause in causes:
            run = tracker.create(**WHO).run()
            tracker.update_execution_state(run.execution_id, state, cause=cause)


def test_every_end_is_counted(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """The counters say the same as the tracker's statistics, by state and cause; durations are counted with them."""
    with telemetry.of(tracker):
        live_through(tracker)
    said = tracker.statistics()
    expected = {(state.value, cause.value): count for (state, cause), count in said.ended.items()}
    assert ends(telemetry.points("runstate.executions.ended")) == expected
    airline = (("gen_ai.agent.name", "airline"),)
    assert telemetry.points("runstate.executions.created") == {airline: said.created}
    assert sum(telemetry.points("runstate.execution.duration").values()) == said.created
    durations = telemetry.points("gen_ai.invoke_agent.duration")
    assert sum(durations.values()) == said.created
    assert durations[airline] == sum(
        count for (state, _), count in said.ended.items() if state is ExecutionState.COMPLETED
    )
    assert durations[("error.type", "deadline"), *airline] == 1


def test_what_is_tried_again_is_told_apart(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """An end that another attempt follows is counted as retried too, and the last one of its call is not."""
    with telemetry.of(tracker):
        Agent(tracker, "sync", ConnectionError("one"), TimeoutError("two"), "answer", retry=AT_ONCE)()
        Agent(tracker, "sync", ValueError("at once"))()
    airline = ("gen_ai.agent.name", "airline")
    retried = {state: count for state, count in telemetry.points("runstate.executions.retried").items() if count}
    assert retried == {(airline, ("runstate.state", "failed")): 2}
    assert ends(telemetry.points("runstate.executions.ended")) == {
        ("failed", "raised"): 3,
        ("completed", "returned"): 1,
    }


def test_every_end_is_there_before_it_happens(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """From an agent's first execution on each of its possible ends is shown as 0, so that the first one is an increase."""
    with telemetry.of(tracker):
        tracker.create(**WHO).fail("no")
    shown = {
        (dict(labels)["runstate.state"], dict(labels)["runstate.cause"])
        for labels in telemetry.points("runstate.executions.ended")
    }
    assert shown == {(state.value, cause.value) for state, causes in CAUSES.items() for cause in causes}


def test_what_is_the_case(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """Live executions by state, the oldest one's age, workers and the journal's figures are those of the moment of asking."""
    with telemetry.of(tracker):
        tracker.create(**WHO)
        kept = tracker.create(**WHO).run()
        with pytest.raises(InvalidTransitionError):
            tracker.update_execution_state(kept.execution_id, ExecutionState.PENDING)
        labels = [(("gen_ai.agent.name", "airline"), ("runstate.state", state)) for state in LIVE]
        expected = dict(zip(labels, (1, 0, 1, 0), strict=True))
        await_that(lambda: telemetry.points("runstate.executions.live") == expected)
        assert telemetry.points("runstate.executions.oldest_live")[()] > 0
        workers = {
            dict(labels)["runstate.worker.state"]: count
            for labels, count in telemetry.points("runstate.workers").items()
        }
        assert workers == {"alive": 1, "left": 0, "fenced": 0}
        said = tracker.statistics()
        for name, count in (
            ("runstate.moves.refused", 1),
            ("runstate.executions.rejected", 0),
            ("runstate.journal.pending", 0),
            ("runstate.journal.written", said.written),
            ("runstate.journal.commits", said.commits),
            ("runstate.journal.failing", 0),
            ("runstate.workers.fenced", 0),
        ):
            assert telemetry.points(name) == {(): count}, name
    for name in (
        "runstate.executions.live",
        "runstate.executions.oldest_live",
        "runstate.workers",
        "runstate.journal.failing",
    ):
        assert telemetry.points(name) == {}, "after the end nobody is asked any more"


def test_the_names(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """These are all the metrics there are, and the guide explains each of them."""
    with telemetry.of(tracker):
        live_through(tracker)
        run = tracker.create(**WHO).run()
        created = tracker.statistics().created
        await_that(lambda: sum(telemetry.points("runstate.executions.created").values()) == created)
        names = telemetry.names()
        run.fail("no")
    assert names | {"runstate.executions.warned"} == METRICS
    guide = (Path(__file__).resolve().parent.parent.parent / "docs" / "observability.md").read_text()
    assert set(re.findall(r"^\| `((?:runstate|gen_ai)\.[\w.]+)` \|", guide, re.MULTILINE)) == METRICS


def test_labels_are_bounded(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """However many agents and exceptions a program makes up, their labels are bounded; and no label holds an id."""
    with telemetry.of(tracker):
        for number in range(150):
            run = tracker.create(agent=f"agent-{number}", thread_id=f"thread-{number}", user_id=f"user-{number}")
            run.fail(type(f"Error{number}", (Exception,), {})())
        tracker.flush()
    for name in ("runstate.executions.created", "runstate.execution.duration", "gen_ai.invoke_agent.duration"):
        points = telemetry.points(name)
        assert len(points) == 101, name
        assert sum(points.values()) == 150
        values = {value for labels in points for _, value in labels}
        assert "_OTHER" in values
        assert not any(re.match(r"thread-|user-|[0-9a-f]{32}", value) for value in values)
    assert len(telemetry.points("runstate.executions.ended")) <= 101 * sum(map(len, CAUSES.values()))


def test_the_verdict_on_a_silent_one(telemetry: Telemetry, tmp_path: Path) -> None:
    """A death by silence is counted with the time from the last sign of life to the verdict."""
    with runstate.open(tmp_path / "runs.db") as tracker, telemetry.of(tracker):
        run = tracker.create(**WHO, heartbeat_timeout=0.05).run()
        assert tracker.wait(run.execution_id, timeout=60.0).cause is Cause.NO_HEARTBEAT  # type: ignore[union-attr]
    labels = (("gen_ai.agent.name", "airline"), ("runstate.cause", "no_heartbeat"))
    assert telemetry.points("runstate.verdict.delay") == {labels: 1}


def test_a_blocked_loop(telemetry: Telemetry, tmp_path: Path) -> None:
    """A warning is counted by its cause, and is an event of the span, with the stack that blocked."""
    with runstate.open(tmp_path / "runs.db") as tracker, telemetry.of(tracker):

        async def main() -> str:
            async with tracker.execution(**WHO) as run:
                for _ in range(60):
                    time.sleep(1.0)  # noqa: ASYNC251 - this is what shall be noticed
                    if any(isinstance(entry, Warned) for entry in tracker.timeline(run.execution_id)):
                        break
                run.complete(None)
            return run.execution_id

        asyncio.run(main())
    labels = (("gen_ai.agent.name", "airline"), ("runstate.cause", "loop_blocked"))
    assert telemetry.points("runstate.executions.warned")[labels] >= 1
    (warning, *_) = [
        event for event in telemetry.span("invoke_agent airline").events if event.name == "runstate.warning"
    ]
    said = dict(warning.attributes or {})
    assert said["runstate.cause"] == "loop_blocked"
    assert "test_metrics.py" in str(said["runstate.warning.detail"])
