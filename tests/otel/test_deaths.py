"""A death is told by whoever buried the dead, in the trace of the dead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from opentelemetry.trace import StatusCode

import runstate
from runstate import Died

from .telemetry import WHO, Telemetry, ends

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60.0


def begin(place: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Have another process begin executions; return it, and what it says of them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.otel.doomed", place], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it with `kill -9`."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_killed_process(place: str, telemetry: Telemetry) -> None:
    """The whole span of an execution whose process was killed is in its own trace, below the request that died with it."""
    with runstate.open(place) as tracker, telemetry.of(tracker):
        process, said = begin(place)
        kill(process)
        records = []
        for execution_id in said["ids"]:
            assert isinstance(tracker.wait(execution_id, timeout=PATIENCE), Died)
            records.append(tracker.get(execution_id))
    for record, parent, name in zip(
        records, said["parents"], ("invoke_agent airline", "execution airline"), strict=True
    ):
        span = telemetry.span(name)
        assert span.parent is not None
        assert span.context is not None
        assert span.context.trace_id == said["trace"]
        assert span.parent.span_id == parent
        assert (span.start_time, span.end_time) == (record.created_at_ns, record.updated_at_ns)
        assert span.status.status_code is StatusCode.ERROR
        facts = dict(span.attributes or {})
        assert facts["runstate.execution.id"] == record.execution_id
        assert (facts["runstate.state"], facts["runstate.cause"]) == ("dead", "process_exited")
        assert facts["error.type"] == "process_exited"
        assert facts["runstate.evidence.observer"] == tracker.incarnation
        assert facts["runstate.worker"] == record.incarnation != tracker.incarnation
        assert [event.name for event in span.events][-2:] == ["runstate.transition", "exception"]
    died = telemetry.span("invoke_agent airline")
    assert "gen_ai.operation.name" not in dict(telemetry.span("execution airline").attributes or {})
    assert died.context is not None
    assert died.context.span_id == said["inside"], "what the dead process had inside has its parent now"
    assert "runstate.phase" in {event.name for event in died.events}


def test_it_is_counted_once(place: str, telemetry: Telemetry) -> None:
    """Of several processes that see a death only the one that buried the dead tells it."""
    watching = [Telemetry() for _ in range(2)]
    trackers = [runstate.open(place) for _ in watching]
    told = [one.of(tracker) for one, tracker in zip(watching, trackers, strict=True)]
    process, said = begin(place)
    kill(process)
    for tracker in trackers:
        for execution_id in said["ids"]:
            tracker.wait(execution_id, timeout=PATIENCE)
    fenced = [one.points("runstate.workers.fenced")[()] for one in watching]
    for tracker, handle in zip(trackers, told, strict=True):
        tracker.close()
        handle.close()
    spans = [span.name for one in watching for span in one.spans()]
    assert sorted(spans) == ["execution airline", "invoke_agent airline"]
    counts = [ends(one.points("runstate.executions.ended")) for one in watching]
    assert sorted(sum(count.values()) for count in counts) == [0, 2]
    assert sorted(fenced) == [0, 1]
    verdicts = [sum(one.points("runstate.verdict.delay").values()) for one in watching]
    assert sorted(verdicts) == [0, 2]
    for one in watching:
        one.shut_down()


def test_nobody_else_was_alive(place: str, telemetry: Telemetry) -> None:
    """What the next to open the journal buries on opening is told as well, once, although it is instrumented after that."""
    process, said = begin(place)
    kill(process)
    with runstate.open(place) as tracker:
        tracker.create(**WHO).fail("before anybody listened")
        for execution_id in said["ids"]:
            tracker.wait(execution_id, timeout=PATIENCE)
        for _ in range(2):
            telemetry.of(tracker).close()
    assert sorted(span.name for span in telemetry.spans()) == ["execution airline", "invoke_agent airline"]
    assert ends(telemetry.points("runstate.executions.ended")) == {("dead", "process_exited"): 2}
    assert {span.context.trace_id for span in telemetry.spans() if span.context} == {said["trace"]}
