"""Several hosts on one machine: workers in namespaces of their own, with another host name, other pids and a cable to the server.

Everything belongs to the namespaces' one process: when it ends, however it does, the kernel removes them and the cable. The boot is the
same, as for containers, but the namespace of pids is not, and that is what decides whether a worker's process can be asked about: so
these workers are to each other what workers on other machines are. To pull the cable, its end at the server is set down: nobody is told
anything, on either side.

Making namespaces takes root, or what a container gives instead; `possible` says whether this machine allows it.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runstate import Cause
from runstate._fleet import Fence, Worker
from runstate.journal import Fleet

from .. import cluster
from .deaths import Victim, death, victims
from .faults import PATIENCE, ROOT
from .network import Network
from .places import WITHOUT_TLS, Place, PostgresPlace, own_server, place

UNSHARE: Final = ("unshare", "--pid", "--fork", "--mount-proc", "--uts")
BEGIN: Final = 'echo "$0" > /proc/sys/kernel/hostname; echo ready; read -r _; exec "$@"'
"""A host waits for its cable before it starts its worker."""
NETWORK: Final = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"


@functools.cache
def possible() -> bool:
    """Whether this machine lets us make hosts."""
    if any(shutil.which(program) is None for program in ("unshare", "nsenter", "ip")):
        return False
    name = f"rs{os.getpid()}try"
    tried = subprocess.run(
        [*UNSHARE, "--net", "sh", "-c", f"ip link add {name}a type veth peer name {name}b"], capture_output=True
    )
    return tried.returncode == 0


class Host:
    """One host with one worker.

    Args:
        url: The journal as the worker finds it; `{server}` in it becomes the server's address on the host's cable.
        lease: The worker's lease, in seconds.
        executions: How many it begins.
        cabled: Whether it has a cable.
    """

    _numbers = itertools.count()

    def __init__(self, url: str, lease: float, executions: int, *, cabled: bool = True) -> None:
        number = next(self._numbers)
        self.name = f"host-{number}"
        self._cable = f"rs{os.getpid() % 100_000}c{number}"
        server, own = f"{NETWORK}.{4 * number + 1}", f"{NETWORK}.{4 * number + 2}"
        worker = [sys.executable, "-m", "tests.chaos.victim", url.format(server=server), str(lease), str(executions)]
        command = [*UNSHARE, *(["--net"] if cabled else []), "sh", "-c", BEGIN, self.name, *worker]
        self._folder = tempfile.TemporaryDirectory(prefix="runstate-host-")
        self._complaints = Path(self._folder.name) / "stderr"
        with self._complaints.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        assert self._line() == "ready"
        if cabled:
            pid = str(self.process.pid)
            inside = ("nsenter", "-t", pid, "-n", "ip")
            _run(
                "ip", "link", "add", f"{self._cable}a", "type", "veth", "peer", "name", f"{self._cable}b", "netns", pid
            )
            _run("ip", "addr", "add", f"{server}/30", "dev", f"{self._cable}a")
            _run(*inside, "addr", "add", f"{own}/30", "dev", f"{self._cable}b")
            _run(*inside, "link", "set", f"{self._cable}b", "up")
            self.plug_in()

    def begin(self) -> Victim:
        """Start the worker, and wait until it is there."""
        self.tell("begin")
        return Victim(self.process, self._line())

    def tell(self, line: str) -> None:
        """Send the worker a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self) -> str:
        """Have the worker try to complete everything; return what it was told."""
        self.tell("try")
        return self._line()

    def unplug(self) -> None:
        """Pull the cable."""
        _run("ip", "link", "set", f"{self._cable}a", "down")

    def plug_in(self) -> None:
        """Put it back."""
        _run("ip", "link", "set", f"{self._cable}a", "up")

    def kill(self) -> None:
        """End the worker, as `kill -9` would; the host goes with it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        for child in children.split():
            os.kill(int(child), signal.SIGKILL)

    def close(self) -> None:
        """Remove it."""
        if self.process.poll() is None:
            self.kill()
        self.process.communicate()
        self._folder.cleanup()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            said = self._complaints.read_text()
            raise AssertionError(f"{self.name} has ended before it said what it had to:\n{said}")
        return line


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stderr}"


@contextmanager
def host(url: str, lease: float, executions: int = 3, *, cabled: bool = True) -> Generator[tuple[Host, Victim]]:
    """One host with a worker that is there; removed afterwards."""
    made = Host(url, lease, executions, cabled=cabled)
    try:
        yield made, made.begin()
    finally:
        made.close()


@contextmanager
def served() -> Generator[tuple[PostgresPlace, str]]:
    """A database that other hosts can reach, and its URL for them."""
    with own_server() as server, Network("127.0.0.1", server.port) as network:
        server.execute("ALTER SYSTEM SET listen_addresses = '*'")
        with (server.directory / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {NETWORK}.0/24 scram-sha-256\n")
        server.restart()
        here = PostgresPlace(server, network, 0)
        by_tcp = server.tcp_url_of(here.url, password=cluster.PASSWORD)
        yield here, f"{by_tcp.replace('@127.0.0.1:', '@{server}:')}?{WITHOUT_TLS}"


def fence_of(journal: Fleet, incarnation: str) -> Fence | None:
    """Why a worker counts as dead, if it does."""
    worker: Worker | None = journal.worker(incarnation)
    assert worker is not None
    return worker.fence


def unlike(fence: Fence | None, cause: Cause | None, what: str) -> list[str]:
    """Say so if a fence is not there for this cause, or is there and should not be."""
    found = None if fence is None else fence.cause
    return [] if found is cause else [f"{what}: the fence is {fence}, expected {cause}"]


def killed(here: Place, url: str, lease: float, *, cabled: bool) -> tuple[float, list[str]]:
    """Kill a worker of another host; return the seconds until it was dead in the journal, and what is wrong."""
    journal = here.journal()
    try:
        with victims(here.url, lease, 1), host(url, lease, cabled=cabled) as (other, victim):
            time.sleep(0.5)
            took = death(here, victim, other.kill, 3).journal
            return took, unlike(fence_of(journal, victim.incarnation), Cause.PROCESS_EXITED, "killed on another host")
    finally:
        journal.close()


def partitioned(here: PostgresPlace, url: str, lease: float) -> tuple[float, list[str]]:
    """Pull a cable until the worker is held for dead, and put it back; return how long that took, and what is wrong."""
    journal = here.journal()
    try:
        with victims(here.url, lease, 1), host(url, lease) as (other, victim):
            time.sleep(0.5)
            took = death(here, victim, other.unplug, 3, 3 * lease + PATIENCE).journal
            wrong = unlike(fence_of(journal, victim.incarnation), Cause.LEASE_EXPIRED, "cut off")
            other.plug_in()
            told = other.ask()
            if told != "fenced dead":
                wrong.append(f"when the cable was back the worker was told {told}, expected FencedError")
            return took, wrong
    finally:
        journal.close()


def outlived(here: PostgresPlace, url: str, lease: float, seconds: float) -> list[str]:
    """Pull a cable for less than a lease: the worker is alive, and must be so afterwards."""
    journal = here.journal()
    try:
        with victims(here.url, lease, 1), host(url, lease) as (other, victim):
            time.sleep(0.5)
            other.unplug()
            time.sleep(seconds)
            other.plug_in()
            told = other.ask()
            wrong = unlike(
                fence_of(journal, victim.incarnation), None, f"cut off for {seconds:g} s of its {lease:g} s lease"
            )
            return wrong if told == "completed" else [*wrong, f"it was told {told}, expected to complete"]
    finally:
        journal.close()


def vanished(here: PostgresPlace, url: str, lease: float) -> tuple[float, float, list[str]]:
    """Lose a whole host: seconds until its worker was dead, and until the server had ended its sessions (TCP keepalives)."""
    journal = here.journal()
    try:
        with victims(here.url, lease, 1), host(url, lease) as (other, victim):
            time.sleep(0.5)

            def vanish() -> None:
                other.unplug()
                other.kill()

            seen = death(here, victim, vanish, 3, lease + PATIENCE)
            fence = fence_of(journal, victim.incarnation)
            return seen.journal, seen.server or 0.0, [] if fence is not None else ["a vanished host was not found dead"]
    finally:
        journal.close()


def measure(store: str, lease: float) -> tuple[list[str], list[str]]:
    """Run all of it on one store; return what to print, and what is wrong."""
    if not possible():
        return ["this machine lets nobody make namespaces; the relay in `deaths` and `storm` stands for a network"], []
    if store == "sqlite":
        with place(store, 0) as file:
            took, wrong = killed(file, file.url, lease, cabled=False)
        return [f"killed in another container that shares the file: dead after {took * 1e3:.1f} ms"], wrong
    with served() as (here, url):
        said: list[str] = []
        took, wrong = killed(here, url, lease, cabled=True)
        said.append(f"killed on another host: dead after {took * 1e3:.1f} ms")
        took, more = partitioned(here, url, lease)
        verdict = "kept" if took <= lease + 1 else "MISSED"
        said.append(f"cut off with a lease of {lease:g} s: dead after {took:.2f} s (bound {lease + 1:g}): {verdict}")
        wrong += more
        took, server, more = vanished(here, url, 60.0)
        said.append(
            f"a vanished host, lease 60 s: dead after {took:.1f} s; the server had ended its session after {server:.1f} s"
        )
        wrong += more
        wrong += outlived(here, url, 60.0, 28.0)
        return said, wrong + here.findings()
