"""DBOS: a workflow that does nothing, on SQLite. It is durable at its beginning and at its end, like our block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbos import DBOS


@contextmanager
def durable_lives(folder: Path) -> Iterator[Callable[[int], None]]:
    """Workflows one after the other."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder / 'dbos.db'}",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )

    @DBOS.workflow()
    def workflow() -> dict[str, str]:
        return {"text": "Your seat is booked."}

    DBOS.launch()

    def batch(count: int) -> None:
        for _ in range(count):
            workflow()

    try:
        yield batch
    finally:
        DBOS.destroy()
