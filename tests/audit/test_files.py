"""Which files are read, and what becomes of those that cannot be."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runstate import InvalidValueError
from runstate.audit import Report, audit

from .projects import places, write
from .snippets import SNIPPETS

WRONG = SNIPPETS["dict: issue 305"]

TROUBLES: dict[str, tuple[bytes, str]] = {
    "syntax": (b"def f(:\n", "cannot be parsed"),
    "encoding": (b"# -*- coding: utf-8 -*-\nx = '\xff\xfe'\n", "cannot be decoded"),
    "cookie": (b"# -*- coding: no-such-thing -*-\n", "cannot be decoded"),
    "nul": (b"x = 1\n\0\n", "NUL byte"),
    "brackets": (b"x = " + b"[" * 5_000 + b"]" * 5_000, "cannot be parsed"),
    "operators": (b"x = " + b"-" * 50_000 + b"1\n", "cannot be"),
    "attributes": (b"x = a" + b".b" * 20_000 + b"\n", "cannot be"),
    "sum": (b"x = 1" + b" + 1" * 20_000 + b"\n", "cannot be"),
    "python 2": (b"print 'hello'\n", "cannot be parsed"),
    "surrogate": (b"x = '\xed\xa0\x80'\n", "cannot be decoded"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_cannot_be_read_is_reported_and_stops_nothing(tmp_path: Path, name: str) -> None:
    """A broken file is one warning that says why, and the file beside it is audited all the same."""
    content, why = TROUBLES[name]
    write(tmp_path, {"module.py": WRONG})
    (tmp_path / "broken.py").write_bytes(content)
    report = audit([tmp_path], jobs=1)
    assert places(report, tmp_path) == [
        ("broken.py", report.findings[0].line, "unreadable-file"),
        ("module.py", 10, "dict-state"),
    ]
    assert why in report.findings[0].message
    assert report.files == 2


def test_deep_code_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    """What the parser takes, but is too deep to be walked, is reported too."""
    deep = "".join(f"{' ' * depth}if x:\n" for depth in range(95)) + " " * 95 + "pass\n"
    chain = "import netra_backend.app.core.execution_tracker\nx = f" + "()" * 900 + "\n"
    write(tmp_path, {"blocks.py": deep, "calls.py": chain, "module.py": WRONG})
    found = places(audit([tmp_path], jobs=1), tmp_path)
    assert ("module.py", 10, "dict-state") in found
    assert {rule for _, _, rule in found} <= {"dict-state", "unreadable-file"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """A byte order mark and a declared encoding are read as Python reads them."""
    cookie = "# -*- coding: latin-1 -*-\n" if encoding == "latin-1" else ""
    (tmp_path / "module.py").write_bytes(f"{cookie}# ä\n{WRONG}".encode(encoding))
    rules = {one.rule for one in audit([tmp_path], jobs=1).findings}
    assert rules == ({"unreadable-file"} if encoding == "utf-16" else {"dict-state"})


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    """Lines are counted as Python counts them, form feeds and all."""
    (tmp_path / "module.py").write_bytes(("# \x0c\x85\u2028\n" + WRONG).replace("\n", end).encode())
    (one,) = audit([tmp_path], jobs=1).findings
    assert (one.line, one.rule) == (11, "dict-state")


def test_left_out_directories(tmp_path: Path) -> None:
    """Version control, environments (by name or by their pyvenv.cfg), packages of others and caches are not entered."""
    names = [".git", ".venv", "node_modules", "__pycache__", "site-packages", "mine", "generated"]
    write(tmp_path, {f"{name}/module.py": WRONG for name in names})
    (tmp_path / "mine" / "pyvenv.cfg").touch()
    assert places(audit([tmp_path], jobs=1), tmp_path) == [("generated/module.py", 10, "dict-state")]
    assert audit([tmp_path], jobs=1, exclude=["generated"]).findings == ()
    assert len(audit([tmp_path / "site-packages"], jobs=1).findings) == 1


def test_loops_of_links_end(tmp_path: Path) -> None:
    """A link to a directory is not entered, a link to a file is no second file, and a link to nothing is reported."""
    write(tmp_path, {"app/module.py": WRONG})
    (tmp_path / "app" / "again").symlink_to(tmp_path)
    (tmp_path / "app" / "self.py").symlink_to(tmp_path / "app" / "self.py")
    (tmp_path / "app" / "same.py").symlink_to(tmp_path / "app" / "module.py")
    (tmp_path / "app" / "none.py").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "app" / "pipe.py")
    report = audit([tmp_path], jobs=1)
    assert places(report, tmp_path) == [
        ("app/module.py", 10, "dict-state"),
        ("app/none.py", 1, "unreadable-file"),
        ("app/pipe.py", 1, "unreadable-file"),
        ("app/self.py", 1, "unreadable-file"),
    ]


def test_files_are_taken_once_and_whatever_their_name(tmp_path: Path) -> None:
    """A file that is named is read even without .py, and one that is reached twice is read once."""
    write(tmp_path, {"script": WRONG, "app/module.py": WRONG})
    report = audit([tmp_path / "script", tmp_path, tmp_path / "app"], jobs=1)
    assert (report.files, len(report.findings)) == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"paths": ["nowhere"]}, "PATH must be a file or directory that exists"),
        ({"paths": [""]}, "PATH must be a file or directory; `.` is the current one"),
        ({"rules": ["no-rule"]}, "rule must be one of state-lookalike"),
        ({"jobs": 0}, "jobs must be a positive number"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path: Path, arguments: dict[str, list[str]], says: str) -> None:
    """A path that is not there, an unknown rule and no processes are errors that say what would do."""
    given: dict[str, object] = {"paths": [tmp_path], **arguments}
    with pytest.raises(InvalidValueError, match=says):
        audit(**given)  # type: ignore[arg-type]


def test_nothing_is_imported(tmp_path: Path) -> None:
    """Audited code does not run."""
    write(tmp_path, {"module.py": f"raise SystemExit('imported')\n{WRONG}"})
    assert len(audit([tmp_path], jobs=1).findings) == 1


def test_processes_find_the_same(tmp_path: Path) -> None:
    """Several processes report the same as one, in the same order, and tell their progress from nothing to all."""
    names = list(SNIPPETS)
    write(
        tmp_path, {f"app{number % 7}/module{number}.py": SNIPPETS[names[number % len(names)]] for number in range(200)}
    )
    (tmp_path / "broken.py").write_bytes(TROUBLES["operators"][0])
    told: list[tuple[int, int]] = []
    many = audit([tmp_path], jobs=2, progress=lambda done, total: told.append((done, total)))
    one: Report = audit([tmp_path], jobs=1)
    assert many == one
    assert len(one.findings) > 200
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_stops_everything(tmp_path: Path, jobs: int) -> None:
    """Ctrl-C leaves the audit at once, and no process of it behind."""
    write(tmp_path, {f"module{number}.py": WRONG for number in range(200)})

    def interrupted(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit([tmp_path], jobs=jobs, progress=interrupted)
    assert multiprocessing.active_children() == []


def test_a_folder_without_python(tmp_path: Path) -> None:
    """An empty folder, or one of notebooks, is audited: nothing is found in 0 files."""
    (tmp_path / "notebook.ipynb").write_text("{}")
    assert audit([tmp_path]) == Report(0, (), ())


def test_a_pool_that_breaks_is_survived(tmp_path: Path) -> None:
    """Where other processes cannot be started or die, this one reads what they have not."""
    write(tmp_path, {f"module{number}.py": WRONG for number in range(200)})
    script = f"from runstate.audit import audit; print(len(audit([{str(tmp_path)!r}], jobs=2).findings))"
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert "can't open file" in done.stderr or "<stdin>" in done.stderr  # a spawned process has no such script to read
    assert (done.returncode, done.stdout) == (0, "200\n")
