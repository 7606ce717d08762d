"""OpenTelemetry: each execution as a span in the trace that it belongs to, and metrics of the whole. Extra `otel`.

Only the API is needed; the program chooses the SDK and the exporters. See `instrument`, and docs/observability.md for the names of
everything, alert rules and a dashboard.
"""

from ._instrumentation import Instrumentation as Instrumentation
from ._instrumentation import instrument as instrument

__all__ = ["Instrumentation", "instrument"]
