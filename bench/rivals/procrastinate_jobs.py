"""Procrastinate: jobs that do nothing, deferred together and done by one worker with concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import procrastinate

CONCURRENCY = 30
"""With 1, 10, 30, 64 one machine of two cores did 480, 750, 810, 690 jobs a second."""


@contextmanager
def executions(url: str) -> Iterator[Callable[[int], None]]:
    """Jobs, as fast as they go."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, max_size=CONCURRENCY))

    @app.task(name="job")
    async def job() -> dict[str, str]:
        return {"text": "Your seat is booked."}

    async def work(count: int) -> None:
        await job.batch_defer_async(*({} for _ in range(count)))
        # without listening for news, which costs it time: all jobs are there already
        await app.run_worker_async(
            concurrency=CONCURRENCY, wait=False, listen_notify=False, install_signal_handlers=False
        )

    with asyncio.Runner() as runner:
        runner.run(app.open_async().__aenter__())
        runner.run(app.schema_manager.apply_schema_async())
        yield lambda count: runner.run(work(count))
        runner.run(app.close_async())
