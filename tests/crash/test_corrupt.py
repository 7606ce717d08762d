"""Damaged files: whatever has happened to the bytes, reading and writing them raises typed errors or tells the truth."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

import runstate
from runstate import (
    ExecutionRecord,
    ExecutionTracker,
    JournalCorruptError,
    JournalError,
    JournalVersionError,
    Phase,
    RecordDecodeError,
    RunstateError,
    UnknownExecutionError,
    WaitTimeoutError,
)

from ..gated import WHO
from ..soundness import findings

PAGE: Final = 4_096
TYPED: Final = (JournalError, RecordDecodeError, UnknownExecutionError)
"""What a damaged file may raise. An id that the damage has made unreadable is unknown."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound, closed file with 60 executions of all kinds."""
    path = tmp_path_factory.mktemp("sound") / "runs.db"
    with runstate.open(path) as tracker:
        for number in range(60):
            run = tracker.create(**WHO, metadata={"number": number}).start().run()
            run.phase(Phase.TOOL_EXECUTION, f"step {number}")
            if number % 3 == 0:
                run.complete("x" * (100 * number))
            elif number % 3 == 1:
                run.fail(ValueError("Grüße, ein Fehler" * 20))
    assert findings(path) == []
    return path


def before(path: Path) -> dict[str, ExecutionRecord]:
    """Every record of a sound file."""
    with runstate.open(path, read_only=True) as reader:
        return {record.execution_id: record for record in reader.find(limit=1_000)}


def use(path: Path, ids: list[str]) -> Iterator[RunstateError]:
    """Open a file, read everything, write and close; yield the errors. Any error of another kind is raised."""
    try:
        tracker = runstate.open(path)
    except TYPED as error:
        yield error
        return
    calls: list[Callable[[], object]] = [
        lambda: tracker.find(limit=1_000),
        lambda: read_events(tracker),
        *(lambda one=one: tracker.get(one) for one in ids),
        *(lambda one=one: tracker.timeline(one) for one in ids[:10]),
        lambda: track(tracker),
        tracker.flush,
        tracker.close,
    ]
    for call in calls:
        try:
            call()
        except TYPED as error:
            yield error


def read_events(tracker: ExecutionTracker) -> None:
    """Read every event that is there."""
    with tracker.subscribe() as subscription, contextlib.suppress(WaitTimeoutError):
        while True:
            subscription.get(0.001)


def track(tracker: ExecutionTracker) -> str:
    """Track one block, as an agent does whose answer is at stake."""
    with tracker.execution(**WHO) as run:
        run.complete("the answer")
    return run.execution_id


def overwrite(path: Path, at: int, noise: bytes) -> None:
    """Replace bytes in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(noise)


DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "header": lambda path, chance: overwrite(path, chance.randrange(16), chance.randbytes(64)),
    "first page": lambda path, chance: overwrite(path, chance.randrange(100, PAGE - 64), chance.randbytes(64)),
    "anywhere": lambda path, chance: overwrite(path, chance.randrange(path.stat().st_size), chance.randbytes(64)),
    "a byte": lambda path, chance: overwrite(path, chance.randrange(path.stat().st_size), chance.randbytes(1)),
    "a page of zeros": lambda path, chance: overwrite(
        path, PAGE * chance.randrange(1, path.stat().st_size // PAGE), bytes(PAGE)
    ),
    "truncated": lambda path, chance: truncate(path, chance.randrange(1, path.stat().st_size)),
    "truncated at a page": lambda path, chance: truncate(path, PAGE * chance.randrange(1, path.stat().st_size // PAGE)),
}


def truncate(path: Path, size: int) -> None:
    """Cut a file."""
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize("damage", DAMAGES)
def test_random_damage(sound: Path, tmp_path: Path, damage: str) -> None:
    """In 15 random damages of each kind every call returns or raises one of runstate's own errors."""
    records = before(sound)
    noticed = 0
    for seed in range(15):
        path = tmp_path / f"{seed}.db"
        shutil.copy(sound, path)
        DAMAGES[damage](path, random.Random(f"{damage}{seed}"))
        errors = list(use(path, list(records)))
        noticed += bool(errors)
        assert not [error for error in errors if "sqlite3" in str(error)]
    if damage in {"header", "a page of zeros", "truncated"}:
        assert noticed > 7


def test_text_that_is_no_text(sound: Path, tmp_path: Path) -> None:
    """A stored text that is not UTF-8 is damage, not a passing trouble: `JournalCorruptError` or `RecordDecodeError`."""
    path = tmp_path / "runs.db"
    shutil.copy(sound, path)
    content = path.read_bytes()
    place = content.index("Grüße".encode())
    path.write_bytes(content[:place] + b"Gr\xff\xfe" + content[place + 4 :])
    raised = []
    with runstate.open(path) as tracker:
        for execution_id in before(sound):
            try:
                tracker.get(execution_id)
            except RunstateError as error:
                raised.append(error)
    assert len(raised) == 1
    assert isinstance(raised[0], JournalCorruptError | RecordDecodeError)


def test_a_damaged_file_costs_no_other_execution(sound: Path, tmp_path: Path) -> None:
    """Where one row is damaged the others can still be read, one by one."""
    path = tmp_path / "runs.db"
    shutil.copy(sound, path)
    records = before(sound)
    damaged = next(iter(records))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE executions SET state = 'flying' WHERE execution_id = ?", (damaged,))
        connection.commit()
    with runstate.open(path, read_only=True) as reader:
        for execution_id, record in records.items():
            if execution_id == damaged:
                with pytest.raises(RecordDecodeError, match="state"):
                    reader.get(execution_id)
            else:
                assert reader.get(execution_id) == record
        with pytest.raises(RecordDecodeError):
            reader.find(limit=1_000)
    assert [finding.rule for finding in runstate.verify(path) if finding.execution_id == damaged]


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a text file": lambda path: path.write_text("id,state\n1,running\n" * 100),
    "random bytes": lambda path: path.write_bytes(random.Random(1).randbytes(20_000)),
    "another application's database": lambda path: other_database(path, 0),
    "another application's numbered database": lambda path: other_database(path, 0x47504B47),
}


def other_database(path: Path, application: int) -> None:
    """Make an SQLite file that is not ours."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {application}")
        connection.execute("CREATE TABLE executions (id INTEGER)")
        connection.commit()


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_no_journal(tmp_path: Path, kind: str) -> None:
    """A file of another kind is refused when it is opened, for reading too, and not one byte of it is changed."""
    path = tmp_path / "runs.db"
    FOREIGN[kind](path)
    content = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(JournalCorruptError):
            runstate.open(path, read_only=read_only)
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["runs.db"]


def test_a_newer_schema(sound: Path, tmp_path: Path) -> None:
    """A file that a newer runstate has written is refused with both versions, and left as it is."""
    path = tmp_path / "runs.db"
    shutil.copy(sound, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalVersionError) as refused:
        runstate.open(path)
    assert refused.value.found == 99


def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    """An empty file, as `touch` or a temporary file makes it, becomes a journal."""
    path = tmp_path / "runs.db"
    path.touch()
    with runstate.open(path) as tracker:
        execution_id = track(tracker)
        assert tracker.get(execution_id).result == "the answer"
    assert findings(path) == []


def test_a_leftover_wal_of_a_killed_writer_is_read(sound: Path, tmp_path: Path) -> None:
    """A copy of file and WAL taken in use, as a backup tool makes it, opens with everything that was committed."""
    with runstate.open(tmp_path / "runs.db") as tracker:
        ids = {track(tracker) for _ in range(5)}
        copies = tmp_path / "copies"
        copies.mkdir()
        for name in ("runs.db", "runs.db-wal"):
            shutil.copy(tmp_path / name, copies / name)
    with runstate.open(copies / "runs.db") as tracker:
        assert {record.execution_id for record in tracker.find()} == ids
    assert findings(copies / "runs.db") == []
