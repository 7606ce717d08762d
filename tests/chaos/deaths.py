"""The time of death: from the blow to the moment when the journal says of every execution of the worker that it is DEAD.

The journal is read again and again by a connection of its own, and beside it, in the same loop, whoever knows first: the kernel (the
pidfd of the process) and, where there is one, the server (the session that held the worker's lock). The difference is runstate's.
"""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg

from runstate import Cause

from . import schedule
from .faults import PATIENCE, ROOT, Harm
from .guarantee import Check, stories
from .places import Place, PostgresPlace, place

EXECUTIONS: Final = 100
OBSERVERS: Final = 2
BATCH: Final = 4
"""Victims that are made ready at a time."""
PAUSE: Final = 0.0001
"""Seconds between two looks."""
SETTLE: Final = 0.3
"""Seconds before a blow in which all who watch come to know the victim."""

LEAVING: Final = 5.0
"""Seconds that a worker has to leave in good order, if it can."""

DEAD_SQLITE: Final = """
SELECT count(*), 0 FROM executions AS x JOIN workers AS w ON w.number = x.worker WHERE w.incarnation = ? AND x.state = 'dead'
"""
DEAD_POSTGRES: Final = """
SELECT (SELECT count(*) FROM runstate.executions AS x JOIN runstate.workers AS w ON w.number = x.worker
        WHERE w.incarnation = %s AND x.state = 'dead'),
       NOT EXISTS (SELECT FROM pg_stat_get_activity(%s))
"""
SESSION: Final = """
SELECT l.pid FROM pg_locks AS l JOIN runstate.workers AS w ON l.objid = w.number
WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = 1381322327 AND l.granted AND w.incarnation = %s
"""


class Death(NamedTuple):
    """One death; times are seconds from the blow."""

    journal: float
    """Until the journal says so of all executions."""
    kernel: float | None
    """Until the kernel says that the process has ended."""
    server: float | None
    """Until the server has ended the session."""


class Victim(NamedTuple):
    """A worker that is there, with its executions live."""

    process: subprocess.Popen[str]
    incarnation: str


Look = Callable[[], tuple[int, int]]
"""How many are dead, and whether the session is gone."""


@contextmanager
def victims(url: str, lease: float, count: int, executions: int = 1) -> Generator[list[Victim]]:
    """Start workers; at last those that can leave in good order, and the others are killed."""
    command = [sys.executable, "-m", "tests.chaos.victim", url, str(lease), str(executions)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        yield [Victim(process, _line(process)) for process in processes]
    finally:
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in processes:
            try:
                process.wait(LEAVING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a worker has ended before it began; what it said is above"
    return line.strip()


@contextmanager
def looking(here: Place, victim: Victim) -> Generator[Look]:
    """Give what looks into the journal for one worker."""
    if isinstance(here, PostgresPlace):
        with psycopg.connect(here.url, autocommit=True) as connection:
            row = connection.execute(SESSION, (victim.incarnation,)).fetchone()
            asked = (victim.incarnation, -1 if row is None else row[0])
            yield lambda: connection.execute(DEAD_POSTGRES, asked, prepare=True).fetchone() or (0, 0)
        return
    file = sqlite3.connect(here.url, isolation_level=None, timeout=60.0)
    try:
        yield lambda: file.execute(DEAD_SQLITE, (victim.incarnation,)).fetchone()
    finally:
        file.close()


def death(
    here: Place, victim: Victim, blow: Callable[[], object], executions: int, patience: float = PATIENCE
) -> Death:
    """Strike, and watch.

    Raises:
        TimeoutError: Not all were dead in time: one was missed.
    """
    pidfd = os.pidfd_open(victim.process.pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    kernel: float | None = None
    server: float | None = None
    try:
        with looking(here, victim) as look:
            look()
            began = time.monotonic()
            blow()
            while True:
                if kernel is None and poll.poll(0):
                    kernel = time.monotonic() - began
                dead, is_gone = look()
                now = time.monotonic() - began
                if server is None and is_gone:
                    server = now
                if dead == executions and (kernel is not None or now > 1.0):
                    return Death(now, kernel, server)
                if now > patience:
                    raise TimeoutError(
                        f"{executions - dead} of {executions} executions of {victim} live on after {now:.1f} s"
                    )
                time.sleep(PAUSE)
    finally:
        os.close(pidfd)


@contextmanager
def watched(here: Place, lease: float) -> Generator[None]:
    """Have workers look on."""
    with victims(here.url, lease, OBSERVERS):
        yield


def kills(here: Place, count: int, lease: float, executions: int = EXECUTIONS) -> list[Death]:
    """Kill so many workers, one after the other, before the eyes of others."""
    found: list[Death] = []
    while len(found) < count:
        with victims(here.url, lease, min(BATCH, count - len(found)), executions) as batch:
            for victim in batch:
                time.sleep(SETTLE)
                found.append(death(here, victim, victim.process.kill, executions))
    return found


def stops(here: Place, count: int, lease: float, executions: int = EXECUTIONS) -> list[Death]:
    """Stop so many workers for ever, and see their leases run out."""
    found: list[Death] = []
    for _ in range(count):
        with victims(here.url, lease, 1, executions) as (victim,):
            time.sleep(SETTLE)
            found.append(death(here, victim, stopping(victim), executions, 3 * lease + PATIENCE))
            victim.process.kill()
    return found


def stopping(victim: Victim) -> Callable[[], object]:
    """Give what stops a worker."""
    return lambda: victim.process.send_signal(signal.SIGSTOP)


def cuts(here: Place, count: int, lease: float, executions: int = EXECUTIONS) -> list[Death]:
    """Cut so many workers off, one by one, and see their leases run out; none where there is no network."""
    found: list[Death] = []
    for _ in range(count if here.links else 0):
        with victims(here.way(0), lease, 1, executions) as (victim,):
            time.sleep(SETTLE)
            found.append(death(here, victim, here.links[0].freeze, executions, 3 * lease + PATIENCE))
            here.links[0].thaw()
    return found


def wrong_with(here: Place, expected: Mapping[Cause, int]) -> list[str]:
    """What is wrong with a journal in which so many workers, and no others, must have died with all that they had."""
    journal = here.journal()
    try:
        found = stories(journal)
        workers = journal.workers(1_000_000)
        harms = {worker.pid or 0: [Harm(schedule.ZOMBIE, 0)] for worker in workers}
        findings = Check(found, workers, harms).all([])
    finally:
        journal.close()
    causes = Counter(worker.fence.cause for worker in workers if worker.fence is not None)
    if causes != expected:
        findings.append(f"workers were held for dead as {dict(causes)}, and died as {dict(expected)}")
    return findings + here.findings()


def lines(what: str, found: list[Death], median: float, longest: float) -> list[str]:
    """Say what was measured, beside the bounds, in milliseconds."""
    times = sorted(one.journal * 1e3 for one in found)
    verdict = "kept" if statistics.median(times) <= median and times[-1] <= longest else "MISSED"
    said = [
        f"{what}: {len(times)} deaths, none missed; median {statistics.median(times):.1f} ms (bound {median:g}), "
        f"longest {times[-1]:.1f} ms (bound {longest:g}): {verdict}"
    ]
    for name in ("kernel", "server"):
        noticed = [getattr(one, name) for one in found if getattr(one, name) is not None]
        if noticed:
            said.append(
                f"  the {name}'s own notice: median {statistics.median(noticed) * 1e3:.1f} ms, longest {max(noticed) * 1e3:.1f} ms"
            )
    return said


def measure(store: str, count: int, lease: float, stopped: int) -> tuple[list[str], list[str]]:
    """Measure everything on one store; return what to print, and what is wrong."""
    median, longest = (20.0, 100.0) if store == "sqlite" else (50.0, 250.0)
    at_most = (lease + 1.0) * 1e3
    with place(store, 1) as here:
        with watched(here, lease):
            killed = kills(here, count, lease)
            still = stops(here, stopped, lease)
            cut = cuts(here, stopped, lease)
        wrong = wrong_with(here, {Cause.PROCESS_EXITED: count, Cause.LEASE_EXPIRED: len(still) + len(cut)})
    said = lines(f"kill -9, {store}", killed, median, longest)
    said += lines(f"SIGSTOP with a lease of {lease:g} s, {store}", still, at_most, at_most)
    if cut:
        said += lines(f"cut off with a lease of {lease:g} s, {store}", cut, at_most, at_most)
    return said, wrong
