"""How many executions there are in each state, how they have ended lately, and which has lived longest."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from runstate import ExecutionRecord, ExecutionState, ExecutionTracker

from ._plain import record_data
from ._reading import find_by_life
from ._settings import Principal
from ._stream import Sources

_LIVE_MOST: Final = 20_000
_ENDED_MOST: Final = 5_000
_MINUTE_NS: Final = 60_000_000_000
_MINUTES: Final = 60
_FRESH: Final = 1.0


class Census:
    """Counts, at most once a second for each who asks.

    Args:
        sources: Where executions are.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._known: dict[str | None, tuple[float, dict[str, Any]]] = {}

    async def of(self, principal: Principal) -> dict[str, Any]:
        """Return the counts of what *principal* may see."""
        at, known = self._known.get(principal.user_id, (0.0, {}))
        now = time.monotonic()
        if known and now - at < _FRESH:
            return known
        data = await self._sources.reads.answer(_count, self._sources.tracker, principal)
        self._known = {key: one for key, one in self._known.items() if now - one[0] < _FRESH}
        self._known[principal.user_id] = (now, data)
        return data


def _count(tracker: ExecutionTracker, principal: Principal) -> dict[str, Any]:
    user_id, full = principal.user_id, principal.is_operator
    live = find_by_life(tracker, live=True, user_id=user_id, limit=_LIVE_MOST)
    recent = tracker.find(user_id=user_id, limit=_ENDED_MOST)
    now_ns = time.time_ns()
    oldest = min(live, key=lambda record: record.created_at_ns, default=None)
    counts = Counter(record.state for record in live)
    return {
        "at_ns": now_ns,
        "live": {state.value: counts[state] for state in ExecutionState if not state.is_terminal},
        "oldest_live": None if oldest is None else record_data(oldest, full=full, bulk=False),
        "minutes": _minutes(recent, now_ns),
    }


def _minutes(records: tuple[ExecutionRecord, ...], now_ns: int) -> list[dict[str, Any]]:
    first = now_ns // _MINUTE_NS - _MINUTES + 1
    ended: list[Counter[ExecutionState]] = [Counter() for _ in range(_MINUTES)]
    for record in records:
        index = record.updated_at_ns // _MINUTE_NS - first
        if record.is_terminal and 0 <= index < _MINUTES:
            ended[index][record.state] += 1
    return [
        {
            "from_ns": (first + index) * _MINUTE_NS,
            "ended": {state.value: count[state] for state in ExecutionState if state.is_terminal},
        }
        for index, count in enumerate(ended)
    ]
