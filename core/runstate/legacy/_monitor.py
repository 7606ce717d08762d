"""The monitors of the old surface. Limits are enforced without them; a monitor is a task that legacy code can see running.

The old ones were started once: a task that had ended was never replaced, and stopping swallowed the caller's own cancellation.
"""

from __future__ import annotations

import asyncio


class Monitor:
    """One `start_monitoring` and `stop_monitoring`."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        """The newest task, running or not."""

    @property
    def active(self) -> bool:
        """Whether it was started, and its event loop still runs it."""
        return self.task is not None and not self.task.done() and not self.task.get_loop().is_closed()

    async def start(self) -> bool:
        """Start, unless it is running; return whether it was not."""
        if self.active:
            return False
        self.task = asyncio.create_task(_until_cancelled(), name="runstate legacy monitor")
        return True

    async def stop(self) -> bool:
        """Stop and wait for the end; return whether it was running. A cancellation of the caller stays the caller's."""
        task, self.task = self.task, None
        if task is None or task.done():
            return False
        if task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait({task})
        elif not task.get_loop().is_closed():
            task.get_loop().call_soon_threadsafe(task.cancel)
        return True


async def _until_cancelled() -> None:
    await asyncio.Event().wait()
