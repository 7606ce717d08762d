"""`CrashLab`: counts the points of a scenario, chooses where to strike, strikes, and holds the promises against what is left.

Every process is real, and so is what happens to it. A run has up to three of them: the *subject*, in which the scenario runs; for a
fault that it lives through an *observer*, a peer that may take it for dead; and when both are gone an *auditor*, the next process to
open the journal, which ends what is left and says what it found. All are forks of one clean interpreter (`_forkserver`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import tempfile
import time
import warnings
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

from runstate import Entry, InvalidValueError

from . import _arguments
from ._channel import Auditor, Blocked, Deciding, Ended, Found, Observer, Scenario, Stored, Struck, Subject
from ._databases import own_database
from ._faults import CUT_OFF, ON_POSTGRES, ON_SQLITE, SURVIVED, Fault
from ._forkserver import ForkServer, Process
from ._journals import is_postgres
from ._judge import problems
from ._points import Point
from ._relay import Relay
from ._report import BrokenGuaranteeError, CrashReport, CrashRun, ScenarioError
from ._steps import Backend

_AT_ONCE: Final = 8
"""Runs at a time: most of them wait for a lease to run out."""


@dataclass(slots=True)
class _Seen:
    """What the laboratory has heard of a subject."""

    execution_ids: set[str] = field(default_factory=set[str])
    stored: list[Entry] = field(default_factory=list[Entry])
    struck: Struck | None = None
    stall: float = 0.0
    ended: Ended | None = None


class CrashLab:
    """Runs scenarios into faults. With pytest, take the fixture `crash_lab`.

    Args:
        url: `postgresql://…` of a server for tests, whose user may create databases: each run gets a new one there, one at a time.
            None gives each run an SQLite file.
        backend: The async library that runs scenarios which are coroutine functions; "trio" must be installed.
        directory: Where files are put; None takes a new temporary one.
        seed: Chooses the runs, and seeds Python's `random` in the scenario.
        lease: Seconds after which processes that stand still are given up. A shorter one makes faster runs, until a busy machine
            lets processes stand still that long by itself; 0.1 or more.
        patience: Seconds that a run's process may take to end, and the journal to settle after it.

    Raises:
        StateTypeError: An argument is of another type.
        InvalidValueError: *url* names no database on a server, *backend* no library, or a number of seconds is none to wait for.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        backend: Backend = "asyncio",
        directory: str | os.PathLike[str] | None = None,
        seed: int = 0,
        lease: float = 1.0,
        patience: float = 30.0,
    ) -> None:
        if url is not None:
            _arguments.expect("url", url, str, "a str or None")
        _arguments.whole("seed", seed)
        _arguments.seconds("lease", lease, 0.1)
        _arguments.seconds("patience", patience)
        if backend not in get_args(Backend):
            raise InvalidValueError("backend", backend, "'asyncio' or 'trio'")
        if url is not None and not is_postgres(url):
            raise InvalidValueError("url", url, "postgresql://…, or None: then each run has an SQLite file of its own")
        self._url = url
        self._backend: Backend = backend
        self._directory = Path(tempfile.mkdtemp(prefix="crash-lab-") if directory is None else directory)
        self._seed = seed
        self._lease = lease
        self._patience = patience
        self._numbers = itertools.count(1)

    def run(
        self, scenario: Scenario, *, faults: Collection[Fault] | None = None, runs: int = 50, seed: int | None = None
    ) -> CrashReport:
        """Run a scenario undisturbed, then with one fault at one point, again and again.

        Args:
            scenario: A function, or a coroutine function, at the top of a module; gets a tracker, and runs agents with it. What
                else it needs give it by `functools.partial`.
            faults: Which; None takes all that its journal can meet.
            runs: At most so many; if there are more points and faults, the seed chooses, as many of each fault.
            seed: Another seed than the laboratory's.

        Returns:
            All runs, for the assertions that only you can make: about results, and about what your agents did elsewhere.

        Warns:
            RuntimeWarning: More than half of the runs never came by their point.

        Raises:
            BrokenGuaranteeError: A promise was broken. Says where, and how to run that again.
            ScenarioError: The scenario raises undisturbed or tracks nothing, no run came by its point, or a server has no room for runs.
            StateTypeError: An argument is of another type: the scenario is no function, for example.
            InvalidValueError: It cannot be sent to another process; a fault cannot be met by this journal; or *runs* is negative.
        """
        _arguments.count("runs", runs)
        seed = self._checked_seed(scenario, seed)
        chosen = self._check(faults)
        with self._server(scenario) as (server, directory):
            first, points = self._undisturbed(server, directory, seed)
            places = schedule(points, chosen, runs, seed)
            with ThreadPoolExecutor(_AT_ONCE if self._url is None else 1) as pool:
                later = [pool.submit(self._run, server, directory, seed, point, fault) for point, fault in places]
                try:
                    report = CrashReport(seed=seed, points=points, runs=[first, *(one.result()[0] for one in later)])
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        if report.broken:
            raise BrokenGuaranteeError(report)
        if places and len(report.missed) == len(places):
            raise ScenarioError(f"no run came by its point: does the scenario take another path each time?\n{report}")
        if report.proves_little:
            warnings.warn(report.summary, RuntimeWarning, stacklevel=2)
        return report

    def replay(self, scenario: Scenario, *, point: str, fault: Fault, seed: int | None = None) -> CrashRun:
        """Run a scenario once, with this fault at this point.

        Args:
            scenario: As for `run`.
            point: Its name, as a report says it: `await 2.7`.
            fault: What to do there.
            seed: Another seed than the laboratory's.

        Raises:
            BrokenGuaranteeError: A promise was broken.
            ScenarioError: The run never came by this point.
            StateTypeError: As for `run`, like the next.
            InvalidValueError: As for `run`.
        """
        _arguments.expect("point", point, str, "the name of a point, a str")
        seed = self._checked_seed(scenario, seed)
        self._check([fault])
        with self._server(scenario) as (server, directory):
            run, _ = self._run(server, directory, seed, Point(point, ""), fault)
        if run.problems:
            raise BrokenGuaranteeError(CrashReport(seed=seed, points=[], runs=[run]))
        if not run.reached:
            raise ScenarioError(f"the scenario never came by {point!r}; run() lists its points in .points")
        return run

    def _checked_seed(self, scenario: Scenario, seed: int | None) -> int:
        _arguments.function("scenario", scenario)
        if seed is None:
            return self._seed
        _arguments.whole("seed", seed)
        return seed

    def _check(self, faults: Collection[Fault] | None) -> Sequence[Fault]:
        possible = ON_SQLITE if self._url is None else ON_POSTGRES
        if faults is None:
            return possible
        _arguments.expect("faults", faults, Collection, "a collection of faults, or None")
        if not faults or not all(fault in possible for fault in faults):
            raise InvalidValueError("faults", faults, f"some of {', '.join(map(str, possible))}")
        return [fault for fault in possible if fault in faults]

    @contextlib.contextmanager
    def _server(self, scenario: Scenario) -> Generator[tuple[ForkServer, Path]]:
        directory = self._directory / f"lab-{next(self._numbers)}"
        directory.mkdir(parents=True)
        with ForkServer(scenario, directory) as server:
            yield server, directory

    def _undisturbed(self, server: ForkServer, directory: Path, seed: int) -> tuple[CrashRun, Sequence[Point]]:
        run, points = self._run(server, directory, seed, None, None)
        if run.problems:
            raise BrokenGuaranteeError(CrashReport(seed=seed, points=points, runs=[run]))
        if run.error is not None:
            raise ScenarioError(f"the scenario must not raise when nothing disturbs it:\n{run.printed}")
        if not run.executions:
            raise ScenarioError(
                "the scenario tracked no execution, so there is nothing to prove: does it use its tracker?"
            )
        return run, points

    def _run(
        self, server: ForkServer, directory: Path, seed: int, point: Point | None, fault: Fault | None
    ) -> tuple[CrashRun, Sequence[Point]]:
        log = directory / f"run-{next(self._numbers)}.log"
        with own_database(self._url or str(log.with_suffix(".db"))) as url:
            return self._run_on(url, log, server, seed, point, fault)

    def _run_on(
        self, url: str, log: Path, server: ForkServer, seed: int, point: Point | None, fault: Fault | None
    ) -> tuple[CrashRun, Sequence[Point]]:
        observer: Process | None = None
        seen = _Seen()
        with contextlib.ExitStack() as stack:
            relay = stack.enter_context(Relay(url)) if fault is Fault.CUT else None
            if fault in SURVIVED:
                observer = server.fork(Observer(url, self._lease), log)
                stack.callback(_end, server, observer)
                observer.channel.receive(self._patience)
            where = url if relay is None else relay.url
            order = Subject(where, self._lease, seed, self._backend, point and point.name, fault)
            subject = server.fork(order, log)
            stack.callback(subject.channel.close)
            exit_code = self._follow(server, subject, fault, observer, relay, seen)
        found = self._audit(server, url, log, sorted(seen.execution_ids))
        ended, stalled = seen.ended, seen.stall > self._lease / 2
        if seen.struck is not None and point is not None:
            point = point._replace(where=seen.struck.where)
        run = CrashRun(
            point=point,
            fault=fault,
            seed=seed,
            reached=point is None or seen.struck is not None,
            exit_code=exit_code,
            error=None if ended is None else ended.error,
            executions=found.records,
            problems=tuple(problems(found, seen.stored, fault, exit_code, ended, stalled=stalled)),
            printed=log.read_text(errors="replace"),
        )
        return run, () if ended is None else ended.points

    def _follow(
        self,
        server: ForkServer,
        subject: Process,
        fault: Fault | None,
        observer: Process | None,
        relay: Relay | None,
        seen: _Seen,
    ) -> int | None:
        """Listen to a subject until it is gone, and do the part of the fault that is done from outside."""
        until = time.monotonic() + self._patience
        try:
            while (message := subject.channel.receive(max(0.0, until - time.monotonic()))) is not None:
                if isinstance(message, Deciding):
                    seen.execution_ids.update(message.execution_ids)
                elif isinstance(message, Stored):
                    seen.stored += message.entries
                elif isinstance(message, Blocked):
                    seen.stall = message.stall
                elif isinstance(message, Ended):
                    seen.ended = message
                elif isinstance(message, Struck):
                    seen.struck = message
                    if fault is Fault.STOP and observer is not None:
                        self._let_pass(server, subject, observer, seen)
                    elif relay is not None:
                        relay.cut(CUT_OFF * self._lease)
                        subject.channel.send(None)
        except TimeoutError:
            _dump_and_kill(subject.pid)
            server.wait(subject)
            return None
        return server.wait(subject)

    def _let_pass(self, server: ForkServer, subject: Process, observer: Process, seen: _Seen) -> None:
        """Keep a stopped process stopped until its peer has ended what it left, or should have."""
        server.wait_stopped(subject)
        observer.channel.send(sorted(seen.execution_ids))
        observer.channel.receive()
        os.kill(subject.pid, signal.SIGCONT)

    def _audit(self, server: ForkServer, url: str, log: Path, execution_ids: Sequence[str]) -> Found:
        auditor = server.fork(Auditor(url, self._lease, execution_ids, self._patience), log)
        found = auditor.channel.receive()
        auditor.channel.close()
        server.wait(auditor)
        if not isinstance(found, Found):
            raise ScenarioError(f"the journal cannot be read after the run:\n{log.read_text(errors='replace')}")
        return found


def schedule(points: Sequence[Point], faults: Sequence[Fault], runs: int, seed: int) -> Sequence[tuple[Point, Fault]]:
    """Choose where to strike with what: each fault in its turn, the points of each in an order that the seed makes.

    Args:
        points: All there are.
        faults: Those to choose from.
        runs: How many strikes at most.
        seed: What chooses.
    """
    generator = random.Random(seed)  # noqa: S311 - it must be repeatable
    orders = [[(point, fault) for point in generator.sample(points, len(points))] for fault in faults]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*orders))
    return [one for one in turns if one is not None][:runs]


def _end(server: ForkServer, process: Process) -> None:
    process.channel.close()
    server.wait(process)


def _dump_and_kill(pid: int) -> None:
    """Have a process that hangs print what its threads do, then end it."""
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGABRT)
    time.sleep(0.5)  # to print
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
