"""What is held against an execution that gives no sign of life. Two signals that know nothing of each other must agree.

| silent is | and | the verdict |
|---|---|---|
| the execution, for its `heartbeat_timeout` | it could have spoken: the watch was on time, and its loop has turned since, or it has none | DEAD, NO_HEARTBEAT |
| its loop, for a second | – | none: a `Warned` entry with the blocking stack |
| its loop, for the `blocked_timeout` that the user has set | the execution has given no sign from another thread either | DEAD, LOOP_BLOCKED |

A limit on silence is stretched by every lapse of the watch and of the execution's loop since the last sign of life (see `_turns`). And
once it has passed, both get one more turn: an execution that was held up until now shall have had the chance to say so. A loop that
has stopped or ended excuses nobody, as nothing in it will ever move again by itself.

With a clock that a test moves nothing is ever late and no loop is asked: limits are exact.

A blocked loop may hold thousands of executions, and its stack says the same of all of them. So one block warns at most `WARNED`
executions, those whose last sign of life is the newest: the one that blocks was among the last that moved. Each is warned `WARNINGS`
times at most. How many were not is said in the log, with the stack, once for each block.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from typing import Final

from ._checks import error_text
from ._deadlines import NEVER
from ._decider import Decider
from ._errors import FencedError, InvalidTransitionError, TrackerClosedError
from ._live import Live
from ._loops import LoopProbe
from ._records import Evidence
from ._states import Cause, ExecutionState
from ._turns import Turns, lapsed_ns

LOOP_WATCH: Final = "loop watch"
"""Observer of an end for which the loop was blocked."""
PING: Final = 1_000_000_000
"""Nanoseconds from an answer of a loop to the next ping, and without an answer until it counts as blocked."""
CHANCE: Final = 50_000_000
"""Nanoseconds that a limit on silence waits after it has passed, where time passes by itself."""
SHORTEST_BLOCK: Final = 0.05
"""Seconds that a loop may be blocked at least: any work in it takes its moments, and less could not be told from them."""
WARNED: Final = 100
"""Executions that are warned of one block."""
WARNINGS: Final = 10
"""Warnings of one execution."""

logger: Final = logging.getLogger("runstate")


class Verdicts:
    """Knows when silence is death, and what a blocked loop means.

    Args:
        decider: Where the executions live.
        turns: Those of the watch.
        monotonic_ns: The clock.
        chance_ns: Nanoseconds that a passed limit on silence waits for what was held up.
        blocked_timeout: Seconds that a loop may be blocked until its silent executions are DEAD; None is no limit.
    """

    def __init__(
        self,
        decider: Decider,
        turns: Turns,
        monotonic_ns: Callable[[], int],
        chance_ns: int,
        blocked_timeout: float | None,
    ) -> None:
        self._decider = decider
        self._turns = turns
        self._monotonic_ns = monotonic_ns
        self._chance_ns = chance_ns
        self._blocked_timeout = blocked_timeout

    def dead_ns(self, live: Live, now_ns: int) -> int:
        """When the silence of an execution is death, unless it gives a sign of life; as far as is known now."""
        since_ns = live.beat_ns
        limit_ns = live.silence_ns()
        if limit_ns > now_ns:
            return limit_ns
        loop = live.loop
        if loop is None or not loop.runs():
            return limit_ns + lapsed_ns(since_ns, now_ns, self._turns) + self._chance_ns
        passed_ns = limit_ns + lapsed_ns(since_ns, now_ns, self._turns, loop.turns)
        if passed_ns <= now_ns and not loop.turns_since(passed_ns):  # does it turn?
            loop.ask()
            return now_ns + max(CHANCE, min(loop.turns.late_ns(now_ns), PING))
        return passed_ns + self._chance_ns

    def look_at_loops(self) -> int:
        """Ask every loop for a sign; warn and judge where none came. Return how many executions were ended."""
        loops, ended = self._decider.loops, 0
        if loops is None:
            return 0
        is_needed = bool(self._decider.live)
        for loop in loops.probes():
            now_ns = self._monotonic_ns()
            if not loop.runs():
                continue
            asked_ns = loop.asked_ns
            if asked_ns == NEVER:
                if not is_needed or now_ns - loop.turns.last_ns >= PING:  # before a rest too: a trio run may have ended
                    loop.ask()
                continue
            blocked_ns = now_ns - asked_ns - lapsed_ns(asked_ns, now_ns, self._turns)
            if blocked_ns >= PING and is_needed:
                ended += self._look_at_blocked(loop, asked_ns, blocked_ns, now_ns)
        return ended

    def _look_at_blocked(self, loop: LoopProbe, asked_ns: int, blocked_ns: int, now_ns: int) -> int:
        limit = self._blocked_timeout
        is_new = loop.warned_ns != asked_ns
        is_over = limit is not None and blocked_ns >= limit * 1e9 and now_ns - loop.judged_ns >= PING
        if not is_new and not is_over:
            return 0
        stack = error_text("stack", loop.stack(), self._decider.limits.error_bytes)
        if loop.asked_ns != asked_ns:
            return 0  # it has turned meanwhile, so that is not what blocked it
        within = [live for live in list(self._decider.live.values()) if live.loop is loop]
        if is_new:
            loop.warned_ns = asked_ns
            self._warn(within, blocked_ns, stack)
        if not is_over:
            return 0
        loop.judged_ns = now_ns
        error = f"its event loop was blocked for {limit:g} s, and it gave no sign of life from elsewhere"
        silent = [live for live in within if live.beat_ns <= asked_ns]
        return sum(self._end_blocked(live, now_ns, error, stack) for live in silent)

    def _warn(self, within: list[Live], blocked_ns: int, stack: str) -> None:
        if not within:
            return
        open_to = [live for live in within if live.warnings < WARNINGS]
        newest = heapq.nlargest(WARNED, open_to, key=lambda live: live.beat_ns)
        warned = sum(self._decider.warn(live, Cause.LOOP_BLOCKED, stack) is not None for live in newest)
        logger.warning(
            "runstate: an event loop has not turned for %.1f s; of the %d executions in it %d were given a warning. "
            "It is here, the most recent call first:\n%s",
            blocked_ns / 1e9,
            len(within),
            warned,
            stack,
        )

    def _end_blocked(self, live: Live, now_ns: int, error: str, stack: str) -> bool:
        evidence = Evidence(LOOP_WATCH, live.beats, max(0, now_ns - live.beat_ns) / 1e9, stack=stack)
        if (phase := live.phase) is not None:
            evidence = evidence._replace(last_phase=phase.phase, last_phase_detail=phase.detail)
        return pronounce(
            self._decider, live, ExecutionState.DEAD, Cause.LOOP_BLOCKED, error, LOOP_WATCH, evidence=evidence
        )


def pronounce(
    decider: Decider,
    live: Live,
    target: ExecutionState,
    cause: Cause,
    error: str,
    observer: str,
    *,
    evidence: Evidence | None = None,
) -> bool:
    """End an execution unless somebody was first; say whether this has ended it."""
    try:
        decider.end(live, None, target, cause, error, None, observer, None, evidence)
    except (InvalidTransitionError, FencedError):
        return False  # it ended by itself a moment ago: the first end wins
    except TrackerClosedError:
        return False  # closing has ended it, or is about to
    return True
