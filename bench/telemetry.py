"""What it costs to tell OpenTelemetry of executions, in processor time, which a busy machine does not change much. No budgets.

    python -m bench.telemetry

The SDK keeps every span and hands it to a batch exporter that goes nowhere. Who creates an execution is measured by the time of its
thread; what the telling thread takes is the rest of the process's time, less what the same lives take untold.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import runstate
from runstate import ExecutionTracker, Phase
from runstate.otel import instrument

WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}
LIVES = 500
ROUNDS = 9


class Nowhere(SpanExporter):
    """An exporter that costs nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@contextmanager
def opened(folder: Path, *, told: bool) -> Iterator[ExecutionTracker]:
    """A tracker in a program's request, whose executions are told or not."""
    with ExitStack() as stack:
        tracer = runstate.open(folder / f"{told}.db")
        if told:
            tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
            tracers.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=65_536))
            stack.callback(tracers.shutdown)
            stack.callback(meters.shutdown)
            stack.enter_context(tracers.get_tracer("bench").start_as_current_span("request"))
            stack.enter_context(instrument(tracer, tracer_provider=tracers, meter_provider=meters))
        yield stack.enter_context(tracer)


def timed(work: Callable[[], object]) -> float:
    """The thread's processor time of one call, in microseconds."""
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e6 / LIVES


def steps(tracker: ExecutionTracker) -> dict[str, float]:
    """What each step of many lives takes its caller, in microseconds."""
    runs: list[runstate.Execution[object]] = []  # type: ignore[type-var]
    said = {"create": timed(lambda: runs.extend(tracker.create(**WHO) for _ in range(LIVES)))}
    tracker.flush()
    said["move"] = timed(lambda: runs.__setitem__(slice(None), [run.run() for run in runs]))
    tracker.flush()
    said["phase"] = timed(lambda: [run.phase(Phase.THINKING) for run in runs])
    tracker.flush()
    said["heartbeat"] = timed(lambda: [run.heartbeat() for run in runs])
    said["end"] = timed(lambda: [run.complete(None) for run in runs])
    tracker.flush()
    return said


def main() -> None:
    """Measure, and print."""
    gc.disable()
    taken: dict[bool, float] = {}
    callers: dict[bool, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for told in (False, True):
            began = time.process_time()
            with opened(Path(folder), told=told) as tracker:
                rounds = [steps(tracker) for _ in range(ROUNDS)]
            taken[told] = (time.process_time() - began) * 1e6 / LIVES / ROUNDS
            callers[told] = {step: statistics.median(one[step] for one in rounds) for step in rounds[0]}
    print("µs of processor time     untold   told")
    for step in callers[False]:
        print(f"{step:24} {callers[False][step]:6.2f} {callers[True][step]:6.2f}")
    print(f"{'a life, all threads':24} {taken[False]:6.0f} {taken[True]:6.0f}")


if __name__ == "__main__":
    main()
