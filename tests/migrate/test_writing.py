"""Writing: all of a file or nothing, in its own encoding, with its own line ends and permissions."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runstate.migrate import migrate, write

from .rewrites import REWRITES

BEFORE, AFTER = REWRITES["texts"]


def rewritten(path: Path, data: bytes) -> bytes:
    """What a file holds after the migration has been written."""
    path.write_bytes(data)
    (change,) = migrate([path]).changes
    write(change)
    return path.read_bytes()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("cookie", "encoding"),
    [("", "utf-8"), ("", "utf-8-sig"), ("# -*- coding: latin-1 -*-\n", "latin-1"), ("# coding: cp1252\n", "cp1252")],
)
def test_encoding_and_line_ends_are_kept(tmp_path: Path, cookie: str, encoding: str, end: str) -> None:
    """Every byte is what it was, but for those of the places that change."""
    texts = [f"{cookie}# ä ö ü ß\n{one}".replace("\n", end).encode(encoding) for one in (BEFORE, AFTER)]
    assert rewritten(tmp_path / "module.py", texts[0]) == texts[1]


def test_blanks_and_the_last_line_are_kept(tmp_path: Path) -> None:
    """Trailing blanks, tabs, form feeds, continued lines and a missing last newline stay."""
    head = BEFORE.splitlines(keepends=True)[:2]
    new = AFTER.splitlines(keepends=True)[:3]
    body = "\x0c\nif tracker:\t \n\tx = 1 + \\\n\t\t2   # blanks  \n\t{}"
    call = "tracker.update_execution_state('€😀', {})"
    before = "".join(head) + body.format(call.format('"failed"'))
    after = "".join(new) + body.format(call.format("ExecutionState.FAILED"))
    assert rewritten(tmp_path / "module.py", before.encode()) == after.encode()


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600])
def test_permissions_are_kept(tmp_path: Path, mode: int) -> None:
    """A script stays executable, and a private file private."""
    path = tmp_path / "module.py"
    path.touch()
    path.chmod(mode)
    rewritten(path, BEFORE.encode())
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What is behind a link is rewritten, and the link still leads there."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "module.py").write_text(BEFORE)
    link = tmp_path / "link.py"
    link.symlink_to(real / "module.py")
    (change,) = migrate([link]).changes
    write(change)
    assert link.is_symlink()
    assert (real / "module.py").read_text() == AFTER


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """What somebody has written since the file was read is not overwritten."""
    path = tmp_path / "module.py"
    path.write_text(BEFORE)
    (change,) = migrate([path]).changes
    path.write_text("mine = 1\n")
    with pytest.raises(FileExistsError, match="changed meanwhile"):
        write(change)
    assert path.read_text() == "mine = 1\n"


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fails in the middle, the old content is there whole, and nothing else is left behind."""
    path = tmp_path / "module.py"
    path.write_text(BEFORE)
    (change,) = migrate([path]).changes

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(change)
    assert [one.name for one in tmp_path.iterdir()] == ["module.py"]
    assert path.read_text() == BEFORE


def test_line_ends_of_old_are_kept(tmp_path: Path) -> None:
    """A file whose lines end in carriage returns alone stays so, to its very end."""
    before, after = (text.replace("\n", "\r").encode() for text in (BEFORE, AFTER))
    assert rewritten(tmp_path / "module.py", before) == after


def test_mixed_line_ends_are_kept(tmp_path: Path) -> None:
    """Each line keeps the end that it has; a line that is added takes that of the line it comes from."""
    ends = ["\r\n", "\n", "\n", "\r\n", "\r"]

    def joined(lines: list[str], ends: list[str]) -> bytes:
        return "".join(f"{line}{ends[number % len(ends)]}" for number, line in enumerate(lines)).encode()

    before, after = BEFORE.splitlines(), AFTER.splitlines()
    data = joined(before, ends)
    changed = rewritten(tmp_path / "module.py", data)
    assert changed.splitlines()[2:] == [line.encode() for line in after[2:]]
    assert changed.split(b"\n", 2)[2] == joined(after[2:], ends[1:] + ends[:1])
