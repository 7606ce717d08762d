"""python-statemachine: a class with runstate's table, defined once, of which each execution is an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from statemachine import State, StateMachine


class Run(StateMachine):
    """The states and moves of an execution."""

    pending = State(initial=True)
    starting = State()
    running = State()
    completing = State()
    completed = State(final=True)
    failed = State(final=True)
    timeout = State(final=True)
    dead = State(final=True)
    cancelled = State(final=True)

    start = pending.to(starting)
    run = pending.to(running) | starting.to(running)
    finish = running.to(completing)
    complete = running.to(completed) | completing.to(completed)
    fail = failed.from_(pending, starting, running, completing)
    time_out = timeout.from_(pending, starting, running, completing)
    die = dead.from_(pending, starting, running, completing)
    cancel = cancelled.from_(pending, starting, running, completing)


@contextmanager
def lives(_: Path) -> Iterator[Callable[[int], None]]:
    """Create and four moves: it has no heartbeats, journal, limits or causes."""

    def batch(count: int) -> None:
        for _ in range(count):
            run = Run()
            run.start()
            run.run()
            run.finish()
            run.complete()

    yield batch
