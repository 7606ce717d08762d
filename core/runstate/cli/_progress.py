"""A progress bar on standard error while something is counted; nothing where that is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ._console import plain_console


@contextmanager
def counting(what: str) -> Generator[Callable[[int, int], None]]:
    """Show a bar, and yield what sets it: the steps done, and the steps in all."""
    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = progress.add_task("", total=None)
    with progress:
        yield lambda done, total: progress.update(task, completed=done, total=total)
