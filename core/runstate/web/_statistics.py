"""How many executions there are in each state, how they have ended lately, and which has lived longest: counted by the journal.

Completion is the share of those that ended and were not cancelled that have a result. Reliability is the share of all that ended that did
not end DEAD, so that their own process said how.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from runstate import Census, ExecutionRecord, ExecutionState, ExecutionTracker, UnknownExecutionError

from ._plain import record_data
from ._settings import Principal
from ._stream import Sources

_WITHIN: Final = 3_600.0
_SPAN: Final = 60.0
_FRESH: Final = 1.0
"""Seconds for which an answer is given again instead of counting anew."""
_ENDS: Final = tuple(state for state in ExecutionState if state.is_terminal)


class Statistics:
    """Counts, at most once a second for each who asks.

    Args:
        sources: Where executions are.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._known: dict[str | None, tuple[float, dict[str, Any]]] = {}

    async def of(self, principal: Principal) -> dict[str, Any]:
        """Return the counts of what *principal* may see.

        Raises:
            RefusedError: The journal cannot be read.
        """
        now = time.monotonic()
        self._known = {whose: known for whose, known in self._known.items() if now - known[0] < _FRESH}
        known = self._known.get(principal.user_id)
        if known is not None:
            return known[1]
        tracker = self._sources.tracker
        census, oldest = await self._sources.reads.answer(_count, tracker, principal.user_id)
        data = _described(census, oldest, full=principal.is_operator)
        if principal.is_operator:
            done = tracker.statistics()
            data["tracker"] = {
                **{name: value for name, value in done._asdict().items() if name != "ended"},
                "streams": self._sources.fanout.clients,
            }
        self._known[principal.user_id] = now, data
        return data


def _count(tracker: ExecutionTracker, user_id: str | None) -> tuple[Census, ExecutionRecord | None]:
    census = tracker.census(within=_WITHIN, span=_SPAN, user_id=user_id)
    try:
        return census, None if census.oldest is None else tracker.get(census.oldest)
    except UnknownExecutionError:
        return census, None  # it has ended and was removed meanwhile


def _described(census: Census, oldest: ExecutionRecord | None, *, full: bool) -> dict[str, Any]:
    spans: defaultdict[int, Counter[ExecutionState]] = defaultdict(Counter)
    for ends in census.ended:
        spans[ends.from_ns][ends.state] += ends.number
    span_ns, now_ns = int(_SPAN * 1e9), time.time_ns()
    last = now_ns // span_ns * span_ns
    starts = range(last - (int(_WITHIN / _SPAN) - 1) * span_ns, last + 1, span_ns)
    return {
        "at_ns": now_ns,
        "live": {state.value: census.live.get(state, 0) for state in ExecutionState if not state.is_terminal},
        "oldest_live": None if oldest is None or oldest.is_terminal else record_data(oldest, full=full, bulk=False),
        "lately": _rates(sum((spans[start] for start in starts), Counter[ExecutionState]())),
        "span_ns": span_ns,
        "spans": [{"from_ns": start, **_rates(spans[start])} for start in starts],
    }


def _rates(ended: Mapping[ExecutionState, int]) -> dict[str, Any]:
    total = sum(ended.values())
    asked = total - ended.get(ExecutionState.CANCELLED, 0)
    return {
        "ended": {state.value: ended.get(state, 0) for state in _ENDS},
        "completion": ended.get(ExecutionState.COMPLETED, 0) / asked if asked else None,
        "reliability": (total - ended.get(ExecutionState.DEAD, 0)) / total if total else None,
    }
