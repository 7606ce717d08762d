"""What the processes of the laboratory do: the subject, its peer the observer, and the auditor who comes after them."""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import os
import random
import resource
import signal
import threading
import time
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import runstate
from runstate import Created, Entry, ExecutionTracker, UnknownExecutionError, WaitTimeoutError, verify

from ._channel import Auditor, Blocked, Channel, Deciding, Ended, Found, Observer, Scenario, Stored, Struck, Subject
from ._faults import BLOCKED, Fault
from ._journals import open_journal, tell
from ._points import Point
from ._steps import run_stepped

OBSERVER: Final = "runstate.testing observer"
"""The agent of the one execution that makes the observer a worker."""
_SLICE: Final = 0.02
"""Seconds of a sleep when a thread is blocked."""


def run(order: Subject | Observer | Auditor, scenario: Scenario, channel: Channel, output: int) -> int:
    """Carry out an order; return the exit code of this process.

    Args:
        order: What to do.
        scenario: What a subject runs.
        channel: To the laboratory.
        output: A descriptor for all that is printed. Not a file's: that would be full as soon as the disk is.
    """
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    faulthandler.enable(2)  # a process that hangs is made to say where
    if isinstance(order, Subject):
        return _be_subject(order, scenario, channel)
    if isinstance(order, Observer):
        return _observe(order, channel)
    return _audit(order, channel)


def warm_up(directory: str) -> None:
    """Import all that a run needs, once for all processes that are forked later. Leaves no thread and no open file."""
    url = str(Path(directory, "warm-up.db"))
    with ExecutionTracker(open_journal(url)) as tracker:
        tracker.timeline(_become_a_worker(tracker))
    verify(url)


class _Trap:
    """Waits for its point, and strikes there once; without one it lists all points.

    It is told of steps and commits, and hands on to the laboratory what the journal has promised before anybody else hears of it.
    """

    def __init__(self, order: Subject, channel: Channel) -> None:
        self._order = order
        self._channel = channel
        self._lock = threading.Lock()
        self._struck = False
        self._numbers: dict[str, int] = {}
        self.points: dict[str, Point] = {}

    def at(self, name: str, where: str) -> None:
        """Such a point is reached."""
        order = self._order
        if order.point is None:
            self.points.setdefault(name, Point(name, where))
        elif name == order.point and order.fault is not None:
            with self._lock:
                first, self._struck = not self._struck, True
            if first:
                self._strike(order.fault, where)

    def deciding(self, batch: Sequence[Entry]) -> Mapping[str, Entry]:
        """These entries are about to be stored. Return those of the scenario, each by its number: `3.4`."""
        for entry in batch:
            if isinstance(entry, Created):
                self._numbers.setdefault(entry.execution_id, len(self._numbers) + 1)
        own = self._own(batch)
        self._channel.send(Deciding(sorted({entry.execution_id for entry in own})))
        return {f"{self._numbers[entry.execution_id]}.{entry.seq}": entry for entry in own}

    def stored(self, batch: Sequence[Entry]) -> None:
        """These entries are stored, and nobody knows it yet."""
        self._channel.send(Stored(self._own(batch)))

    def _own(self, batch: Sequence[Entry]) -> list[Entry]:
        """Leave out the ends of other workers' executions: this one may bury, too."""
        return [entry for entry in batch if entry.execution_id in self._numbers]

    def _strike(self, fault: Fault, where: str) -> None:
        self._channel.send(Struck(where))
        if fault is Fault.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault is Fault.STOP:
            signal.pthread_kill(
                threading.get_ident(), signal.SIGSTOP
            )  # sent to the process, another thread may take it later
        elif fault is Fault.BLOCK:
            self._channel.send(Blocked(_block(BLOCKED * self._order.lease)))
        elif fault is Fault.CUT:
            self._channel.receive()  # the laboratory has cut
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _block(duration: float) -> float:
    """Hold this thread up; return by how many seconds the machine made one of many short sleeps longer, at most."""
    until = time.monotonic() + duration
    stall = 0.0
    while (began := time.monotonic()) < until:
        time.sleep(_SLICE)
        stall = max(stall, time.monotonic() - began - _SLICE)
    return stall


def _be_subject(order: Subject, scenario: Scenario, channel: Channel) -> int:
    trap = _Trap(order, channel)
    random.seed(order.seed)
    error: str | None = None
    try:
        journal = tell(open_journal(order.url), trap)
        with ExecutionTracker(journal, lease=order.lease) as tracker:
            running = scenario(tracker)
            if inspect.iscoroutine(running):
                run_stepped(cast("Coroutine[Any, Any, Any]", running), order.backend, trap)
    except (Exception, SystemExit) as raised:  # noqa: BLE001 - the laboratory is told
        traceback.print_exc()
        error = f"{type(raised).__name__}: {raised}"
    channel.send(Ended(error, list(trap.points.values())))
    return 0 if error is None else 1


def _observe(order: Observer, channel: Channel) -> int:
    """Be a worker, and say when executions have ended."""
    with runstate.open(order.url, lease=order.lease) as tracker:
        _become_a_worker(tracker)
        channel.send(None)
        while (asked := channel.receive()) is not None:
            execution_ids: Sequence[str] = asked
            for execution_id in execution_ids:
                with contextlib.suppress(UnknownExecutionError, WaitTimeoutError):
                    tracker.wait(execution_id, timeout=20 * order.lease)
            channel.send(None)
    return 0


def _audit(order: Auditor, channel: Channel) -> int:
    records: list[runstate.ExecutionRecord] = []
    timelines: list[Sequence[Entry]] = []
    with runstate.open(order.url, lease=order.lease) as tracker:
        for execution_id in order.execution_ids:
            with contextlib.suppress(UnknownExecutionError):
                with contextlib.suppress(WaitTimeoutError):
                    tracker.wait(execution_id, timeout=order.patience)
                records.append(tracker.get(execution_id))
                timelines.append(tracker.timeline(execution_id))
    channel.send(Found(records, timelines, verify(order.url)))
    return 0


def _become_a_worker(tracker: ExecutionTracker) -> str:
    """Run an execution, as a process must that wants to be known to others and to look after them; return its id."""
    with tracker.execution(agent=OBSERVER, thread_id=OBSERVER, user_id=OBSERVER) as execution:
        execution.complete(None)
    return execution.execution_id
