"""Several hosts: a worker's end is seen from another machine, and a cut cable ends in one verdict for both sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import hosts
from .places import PostgresPlace, place

LEASE = 1.5


@pytest.fixture
def reach() -> Iterator[tuple[PostgresPlace, str]]:
    """A database, and its URL for other hosts."""
    if not hosts.possible():
        pytest.skip(reason="this machine lets nobody make network namespaces")
    with hosts.served() as reach:
        yield reach


def test_another_hosts_worker_is_dead_when_it_is_killed_or_cut_off(reach: tuple[PostgresPlace, str]) -> None:
    """Who is killed on another host is PROCESS_EXITED; who is cut off is LEASE_EXPIRED, and told so when the cable is back."""
    here, url = reach
    assert hosts.killed(here, url, LEASE, cabled=True)[1] == []
    assert hosts.partitioned(here, url, LEASE)[1] == []
    assert here.findings() == []


def test_containers_that_share_a_file_see_each_other() -> None:
    """A worker in another namespace of pids is seen to be killed, by its lock."""
    if not hosts.possible():
        pytest.skip(reason="this machine lets nobody make network namespaces")
    with place("sqlite", 0) as here:
        assert hosts.killed(here, here.url, LEASE, cabled=False)[1] == []
        assert here.findings() == []
