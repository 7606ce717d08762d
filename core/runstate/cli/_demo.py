"""`runstate demo`: replay a real agent's recorded runs with faults injected, then account for every single execution."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import runstate

from ._account import account
from ._console import UsageError, plain_console, print_json, print_view
from ._issue import reproduce
from ._recording import Conversation, plan
from ._replay import Replay, replay
from ._report import Figures, report

OK: Final = 0
WRONG: Final = 1


def demonstrate(*, journal: str | None, seed: int, speed: float, fault_rate: float, as_json: bool) -> int:
    """Run the demo and return its exit code: 0 only when no execution is silent and the journal is sound.

    Args:
        journal: A new file to keep; None takes a temporary one.
        seed: Decides durations and faults.
        speed: By what durations are divided.
        fault_rate: The share of turns to inject a fault into.
        as_json: Print the figures as JSON instead of tables.

    Raises:
        UsageError: An argument has an impossible value, or the file is not new.
        JournalError: The journal cannot be written.
    """
    if not (speed > 0 and math.isfinite(speed)):
        raise UsageError(f"--speed must be a positive number, not {speed}")
    if not 0 <= fault_rate <= 1:
        raise UsageError(f"--faults must be between 0 and 1, or none; not {fault_rate}")
    with _journal_file(journal) as path:
        conversations = plan(seed, fault_rate)
        done, commits = _replayed(path, conversations, speed)
        figures = Figures(
            seed=seed,
            speed=speed,
            fault_rate=fault_rate,
            conversations=len(conversations),
            journal=None if journal is None else str(path),
            commits=commits,
            done=done,
            account=account(path, done),
            verdict=reproduce(),
        )
    if as_json:
        print_json(figures.data())
    else:
        print_view(report(figures))
    return OK if figures.is_sound else WRONG


@contextmanager
def _journal_file(journal: str | None) -> Generator[Path]:
    if journal is None:
        with TemporaryDirectory(prefix="runstate-demo-") as directory:
            yield Path(directory) / "runs.db"
        return
    if journal == "memory:" or "://" in journal:
        raise UsageError(f"the demo writes an SQLite file; give its path, not {journal}")
    path = Path(journal)
    if path.exists() and (path.is_dir() or path.stat().st_size > 0):
        raise UsageError(f"{path} is already there; the demo only writes to a new file, so give another path")
    yield path


def _replayed(path: Path, conversations: tuple[Conversation, ...], speed: float) -> tuple[Replay, int]:
    with runstate.open(path) as tracker:
        with _progress(conversations) as advance:
            done = asyncio.run(replay(tracker, conversations, speed, advance))
        commits = tracker.statistics().commits
    return done, commits


@contextmanager
def _progress(conversations: tuple[Conversation, ...]) -> Generator[Callable[[], None]]:
    """A progress bar on standard error, and what moves it; nothing where that is no terminal."""
    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn(f"{len(conversations)} agents at work"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("executions ended"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = progress.add_task("", total=sum(len(conversation.turns) for conversation in conversations))
    with progress:
        yield lambda: progress.advance(task)
