"""A process that is going to be killed: `python -m tests.otel.doomed PLACE`. It begins an execution in a trace, says which, and works on."""

from __future__ import annotations

import json
import signal
import sys

from opentelemetry import trace

import runstate
from runstate import Phase

from .telemetry import WHO, Telemetry


def main(place: str) -> None:
    """Begin two executions, one of them in a framework's span, and never end them."""
    telemetry = Telemetry()
    request = telemetry.tracer.start_span("request")
    with runstate.open(place) as tracker, telemetry.of(tracker) as telling, trace.use_span(request):
        run = tracker.create(**WHO).run()
        run.phase(Phase.TOOL_EXECUTION, "get_user_details")
        with telling.within(run.execution_id):
            inside = trace.get_current_span().get_span_context().span_id
        with telemetry.tracer.start_as_current_span("invoke_agent framework") as framework:
            adopted = tracker.create(**WHO).run()
            tracker.flush()
            spans = [span.get_span_context() for span in (request, framework)]
            print(
                json.dumps(
                    {
                        "inside": inside,
                        "ids": [run.execution_id, adopted.execution_id],
                        "trace": spans[0].trace_id,
                        "parents": [span.span_id for span in spans],
                    }
                ),
                flush=True,
            )
            signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
