"""An agent that does as it is told, one deed after the other, for tests of calls that may be several executions."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import trio
import trio.lowlevel

import runstate
from runstate import Cause, ExecutionRecord, ExecutionState, ExecutionTracker, Outcome, Retry

WHOSE: Final[dict[str, Any]] = {"thread_id": "t-1", "user_id": "u-1"}
AT_ONCE: Final = Retry(wait_initial=1e-9, wait_max=1e-9)
"""Without pauses that any clock would notice."""


async def checkpoint(colour: str) -> None:
    """Let the other tasks run."""
    if colour == "trio":
        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


def run(colour: str, call: Any) -> Any:
    """Make a call of a colour: `sync`, `async` (under asyncio), or `trio`."""
    return trio.run(call) if colour == "trio" else asyncio.run(call()) if colour == "async" else call()


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
            await checkpoint(colour)
            return work()

        options = {"timeout": 25.0, **options}
        name = options.pop("name", "airline")
        self._colour = colour
        self._agent = tracker.agent(name, **options)(work if colour == "sync" else awork)

    def __call__(self, **bound: Any) -> Outcome[Any]:
        """Make one call."""
        call: Any = self._agent.bind(**{**WHOSE, **bound})
        return run(self._colour, call)


def ends(chain: tuple[ExecutionRecord, ...]) -> list[tuple[int, ExecutionState, Cause | None]]:
    """How each execution of a chain has ended."""
    return [(one.attempt, one.state, one.cause) for one in chain]


def cancel_it() -> str:
    """Cancel the execution that runs, by its handle."""
    runstate.current().cancel("enough")
    return "late"
