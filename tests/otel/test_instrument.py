"""`instrument`: what it refuses, in which order things may be closed, and what may go wrong around it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

import runstate
from runstate import ExecutionTracker, InvalidValueError, StateTypeError
from runstate.otel import instrument

from .telemetry import WHO, Telemetry, await_that, ends


def test_what_it_refuses(tracker: ExecutionTracker) -> None:
    """No tracker, an unknown mode and a second instrumentation are refused, and change nothing."""
    untyped: Any = instrument
    with pytest.raises(StateTypeError, match="ExecutionTracker"):
        untyped("runs.db")
    with pytest.raises(InvalidValueError, match="auto, invoke_agent, execution, none"):
        untyped(tracker, spans="all")
    with instrument(tracker), pytest.raises(InvalidValueError, match="not instrumented yet"):
        instrument(tracker)
    instrument(tracker).close()


def test_the_tracker_closes_first(tmp_path: Path, telemetry: Telemetry) -> None:
    """The ends that closing the tracker makes are told, and the handle may be closed after it, twice."""
    tracker = runstate.open(tmp_path / "runs.db")
    with telemetry.of(tracker) as telling, tracker:
        tracker.create(**WHO).run()
    telling.close()
    span = telemetry.span("invoke_agent airline")
    assert dict(span.attributes or {})["runstate.cause"] == "shutdown"
    assert threading.active_count() == 1 or "runstate-otel" not in {thread.name for thread in threading.enumerate()}


def test_it_is_told_nothing_after_the_end(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """Once closed it tells no more and keeps nothing in metadata; another one goes on where it stopped, and repeats nothing."""
    with telemetry.of(tracker):
        tracker.create(**WHO).fail("first")
    silent = tracker.create(**WHO)
    silent.fail("second")
    assert tracker.get(silent.execution_id).metadata is None
    with telemetry.of(tracker):
        tracker.create(**WHO).fail("third")
    assert [span.status.description for span in telemetry.spans()] == ["first", "third"]
    assert ends(telemetry.points("runstate.executions.ended")) == {("failed", "reported"): 2}


def test_what_was_live_already(tracker: ExecutionTracker, telemetry: Telemetry) -> None:
    """An execution that was created before, and lives, is told from its beginning; what had ended is not told."""
    tracker.create(**WHO).fail("over")
    run = tracker.create(**WHO).run()
    with telemetry.of(tracker):
        assert telemetry.points("runstate.executions.oldest_live")[()] > 0
        run.complete(None)
    span = telemetry.span("invoke_agent airline")
    assert span.start_time == tracker.get(run.execution_id).created_at_ns
    assert [event.name for event in span.events] == ["runstate.transition"] * 2


def test_a_processor_that_fails(
    tracker: ExecutionTracker, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of the program's own span processor is logged, and costs neither the execution nor the next span anything."""

    class Failing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.status.description == "first":
                raise ZeroDivisionError

    telemetry.tracers.add_span_processor(Failing())
    with telemetry.of(tracker), caplog.at_level(logging.ERROR, "runstate.otel"):
        first = tracker.create(**WHO)
        first.fail("first")
        tracker.create(**WHO).fail("second")
    assert [record.message for record in caplog.records] == [
        f"runstate: telemetry of execution {first.execution_id} has failed"
    ]
    assert [span.status.description for span in telemetry.spans()] == ["first", "second"]
    assert ends(telemetry.points("runstate.executions.ended")) == {("failed", "reported"): 2}


def test_a_forked_child(tmp_path: Path) -> None:
    """A forked child tells its own executions, from its first one on, and none of its parent's."""
    with runstate.open(tmp_path / "runs.db") as tracker:
        telemetry = Telemetry()
        with telemetry.of(tracker):
            mine = tracker.create(**WHO).run()
            tracker.flush()
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                said = "failed"
                try:
                    tracker.create(**WHO).fail("in the child")
                    tracker.close()
                    for thread in threading.enumerate():
                        if thread.name == "runstate-otel":
                            thread.join(60.0)
                    said = repr([span.status.description for span in telemetry.spans()])
                finally:
                    os.write(writer, said.encode())
                    os._exit(0)
            os.close(writer)
            with os.fdopen(reader) as answer:
                assert answer.read() == "['in the child']"
            os.waitpid(child, 0)
            mine.fail("in the parent")
        assert [span.status.description for span in telemetry.spans()] == ["in the parent"]
        telemetry.shut_down()


def test_the_server_is_started_anew(telemetry: Telemetry, private: Any) -> None:
    """While PostgreSQL is away telemetry waits, and then tells everything once."""
    url = private.journal()
    tracker = runstate.open(url)
    with telemetry.of(tracker), tracker:
        tracker.create(**WHO).fail("before")
        tracker.flush()
        private.crash()
        private.start()
        tracker.create(**WHO).fail("after")
        for _ in range(100):
            try:
                tracker.flush()
                break
            except runstate.JournalError:
                threading.Event().wait(0.1)
    assert [span.status.description for span in telemetry.spans()] == ["before", "after"]
    assert ends(telemetry.points("runstate.executions.ended")) == {("failed", "reported"): 2}
    private.drop(url)


def test_only_who_asks_pays(tmp_path: Path) -> None:
    """`import runstate`, and tracking, import nothing of OpenTelemetry; `runstate.otel` imports its API and no SDK."""
    code = """
import sys, runstate
with runstate.open("memory:") as tracker:
    tracker.create(agent="a", thread_id="t", user_id="u").fail("no")
assert not any(name.startswith("opentelemetry") for name in sys.modules)
import runstate.otel
assert "opentelemetry.trace" in sys.modules
assert not any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_two_trackers_of_one_program(tmp_path: Path, telemetry: Telemetry) -> None:
    """What several trackers of a program have live is added up, the oldest one counts, and who is closed is asked no more."""
    with runstate.open(tmp_path / "one.db") as one, runstate.open(tmp_path / "two.db") as two, telemetry.of(two):
        with telemetry.of(one):
            kept = [tracker.create(**WHO) for tracker in (two, one)]
            await_that(lambda: sum(telemetry.points("runstate.executions.live").values()) == 2)
            oldest = telemetry.points("runstate.executions.oldest_live")[()]
            assert telemetry.points("runstate.journal.written") == {(): 2}
        assert sum(telemetry.points("runstate.executions.live").values()) == 1
        assert telemetry.points("runstate.executions.oldest_live")[()] > oldest
        for run in kept:
            run.fail("no")
