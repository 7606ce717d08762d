"""A PostgreSQL server of the benchmarks' own, and several processes of one program that work on it at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tests import cluster


@contextmanager
def server() -> Iterator[cluster.Cluster]:
    """A server that keeps its files on a disk and waits for it, as one in production does."""
    found = cluster.binaries()
    if found is None:
        raise LookupError(cluster.HOW)
    own = cluster.Cluster(found, on_disk=True)
    try:
        yield own
    finally:
        own.stop()


@contextmanager
def team(module: str, *arguments: str, workers: int) -> Iterator[Callable[[], None]]:
    """Some processes of one program; calling what this gives has each do one batch."""
    with ExitStack() as running:
        command = [sys.executable, "-m", module, *arguments]
        members = [
            running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(workers)
        ]

        def work() -> None:
            for member in members:
                assert member.stdin is not None
                member.stdin.write("go\n")
                member.stdin.flush()
            for member in members:
                assert member.stdout is not None
                if member.stdout.readline() != "done\n":
                    raise AssertionError(f"{module} has failed")

        yield work
        for member in members:
            assert member.stdin is not None
            member.stdin.close()
