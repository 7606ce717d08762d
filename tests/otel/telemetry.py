"""What the tests read telemetry with: the SDK, whose exporters keep everything in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Tracer

from runstate import ExecutionTracker
from runstate.otel import Instrumentation, instrument

WHO = {"agent": "airline", "thread_id": "t-1", "user_id": "u-1"}


class Telemetry:
    """One program's providers, and what has come out of them."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.tracer: Tracer = self.tracers.get_tracer("tests")

    def of(self, tracker: ExecutionTracker, **options: Any) -> Instrumentation:
        """Instrument a tracker."""
        return instrument(tracker, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def spans(self) -> list[ReadableSpan]:
        """All spans that have ended, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (span,) = (span for span in self.spans() if span.name == name)
        return span

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """The values of a metric by their labels, sorted; of a histogram the counts."""
        return {
            tuple(sorted(point.attributes.items())): getattr(point, "count", None) or getattr(point, "value", 0)
            for metric in self._metrics()
            if metric.name == name
            for point in metric.data.data_points
        }

    def names(self) -> set[str]:
        """The names of all metrics."""
        return {metric.name for metric in self._metrics()}

    def shut_down(self) -> None:
        """End the providers."""
        self.tracers.shutdown()
        self.meters.shutdown()

    def _metrics(self) -> Iterator[Any]:
        data = self._reader.get_metrics_data()
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics


def ends(points: dict[tuple[tuple[str, Any], ...], Any]) -> dict[tuple[str, str], int]:
    """The counts that are not 0, by state and cause."""
    labelled = ((dict(labels), count) for labels, count in points.items())
    return {(labels["runstate.state"], labels["runstate.cause"]): count for labels, count in labelled if count}


def await_that(condition: Callable[[], bool]) -> None:
    """Wait until something has been told: the thread that tells lingers for a moment."""
    pause = threading.Event()
    for _ in range(600):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError("it was never told")
