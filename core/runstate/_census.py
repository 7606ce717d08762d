"""Counting executions without reading them: what a dashboard, an alert or a metric asks again and again.

A journal counts by its own indexes: the live ones, which are few, and those that have ended since a moment. What was before costs nothing,
so the price follows the load and not the age of the journal.
"""

from __future__ import annotations

from ._checks import checked, seconds
from ._errors import InvalidValueError, JournalError
from ._reading import ExecutionReader
from ._records import Census
from .journal import Countable

_MOST_SPANS = 10_000


class ExecutionCounter(ExecutionReader):
    """Reads executions, and counts them."""

    @checked
    def census(self, *, within: float = 3_600.0, span: float = 60.0, user_id: str | None = None) -> Census:
        """Count the executions that are live, by state, and those that have ended lately, by span of time and state.

        An attempt that another follows does not count as an end: what it was made for is still being tried.

        Args:
            within: Seconds back from now from which on ends are counted; the span that this falls into is counted as a whole.
            span: Seconds in which ends are counted together, at most 10,000 times within *within*.
            user_id: Only this user's; None counts all.

        Raises:
            InvalidValueError: An argument has an impossible value.
            JournalError: It cannot be read, or is of a kind that cannot count.
        """
        within, span = seconds("within", within), seconds("span", span)
        if within / span > _MOST_SPANS:
            raise InvalidValueError("span", span, f"at least {within / _MOST_SPANS} seconds for {within} seconds back")
        user_id = self._selection(None, None, None, None, user_id).user_id
        self._settle()
        if not isinstance(self._journal, Countable):
            raise JournalError(f"{self._journal!r} has no way to count its executions; give it a method count")
        span_ns = max(1, int(span * 1e9))
        since_ns = self._decider.time_ns() - int(within * 1e9)
        return self._journal.count(since_ns // span_ns * span_ns, span_ns, user_id)
