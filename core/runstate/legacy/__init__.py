"""Drop-in facades: the three legacy trackers on one runstate tracker.

The body of a legacy module becomes one import, and its callers go on working:

- A: `from runstate.legacy.execution_tracker import *`
- B: `from runstate.legacy.agent_execution_tracker import *`
- C: `from runstate.legacy.execution_tracking import *`, and of its modules `….execution_tracking.registry import *` and so on

`use` puts them on a tracker that you have opened; without it they share one on the journal that the environment variable
RUNSTATE_LEGACY_JOURNAL names, or in memory, where the newest 10,000 ended executions are kept, for a day. Each keeps its surface, False and None included, but not its silence: a refusal is logged
at ERROR by the logger `runstate.legacy`, counted in `statistics()`, and raised where `strict=True` asks for it. A value that
is no `ExecutionState` is raised in any case. Each call's `DeprecationWarning` names what replaces it.

Limits are enforced whether or not anybody starts a monitor. With a clock that a test moves, call `sweep()`, and wait for
callbacks and events with `await drain()`.
"""

from .. import Statistics as _Statistics
from ._callbacks import deliveries as _deliveries
from ._shared import shared as _the_core
from ._shared import sweep as _sweep
from ._shared import use as use

__all__ = ["drain", "statistics", "sweep", "use"]


def sweep() -> int:
    """End executions whose limits have passed; return how many. Done by itself unless `use` was given a clock.

    Raises:
        ExceptionGroup: Callbacks failed that had no event loop of their own to fail in.
    """
    return _sweep()


def statistics() -> _Statistics:
    """Return `ExecutionTracker.statistics()` of the tracker behind the facades, with the legacy refusals in `refused`."""
    return _the_core().statistics()


async def drain() -> None:
    """Wait until all callbacks and events that are on their way have arrived."""
    await _deliveries.drain()
