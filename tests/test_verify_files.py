"""`verify` on files: what is no journal, damaged pages, files in use; it changes nothing and needs little memory."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import runstate
from runstate import InvalidValueError, Limits, Phase, StateTypeError, verify

from .forging import forge, ids, larger_journal, rules, small_journal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A sound journal, to be damaged."""
    return small_journal(tmp_path / "runs.db")


@pytest.mark.parametrize(
    ("make", "rule", "says"),
    [
        (lambda path: None, "file", "does not exist"),
        (lambda path: path.mkdir(), "file", "no regular file"),
        (lambda path: path.write_bytes(b""), "format", "no runstate journal"),
        (lambda path: path.write_text("state,seq\n" * 500), "format", "no SQLite file"),
        (
            lambda path: sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close(),
            "format",
            "no runstate journal",
        ),
    ],
    ids=["missing", "directory", "empty", "text", "other database"],
)
def test_what_is_no_journal_is_one_finding(
    tmp_path: Path, make: Callable[[Path], object], rule: str, says: str
) -> None:
    """A file that is missing or something else is told apart, in one finding, and not made."""
    path = tmp_path / "runs.db"
    make(path)
    before = path.exists()
    (finding,) = verify(path)
    assert (finding.rule, finding.execution_id) == (rule, None)
    assert says in finding.message
    assert path.exists() == before


def test_a_newer_schema_is_one_finding(journal: Path) -> None:
    """A journal of a newer runstate is not judged by this one's rules."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA user_version = 99")
    (finding,) = verify(journal)
    assert finding.rule == "version"
    assert "99" in finding.message
    assert "upgrade runstate" in finding.message


def test_another_application_id_is_one_finding(journal: Path) -> None:
    """A file that is not marked as a journal is not judged as one."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA application_id = 7")
    (finding,) = verify(journal)
    assert finding.rule == "format"
    assert "0x00000007" in finding.message


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a sound journal of many pages."""
    return larger_journal(tmp_path_factory.mktemp("larger") / "runs.db")


def page_size(content: bytes) -> int:
    """The size of an SQLite file's pages, from its header."""
    return int.from_bytes(content[16:18], "big")


@pytest.mark.parametrize("fill", [0x00, 0xFF], ids=["zeros", "ones"])
def test_every_damaged_page_is_a_finding(larger: bytes, tmp_path: Path, fill: int) -> None:
    """Whichever page is overwritten, verify says so and raises nothing."""
    path, size = tmp_path / "runs.db", page_size(larger)
    for page in range(len(larger) // size):
        path.write_bytes(larger[: page * size] + bytes([fill]) * size + larger[(page + 1) * size :])
        assert verify(path), f"page {page + 1}"


def test_a_truncated_file_is_a_finding(larger: bytes, tmp_path: Path) -> None:
    """A copy that stopped on the way, at any page, is found."""
    path, size = tmp_path / "runs.db", page_size(larger)
    for pages in range(1, len(larger) // size):
        path.write_bytes(larger[: pages * size])
        assert verify(path), f"{pages} pages"


def test_flipped_bytes_never_raise(larger: bytes, tmp_path: Path) -> None:
    """However bytes are flipped, verify returns, and most flips in a page's structure are found."""
    path, chance = tmp_path / "runs.db", random.Random(305)
    found = 0
    for _ in range(150):
        content = bytearray(larger)
        for _ in range(20):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        found += bool(verify(path))
    assert found > 75


def test_an_unreadable_log_does_not_hide_the_others(larger: bytes, tmp_path: Path) -> None:
    """With one page of entries gone, damage in another execution is still found."""
    path, size = tmp_path / "runs.db", page_size(larger)
    path.write_bytes(larger)
    forge(path, "UPDATE executions SET phase_detail = 'x' WHERE number = 60")
    last = ids(path)[-1]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'entries'").fetchone()[0]
    content = bytearray(path.read_bytes())
    start = (root - 1) * size
    assert content[start] == 0x05  # an inner page of a table: its first child holds the oldest entries
    cell = int.from_bytes(content[start + 12 : start + 14], "big")
    child = int.from_bytes(content[start + cell : start + cell + 4], "big")
    content[(child - 1) * size : child * size] = bytes(size)
    path.write_bytes(content)
    findings = verify(path)
    assert any(finding.rule == "integrity" and finding.execution_id for finding in findings)
    assert ("fold", last) in {(finding.rule, finding.execution_id) for finding in findings}


def test_verifying_changes_nothing(journal: Path) -> None:
    """The file keeps its bytes and its time, and no file appears beside it."""
    before = journal.read_bytes(), journal.stat().st_mtime_ns
    assert verify(journal) == ()
    assert (journal.read_bytes(), journal.stat().st_mtime_ns) == before
    assert [path.name for path in journal.parent.iterdir()] == ["runs.db"]


def test_a_journal_in_use_can_be_verified(tmp_path: Path) -> None:
    """While a tracker writes in another thread, every snapshot that verify reads is sound."""
    path = tmp_path / "runs.db"
    stop = threading.Event()
    with runstate.open(path) as tracker:
        tracker.create(agent="a", thread_id="t", user_id="u")
        tracker.flush()

        def write() -> None:
            while not stop.is_set():
                with tracker.execution(agent="a", thread_id="t", user_id="u") as run:
                    run.phase(Phase.THINKING)
                    run.complete()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(10):
                assert verify(path) == ()
        finally:
            stop.set()
            writer.join()
        tracker.flush()
        assert verify(path) == ()
    assert verify(path) == ()


def test_what_is_only_in_the_wal_is_verified_too(tmp_path: Path) -> None:
    """A process that was killed leaves its newest entries in the WAL, and a forged one there is found."""
    path = tmp_path / "runs.db"
    program = f"""
import os, sqlite3, runstate
tracker = runstate.open({str(path)!r})
tracker.create(agent="a", thread_id="t", user_id="u").run()
tracker.flush()
connection = sqlite3.connect({str(path)!r})
connection.execute("DROP TRIGGER executions_only_follow_the_log")
connection.execute("UPDATE executions SET state = 'starting'")
connection.commit()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert Path(f"{path}-wal").stat().st_size > 0
    findings = verify(path)
    assert rules(findings) == {"schema", "fold"}, findings
    assert Path(f"{path}-wal").stat().st_size > 0


def test_a_journal_that_has_been_pruned_is_sound(tmp_path: Path) -> None:
    """Retention leaves a journal that verify accepts."""
    path = tmp_path / "runs.db"
    with runstate.open(path, limits=Limits(retained_executions=3)) as tracker:
        for _ in range(10):
            tracker.create(agent="a", thread_id="t", user_id="u").run().complete()
            tracker.flush()
    with runstate.open(path, limits=Limits(retained_executions=3)) as tracker:
        tracker.create(agent="a", thread_id="t", user_id="u").run().complete()
        tracker.flush()
        assert len(tracker.find()) < 11
    assert verify(path) == ()


def test_memory_does_not_grow_with_the_journal(tmp_path: Path) -> None:
    """Verifying 1,000 executions with 8 KB of metadata each holds less than a tenth of them at any moment."""
    path = tmp_path / "runs.db"
    with runstate.open(path) as tracker:
        for _ in range(1_000):
            tracker.create(agent="a", thread_id="t", user_id="u", metadata={"bulk": "x" * 8_192}).run().complete()
    verify(path)  # imports and first-use caches are not the point
    tracemalloc.start()
    try:
        assert verify(path) == ()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 800_000


def test_paths_are_taken_as_open_takes_them(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A str, a path, a URL and a link to the file all name the same journal."""
    link = journal.parent / "link.db"
    link.symlink_to(journal)
    monkeypatch.chdir(journal.parent)
    assert [verify(path) for path in (str(journal), journal, f"sqlite:///{journal}", "sqlite:///runs.db", link)] == [
        ()
    ] * 5


@pytest.mark.parametrize("path", ["", "a\0b", "memory:", "mysql://host/db", "\ud800"])
def test_what_names_no_file_is_refused(path: str) -> None:
    """A path that cannot be one is the caller's mistake, not a finding."""
    with pytest.raises(InvalidValueError, match="path"):
        verify(path)


@pytest.mark.parametrize("path", [None, 5, b"runs.db", {"path": "runs.db"}])
def test_what_is_no_path_is_refused(path: object) -> None:
    """A value of another type is a StateTypeError."""
    with pytest.raises(StateTypeError):
        verify(path)  # type: ignore[arg-type]


def test_a_path_that_is_too_long_is_a_finding() -> None:
    """What the operating system refuses to look at is reported, and the message stays short."""
    (finding,) = verify("x" * 100_000)
    assert finding.rule == "file"
    assert len(finding.message) < 500
