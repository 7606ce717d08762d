"""Journals to look at, and ways to say what was seen in them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runstate import Diagnosis, Severity, diagnose
from runstate.journal import Fleet
from runstate.journal.postgres import PostgresJournal
from runstate.journal.sqlite import SqliteJournal

from ..forging import forge
from ..journal.servers import execute

OK, WARNING, PROBLEM = Severity.OK, Severity.WARNING, Severity.PROBLEM


class Ward(NamedTuple):
    """An empty journal."""

    place: str
    journal: Fleet

    def forge(self, statement: str) -> None:
        """Change what is stored, against all rules."""
        if isinstance(self.journal, SqliteJournal):
            forge(Path(self.place), statement)
        else:
            execute(self.place, f"SET session_replication_role = replica; SET search_path = runstate; {statement}")


def ward(place: str) -> Ward:
    """Open a journal."""
    return Ward(place, PostgresJournal(place) if "://" in place else SqliteJournal(place))


def amiss(place: str | Path, *topics: str) -> list[Diagnosis]:
    """What is not as it should be, about some topics, or about all but size, which is never well without autovacuum."""
    return [
        one
        for one in diagnose(place)
        if one.severity is not OK and (one.topic in topics if topics else one.topic != "size")
    ]


def the(place: str | Path, *topics: str) -> Diagnosis:
    """The one thing that is amiss."""
    found = amiss(place, *topics)
    assert len(found) == 1, found
    assert found[0].expected
    assert found[0].advice
    return found[0]


@contextmanager
def program(code: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Another process that has done something, has said so, and then waits for the end of the block."""
    code = f"import sys\n{code}\nprint('done', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            yield process
        finally:
            process.kill()


def ago(seconds: float) -> int:
    """A time in nanoseconds since the Unix epoch."""
    return time.time_ns() - round(seconds * 1e9)
