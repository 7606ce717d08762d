"""An agent that does as it is told, one deed after the other, for tests of calls that may be several executions."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import runstate
from runstate import Cause, ExecutionRecord, ExecutionState, ExecutionTracker, Outcome, Retry

WHOSE: Final[dict[str, Any]] = {"thread_id": "t-1", "user_id": "u-1"}
AT_ONCE: Final = Retry(wait_initial=1e-9, wait_max=1e-9)
"""Without pauses that any clock would notice."""


class Agent:
    """An agent of a colour that does one thing after the other: raises exceptions, calls functions, and returns the rest."""

    def __init__(self, tracker: ExecutionTracker, colour: str, *deeds: Any, **options: Any) -> None:
        self._deeds = list(deeds)
        self.calls = 0

        def work() -> Any:
            self.calls += 1
            deed = self._deeds.pop(0)
            if isinstance(deed, BaseException):
                raise deed
            return deed() if callable(deed) else deed

        async def awork() -> Any:
            await asyncio.sleep(0)
            return work()

        options = {"timeout": 25.0, **options}
        self._is_async = colour == "async"
        self._agent = tracker.agent("airline", **options)(awork if self._is_async else work)

    def __call__(self, **bound: Any) -> Outcome[Any]:
        """Make one call."""
        call: Any = self._agent.bind(**{**WHOSE, **bound})
        outcome: Outcome[Any] = asyncio.run(call()) if self._is_async else call()
        return outcome


def ends(chain: tuple[ExecutionRecord, ...]) -> list[tuple[int, ExecutionState, Cause | None]]:
    """How each execution of a chain has ended."""
    return [(one.attempt, one.state, one.cause) for one in chain]


def cancel_it() -> str:
    """Cancel the execution that runs, by its handle."""
    runstate.current().cancel("enough")
    return "late"
