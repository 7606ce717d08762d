"""Journals by their URL, and what of a journal is a point: each of its commits, before and after."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runstate import Entry, JournalConflictError, PhaseChange, Transition, Warned
from runstate.journal import Journal


class Commits(Protocol):
    """Who is told of commits, in the thread that makes them."""

    def at(self, name: str, where: str) -> None:
        """Such a point is reached."""
        ...

    def deciding(self, batch: Sequence[Entry]) -> Mapping[str, Entry]:
        """These entries are about to be stored. Return those that are points, each by its number: `3.4`."""
        ...

    def stored(self, batch: Sequence[Entry]) -> None:
        """These entries are stored, and nobody knows it yet."""
        ...


def is_postgres(url: str) -> bool:
    """Whether a URL names a database on a server."""
    return url.startswith("postgresql://")


def open_journal(url: str | os.PathLike[str]) -> Journal:
    """Open a journal: `memory:`, the path of an SQLite file, or `postgresql://…`.

    Raises:
        JournalError: It cannot be opened.
    """
    text = os.fsdecode(url)
    if text == "memory:":
        from runstate.journal.memory import MemoryJournal

        return MemoryJournal()
    if is_postgres(text):
        from runstate.journal.postgres import PostgresJournal

        return PostgresJournal(text)
    from runstate.journal.sqlite import SqliteJournal

    return SqliteJournal(text.removeprefix("sqlite:///"))


def tell(journal: Journal, commits: Commits) -> Journal:
    """Have a journal tell of its commits; it stays what it is, so that a tracker uses it as any other of its kind."""
    append: Callable[[Sequence[Entry]], None] = journal.append

    def telling_append(batch: Sequence[Entry], /) -> None:
        points = {number: _described(entry) for number, entry in commits.deciding(batch).items()}
        for number, what in points.items():
            commits.at(f"before commit {number}", what)
        try:
            append(batch)
        except JournalConflictError as conflict:
            commits.stored([entry for entry in batch if entry.execution_id not in conflict.execution_ids])
            raise
        commits.stored(batch)
        for number, what in points.items():
            commits.at(f"after commit {number}", what)

    def telling(verb: str, what: str) -> Callable[..., Any]:
        act = getattr(journal, verb)

        def call(*arguments: object) -> Any:
            commits.at(f"before {verb}", f"{what}, and the journal is about to know it")
            answer = act(*arguments)
            commits.at(f"after {verb}", f"{what}, and the journal knows it")
            return answer

        return call

    replaced: dict[str, Callable[..., Any]] = {
        "append": telling_append,
        "join": telling("join", "the process is there"),
        "leave": telling("leave", "the process has ended all that it began"),
    }
    for name, function in replaced.items():
        setattr(journal, name, function)
    return journal


def _described(entry: Entry) -> str:
    if isinstance(entry, Transition):
        return f"{entry.source.name} → {entry.target.name}"
    if isinstance(entry, PhaseChange):
        return entry.phase.name if entry.detail is None else f"{entry.phase.name} {entry.detail}"
    if isinstance(entry, Warned):
        return f"a warning of {entry.cause.name}"
    return f"creation of {entry.agent}"
