"""transitions, in both of its ways, with runstate's table.

As its documentation introduces it, each object gets a `Machine` of its own. Its cheapest way is one machine, defined once, to which each
execution is added as a model, and from which it is removed at its end, as the machine would otherwise keep it for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transitions import Machine

from runstate import TRANSITIONS, ExecutionState

_EVENTS = {
    "start": ExecutionState.STARTING,
    "run": ExecutionState.RUNNING,
    "finish": ExecutionState.COMPLETING,
    "complete": ExecutionState.COMPLETED,
    "fail": ExecutionState.FAILED,
    "time_out": ExecutionState.TIMEOUT,
    "die": ExecutionState.DEAD,
    "cancel": ExecutionState.CANCELLED,
}

_STATES = ["PENDING", "STARTING", "RUNNING", "COMPLETING", "COMPLETED"]
_HAPPY = [
    {"trigger": event, "source": source, "dest": target}
    for event, source, target in zip(("start", "run", "finish", "complete"), _STATES, _STATES[1:], strict=False)
]

machine = Machine(
    model=None,
    states=[state.name for state in ExecutionState],
    transitions=[
        {
            "trigger": event,
            "source": [source.name for source, targets in TRANSITIONS.items() if target in targets],
            "dest": target.name,
        }
        for event, target in _EVENTS.items()
    ],
    initial=ExecutionState.PENDING.name,
    auto_transitions=False,
)


class Run:
    """A model: transitions adds the events to it."""


@contextmanager
def lives(_: Path) -> Iterator[Callable[[int], None]]:
    """Create an object with its machine, and four moves. Only the happy path is defined, which is the cheapest to make."""

    def batch(count: int) -> None:
        for _ in range(count):
            run = Run()
            Machine(model=run, states=_STATES, transitions=_HAPPY, initial="PENDING", auto_transitions=False)
            run.start()
            run.run()
            run.finish()
            run.complete()

    yield batch


@contextmanager
def lives_on_one_machine(_: Path) -> Iterator[Callable[[int], None]]:
    """Add a model to the one machine, and four moves."""

    def batch(count: int) -> None:
        for _ in range(count):
            run = Run()
            machine.add_model(run)
            run.start()
            run.run()
            run.finish()
            run.complete()
            machine.remove_model(run)

    yield batch
