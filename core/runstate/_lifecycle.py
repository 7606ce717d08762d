"""What happens to trackers that are open when the process forks or exits.

A forked child has none of the parent's threads, and the executions in its memory are the parent's. Its copy of the
tracker starts afresh, as a new incarnation with executions of its own.

A process that exits with an open tracker has forgotten to close it. Closing it then saves what can be saved: pending entries
are written, and what is live ends as CANCELLED, cause SHUTDOWN. That this was left to chance is said aloud.
"""

from __future__ import annotations

import atexit
import os
import warnings
from typing import Final, Protocol
from weakref import WeakSet

from ._errors import JournalError
from ._records import Statistics


class Closable(Protocol):
    """As much of a tracker as is needed here."""

    def statistics(self) -> Statistics:
        """Return what it has done."""
        ...

    def close(self) -> None:
        """Settle everything."""
        ...

    def _after_fork(self) -> None:
        """Start afresh in a forked child."""
        ...


_open: Final[WeakSet[Closable]] = WeakSet()


def track_until_closed(tracker: Closable) -> None:
    """Look after a tracker from now on."""
    _open.add(tracker)


def track_no_more(tracker: Closable) -> None:
    """It was closed."""
    _open.discard(tracker)


def _close_at_exit() -> None:
    said = [_close_forgotten(tracker) for tracker in list(_open)]
    if said:  # all at once and only now: where warnings are errors, the first one ends this function
        warnings.warn("\n".join(said), RuntimeWarning, stacklevel=1)


def _close_forgotten(tracker: Closable) -> str:
    name, live = repr(tracker), tracker.statistics().live
    outcome = "what was pending is written"
    try:
        tracker.close()
    except JournalError as error:
        outcome = f"not everything could be written: {error}"
    return (
        f"a runstate tracker was still open at exit ({name}); closed it: {outcome}, and {live} live executions ended as "
        f"CANCELLED (SHUTDOWN). Use `with runstate.open(…) as tracker:` or call close()"
    )


def _after_fork() -> None:
    for tracker in list(_open):
        tracker._after_fork()


atexit.register(_close_at_exit)
os.register_at_fork(after_in_child=_after_fork)
