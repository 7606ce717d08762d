"""Tries every bad value on every parameter of every public callable, and says what went wrong.

`test_bad_input.py` runs it under pytest. As a program it does the same where beartype is off, and then looks at every row
that was stored: `python -O -m tests.bad_input STORE DIRECTORY` prints a JSON report.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import runstate
from runstate import (
    Clock,
    Delivery,
    Execution,
    ExecutionScope,
    ExecutionState,
    ExecutionTracker,
    Limits,
    Phase,
    Subscription,
)
from runstate.journal import Journal
from runstate.journal.memory import MemoryJournal

from .bad_values import UNPRINTABLE, VALUES, Parameter, verdict
from .clock import FakeClock
from .snapshots import Snapshot, take
from .stored import rows_of_wrong_type, wrong_types
from .stores import STORES, SqliteStore, Store
from .surface import ALONGSIDE, GOOD, is_required, parameters, public_callables

JOURNAL = "journal.db"
"""The file in the current directory that is a journal."""
LEARNT_LATE = ("ExecutionTracker.execution", "message_id")
"""What is refused by the journal, when the execution has been begun."""
PARTS = (Journal, Clock | None, Limits | None)
"""Objects that a tracker is put together from. Nothing of them is stored, so without beartype a wrong one may raise anything."""


class Target(NamedTuple):
    """One parameter of one public callable."""

    function: Callable[..., Any]
    parameter: Parameter

    def __str__(self) -> str:
        return f"{self.parameter.owner}({self.parameter.name})"


class Refusal(NamedTuple):
    """What became of one value."""

    error: Exception | None
    changed: bool


def targets() -> Iterator[Target]:
    """Yield every parameter of every public callable."""
    for name, function in public_callables():
        for parameter in parameters(name, function):
            yield Target(function, parameter)


class Trial:
    """A tracker on one store, on which values are tried.

    Args:
        store: Where the tracker keeps its executions.
        directory: An empty directory, made the current one, for the files that are opened besides.
    """

    def __init__(self, store: Store, directory: Path) -> None:
        self.directory = directory
        self.tracker = ExecutionTracker(store.journal(), clock=FakeClock())
        self._subscriptions: list[Subscription] = []
        self._open: list[ExecutionScope] = []
        self._previous_directory = Path.cwd()
        os.chdir(directory)

    def close(self) -> None:
        """Let go of everything."""
        os.chdir(self._previous_directory)
        for scope in reversed(self._open):
            with contextlib.suppress(runstate.NoOutcomeError):
                scope.__exit__(None, None, None)
        for subscription in self._subscriptions:
            subscription.close()
        self.tracker.close()

    def running(self) -> Execution[Any]:
        """Make an execution that is RUNNING and has a phase."""
        running = self.tracker.create(agent="tried", thread_id="t", user_id="u", timeout=60.0).run()
        running.phase(Phase.THINKING, "before")
        return running

    def noticed(self) -> str:
        """Make an execution that has ended, and of whose end there is a notice; its id."""
        self.tracker.deliver(id, threads=list).close()
        running = self.running()
        running.complete("an end to be told of")
        self.tracker.flush()
        return running.execution_id

    def receiver(self, owner: str) -> Any:
        """Make what a method is called on."""
        if owner == "ExecutionTracker":
            return self.tracker
        if owner == "Execution":
            return self.running().finish()
        if owner == "SyncAgent":
            return self.tracker.agent("agent")(lambda: "answer")
        if owner == "AsyncAgent":

            async def answer() -> str:
                return "answer"

            return self.tracker.agent("agent")(answer)
        if owner == "Subscription":
            self._subscriptions.append(self.tracker.subscribe())
            self.running()
            return self._subscriptions[-1]
        if owner == "ExecutionScope":
            self._open.append(self.tracker.execution(agent="agent", thread_id="t", user_id="u", timeout=60.0))
            self._open[-1].__enter__()
            return self._open[-1]
        raise LookupError(f"{owner}: say in Trial.receiver what its methods are to be called on")

    def arguments(self, target: Target) -> dict[str, object]:
        """Make good arguments for all parameters that the target's callable requires."""
        made: dict[str, object] = {}
        owner = target.parameter.owner
        for parameter in parameters(owner, target.function):
            if not is_required(target.function, parameter.name):
                continue
            if parameter.name == "execution_id":
                running = self.running()
                if owner in ("ExecutionTracker.wait", "ExecutionTracker.await_outcome"):
                    running.complete("an end to wait for")
                made[parameter.name] = running.execution_id
            elif parameter.name in ("notice_id", "outbox"):
                made[parameter.name] = self.noticed() if parameter.name == "notice_id" else "default"
                self.noticed()
            elif parameter.name in ("url", "path"):
                made[parameter.name] = self.directory / JOURNAL
                runstate.open(self.directory / JOURNAL).close()
            elif parameter.annotation is Journal:
                made[parameter.name] = MemoryJournal()
            else:
                made[parameter.name] = GOOD[parameter.annotation]
        if owner == "Execution.expect":
            made["state"] = ExecutionState.COMPLETING
        return {**made, **ALONGSIDE.get((owner, target.parameter.name), {})}

    def run(self, target: Target, tried: Mapping[str, object], *, compares: bool = True) -> Refusal:
        """Call the target's callable with good arguments and those that are tried; say what became of it."""
        function, owner = target.function, target.parameter.owner
        if "." in owner:
            function = getattr(self.receiver(owner.partition(".")[0]), owner.partition(".")[2])
        arguments = {**self.arguments(target), **tried}
        compares = compares and (owner, target.parameter.name) != LEARNT_LATE
        before = self._look() if compares else None
        try:
            _use(function(**arguments), owner)
        except Exception as error:
            return Refusal(error, compares and self._look() != before)
        return Refusal(None, changed=False)

    def _look(self) -> tuple[Snapshot, list[Path]]:
        return take(self.tracker), sorted(self.directory.iterdir())

    def wrongs(
        self, target: Target, values: Mapping[str, Callable[[], object]], *, or_raises: tuple[type[Exception], ...] = ()
    ) -> Iterator[str]:
        """Try values on one parameter; yield what went otherwise than its annotation says."""
        for label, make in values.items():
            value = make()
            expected = verdict(target.parameter, value)
            if expected is not None and or_raises:
                expected = (*(expected if isinstance(expected, tuple) else (expected,)), *or_raises)
            refusal = self.run(target, {target.parameter.name: value})
            wrong = _compare(expected, refusal)
            if wrong:
                yield f"{target}: {label}: {wrong}"


def _use(given: object, owner: str) -> None:
    """Use what a callable has given far enough that every argument has been looked at, and let go of it."""
    if inspect.iscoroutine(given):
        asyncio.run(given)
    elif isinstance(given, ExecutionScope):
        with given as running:
            running.complete()
    elif isinstance(given, ExecutionTracker | Subscription | Delivery):
        given.close()
    elif owner.endswith(".bind") and callable(given):
        _use(given(), "")


def _compare(expected: type[Exception] | tuple[type[Exception], ...] | None, refusal: Refusal) -> str:
    error = refusal.error
    if expected is None:
        return "" if error is None else f"must be accepted, but raised {error!r}"
    if error is None:
        return f"was accepted, must raise {expected}"
    if not isinstance(error, expected):
        return f"must raise {expected}, but raised {type(error).__name__}: {str(error)[:120]}"
    if refusal.changed:
        return "was refused, but something changed"
    return ""


def look_at_what_is_stored(trial: Trial, store: Store) -> Iterator[str]:
    """Close a trial; yield every field and every raw row that has another type than it should."""
    for record in trial.tracker.find(limit=1_000_000):
        yield from wrong_types(record)
        for entry in trial.tracker.timeline(record.execution_id):
            yield from wrong_types(entry)
    trial.close()
    if isinstance(store, SqliteStore):
        with contextlib.closing(sqlite3.connect(store.path)) as connection:
            yield from rows_of_wrong_type(connection)


def main(store_name: str, directory: Path) -> None:
    """Try everything on one store, then look at everything that was stored; print a JSON report."""
    tried = stored = 0
    wrongs: list[str] = []
    for number, target in enumerate(targets()):
        current = directory / str(number) / "current"
        current.mkdir(parents=True)
        store = STORES[store_name](current.parent)
        trial = Trial(store, current)
        for label, make in {**VALUES, **UNPRINTABLE}.items():
            tried += 1
            refusal = trial.run(target, {target.parameter.name: make()}, compares=False)
            typed = refusal.error is None or isinstance(refusal.error, runstate.RunstateError)
            if not typed and target.parameter.annotation not in PARTS:
                wrongs.append(f"{target}: {label}: raised {refusal.error!r}, which is no RunstateError"[:300])
        stored += trial.tracker.statistics().created
        wrongs += look_at_what_is_stored(trial, store)
    print(json.dumps({"optimize": sys.flags.optimize, "tried": tried, "stored": stored, "wrongs": wrongs}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
