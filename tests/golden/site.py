"""The processes of the golden path: the chat server, its workers and its users, started, killed and started again."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final, NamedTuple

from ..chaos.faults import OUTCRY
from .worker import outage_at

ROOT: Final = Path(__file__).resolve().parent.parent.parent
BACKLOG: Final = 1_024
LEAVING: Final = 30.0
"""Seconds that a process has to leave in good order."""
RESTART_AFTER: Final = 1.0
"""Seconds until a worker that was killed is started again; systemd and Kubernetes pause as well, for 0.1 s and up to minutes."""


class Settings(NamedTuple):
    """Limits of the agent, in seconds, as the workers are told them."""

    timeout: float
    attempt_timeout: float
    heartbeat_timeout: float
    lease: float


class Kill(NamedTuple):
    """A process that was killed."""

    pid: int
    at: float
    """When, by the machine's monotonic clock."""


class Site:
    """One chat server and its workers.

    Args:
        url: Their journal.
        folder: Where the socket and what they say on standard error go.
        settings: The workers'.
        workers: How many.
    """

    def __init__(self, url: str, folder: Path, settings: Settings, workers: int) -> None:
        self.url = url
        self.folder = folder
        self.settings = settings
        self.secret = secrets.token_hex()
        self.kills: list[Kill] = []
        """The workers that were killed."""
        self.complaints: list[str] = []
        self.memory: list[float] = []
        """Megabytes of the server, whenever it was looked at."""
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.address = f"127.0.0.1:{self._tcp.getsockname()[1]}"
        self._path = folder / "workers"
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(self._path))
        self._unix.listen(BACKLOG)
        self._server = self._start_server()
        self._workers = [self._start_worker() for _ in range(workers)]
        self._starting: list[threading.Timer] = []

    def users(self, at_once: int, patience: float) -> subprocess.Popen[str]:
        """Start the users; they wait for conversations on their standard input."""
        command = [sys.executable, "-m", "tests.golden.client", self.address, self.secret, str(at_once), str(patience)]
        with self._stderr("users") as stderr:
            return subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )

    def kill_worker(self, slot: int) -> None:
        """Kill a worker, and have another started in its place after a pause, as whoever looks after processes makes one."""
        self._wait_for_starts()
        process = self._workers[slot]
        at = time.monotonic()
        process.kill()
        self.kills.append(Kill(process.pid, at))
        self._check(process, -signal.SIGKILL)
        start = threading.Timer(RESTART_AFTER, self._start_in, (slot,))
        start.start()
        self._starting.append(start)

    def _start_in(self, slot: int) -> None:
        self._workers[slot] = self._start_worker()

    def _wait_for_starts(self) -> None:
        while self._starting:
            self._starting.pop().join()

    def kill_server(self) -> None:
        """Kill the server and start it again."""
        process = self._server
        process.kill()
        self._server = self._start_server()
        self._check(process, -signal.SIGKILL)

    def begin_outage(self, seconds: float) -> threading.Thread:
        """Take the model away from everybody for so long."""
        sign = outage_at(self._path)
        sign.touch()
        timer = threading.Timer(seconds, sign.unlink)
        timer.start()
        return timer

    def look(self) -> None:
        """Look how much memory the server takes."""
        status = Path(f"/proc/{self._server.pid}/status").read_text(encoding="ascii")
        sizes = [line for line in status.splitlines() if line.startswith("VmRSS")]
        self.memory += [int(line.split()[1]) / 1_024 for line in sizes]

    def end_workers(self) -> None:
        """Have the workers leave in good order."""
        self._wait_for_starts()
        for process in self._workers:
            process.terminate()
        for process in self._workers:
            self._check(process, 0)

    def end_server(self) -> None:
        """Have the server leave in good order."""
        self._server.terminate()
        self._check(self._server, 0)

    def kill(self) -> None:
        """Kill all that is left, whatever has happened."""
        self._wait_for_starts()
        for process in (*self._workers, self._server):
            process.kill()
            process.wait()
        self._tcp.close()
        self._unix.close()

    def outcries(self) -> list[str]:
        """What the processes said on standard error that tells of a mistake."""
        files = sorted(self.folder.glob("*.stderr"))
        lines = [(file.stem, line) for file in files for line in file.read_text().splitlines()]
        return [f"{name}: {line}" for name, line in lines if OUTCRY.match(line)]

    def _check(self, process: subprocess.Popen[bytes], expected: int) -> None:
        try:
            code = process.wait(LEAVING)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != expected:
            self.complaints.append(f"process {process.pid} ended with {code} instead of {expected}")

    def _start_server(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.golden.server", self.url, self.secret, str(self.settings.lease)]
        fds = self._tcp.fileno(), self._unix.fileno()
        with self._stderr("server") as stderr:
            return subprocess.Popen([*command, *map(str, fds)], cwd=ROOT, pass_fds=fds, stderr=stderr)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        settings = json.dumps(self.settings._asdict())
        command = [sys.executable, "-m", "tests.golden.worker", self.url, str(self._path), settings]
        with self._stderr("worker") as stderr:
            return subprocess.Popen(command, cwd=ROOT, stderr=stderr)

    def _stderr(self, name: str) -> IO[bytes]:
        number = sum(1 for _ in self.folder.glob(f"{name}*.stderr"))
        return (self.folder / f"{name}-{number}-{os.getpid()}.stderr").open("wb")
