"""Makes happen what a schedule says, to processes, links and stores that are real."""

from __future__ import annotations

import heapq
import itertools
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from . import schedule as kinds
from .places import Place, PostgresPlace, SqlitePlace
from .schedule import Fault

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60.0
"""Seconds for what must come, on a machine that is busy."""
OUTCRY: Final = re.compile(r"[A-Za-z_.]+(Error|Exception|Warning|Interrupt)\b|Exception ignored|Fatal|Task ")
"""How a line begins that says what was raised."""
EXPECTED: Final = ("runstate._errors.Journal", "psycopg.", "sqlite3.OperationalError: database is locked")
"""How it begins when it is a store that is away."""


class Harm(NamedTuple):
    """What was done to one process."""

    kind: str
    began_ns: int
    """When, in nanoseconds since the Unix epoch."""


class Team:
    """The workers of a storm: one process in each slot, replaced when it is gone.

    Args:
        place: Their journal.
        folder: Where they leave their side logs.
        seed: What decides what they do.
        lease: Theirs, in seconds.
        workers: How many.
        agents: How many agents each has.
    """

    def __init__(self, place: Place, folder: Path, seed: int, lease: float, workers: int, agents: int) -> None:
        self.place = place
        self.folder = folder
        self.harms: dict[int, list[Harm]] = {}
        """By pid, everything that was done to each."""
        self.complaints: list[str] = []
        """What workers said on their standard error that no worker says."""
        self.applied: dict[str, int] = {}
        self._seed = seed
        self._lease = lease
        self._agents = agents
        self._numbers = itertools.count()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._threads: list[threading.Thread] = []
        self._one_at_a_time = threading.Lock()
        self.processes = [self._start(slot) for slot in range(workers)]

    def befall(self, fault: Fault) -> None:
        """Make a fault happen; what it takes to undo it is done by `tend`, in its time."""
        self.applied[fault.kind] = self.applied.get(fault.kind, 0) + 1
        for slot in fault.slots:
            self.harms[self.processes[slot].pid].append(Harm(fault.kind, time.time_ns()))
            self._befall(fault, slot)
        if fault.kind == kinds.RESTART and isinstance(self.place, PostgresPlace):
            self._aside(self.place.restart)
        elif fault.kind == kinds.LOCK and isinstance(self.place, SqlitePlace):
            self._aside(lambda: self._lock(fault.seconds))

    def tend(self) -> None:
        """Undo what has lasted long enough, and replace whoever is gone."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        for slot, process in enumerate(self.processes):
            if process.poll() is not None:
                self._check(process)
                self.processes[slot] = self._start(slot)

    def end(self) -> None:
        """Undo everything, and have everybody end in good order."""
        for thread in self._threads:
            thread.join()
        for _, _, undo in self._later:
            undo()
        self._later.clear()
        for process in self.processes:
            self.harms[process.pid].append(Harm(kinds.END, time.time_ns()))
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.complaints.append(f"worker {process.pid} did not end within {PATIENCE:g} s")
                process.kill()
                process.wait()
            self._check(process)

    def kill(self) -> None:
        """Kill everybody at once, whatever happens; undo all else."""
        for process in self.processes:
            if process.poll() is None:
                self.harms[process.pid].append(Harm(kinds.KILL_ALL, time.time_ns()))
                process.kill()
        for process in self.processes:
            process.wait()
        for thread in self._threads:
            thread.join()
        for link in self.place.links:
            link.thaw()
            link.slow_down(0.0)

    def outcries(self) -> list[str]:
        """What workers said on their standard error that is no error of runstate's own or of a store: each kind once."""
        lines = [line for file in self.folder.glob("*.stderr") for line in file.read_text().splitlines()]
        found = {re.sub(r"[0-9a-f]{12,}|\d{4,}", "…", line) for line in lines if OUTCRY.match(line)}
        return sorted(line for line in found if not line.startswith(EXPECTED))

    def logs(self) -> list[Path]:
        """All side logs, also of those who were replaced."""
        return sorted(self.folder.glob("*.said"))

    def resident(self) -> int:
        """The most memory that any worker has now, in bytes."""
        pages = 0
        for process in self.processes:
            try:
                statm = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii")
            except OSError:
                continue
            pages = max(pages, int(statm.split()[1]) if statm else 0)
        return pages * 4_096

    def _befall(self, fault: Fault, slot: int) -> None:
        process, links = self.processes[slot], self.place.links
        if fault.kind in {kinds.KILL, kinds.KILL_ALL}:
            process.kill()
        elif fault.kind == kinds.END:
            process.terminate()
        elif fault.kind in {kinds.PAUSE, kinds.ZOMBIE, kinds.BURY_ALIVE}:
            process.send_signal(signal.SIGSTOP)
            last = signal.SIGKILL if fault.kind == kinds.BURY_ALIVE else signal.SIGCONT
            self._in(fault.seconds, lambda: process.send_signal(last))
        elif fault.kind in {kinds.CUT, kinds.PARTITION}:
            links[slot].freeze()
            self._in(fault.seconds, links[slot].thaw)
        elif fault.kind == kinds.RESET:
            links[slot].reset()
        elif fault.kind == kinds.HALF_CLOSE:
            links[slot].close_half(towards_client=fault.strength < 0.5)
        elif fault.kind == kinds.DELAY:
            links[slot].slow_down(0.001 + 0.1 * fault.strength)
            self._in(fault.seconds, lambda: links[slot].slow_down(0.0))

    def _lock(self, seconds: float) -> None:
        assert isinstance(self.place, SqlitePlace)
        with self.place.locked():
            time.sleep(seconds)

    def _in(self, seconds: float, undo: Callable[[], object]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), undo))

    def _aside(self, work: Callable[[], object]) -> None:
        def do() -> None:
            try:
                with self._one_at_a_time:  # a server that is being restarted cannot be restarted
                    work()
            except Exception as error:
                self.complaints.append(f"a fault could not be made: {error!r}"[-1_000:])

        thread = threading.Thread(target=do)
        thread.start()
        self._threads.append(thread)

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        number = next(self._numbers)
        log = self.folder / f"{number:05}.said"
        command = [sys.executable, "-m", "tests.chaos.worker", self.place.way(slot), str(log)]
        command += [str(self._seed * 10_007 + number), str(self._lease), str(self._agents)]
        began_ns = time.time_ns()
        with (self.folder / f"{number:05}.stderr").open("wb") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
        self.harms.setdefault(process.pid, []).append(Harm(kinds.BORN, began_ns))  # a pid comes again
        return process

    def _check(self, process: subprocess.Popen[bytes]) -> None:
        kinds_of_harm = {harm.kind for harm in self.harms[process.pid]}
        if process.returncode == -signal.SIGKILL and kinds_of_harm & {kinds.KILL, kinds.KILL_ALL, kinds.BURY_ALIVE}:
            return
        if process.returncode == -signal.SIGTERM and kinds.END in kinds_of_harm:
            return  # it had not begun yet
        if process.returncode != 0:
            self.complaints.append(
                f"worker {process.pid} ended with {process.returncode} after {sorted(kinds_of_harm)}"
            )
