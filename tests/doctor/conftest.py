"""Fixtures: an empty journal in each store that processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import cluster
from ..fleet.processes import Other
from .wards import Ward, ward


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an empty PostgreSQL journal."""
    url = cluster.server().journal()
    yield url
    cluster.server().drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty journal, in each store in turn."""
    return str(tmp_path / "runs.db") if request.param == "sqlite" else request.getfixturevalue("url")


@pytest.fixture
def here(place: str) -> Iterator[Ward]:
    """An empty journal, opened by this process, which is no worker there."""
    opened = ward(place)
    yield opened
    opened.journal.close()


@pytest.fixture
def other(place: str) -> Iterator[Other]:
    """Another process that works on `place`."""
    other = Other(place)
    yield other
    other.end()
