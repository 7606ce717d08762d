"""DBOS: a workflow that does nothing. It is durable at its beginning and at its end, like our block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dbos import DBOS

THREADS = 4
"""On PostgreSQL, with 1, 4, 16 one machine of two cores did 530, 960, 850 workflows a second; 16 tasks 910, its queue 300."""


@contextmanager
def _launched(url: str) -> Iterator[Callable[[], object]]:
    DBOS(config={"name": "bench", "system_database_url": url, "run_admin_server": False, "log_level": "ERROR"})

    @DBOS.workflow()
    def workflow() -> dict[str, str]:
        return {"text": "Your seat is booked."}

    DBOS.launch()
    try:
        yield workflow
    finally:
        DBOS.destroy()


@contextmanager
def durable_lives(folder: Path) -> Iterator[Callable[[int], None]]:
    """Workflows one after the other, on SQLite."""
    with _launched(f"sqlite:///{folder / 'dbos.db'}") as workflow:

        def batch(count: int) -> None:
            for _ in range(count):
                workflow()

        yield batch


@contextmanager
def executions(url: str) -> Iterator[Callable[[int], None]]:
    """Workflows as fast as they go, on PostgreSQL."""
    with _launched(url) as workflow, ThreadPoolExecutor(THREADS) as threads:

        def batch(count: int) -> None:
            for _ in threads.map(lambda _: workflow(), range(count)):
                pass

        yield batch
