"""`runstate` among terminals, pipes and foreign data; interrupted; and without its extra."""

from __future__ import annotations

import ast
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import runstate
import runstate._codebase
import runstate.audit
import runstate.migrate
import runstate.web
from runstate import ExecutionState, ExecutionTracker, cli
from runstate.cli import main

from .commands import CONTROL, HOSTILE, command, fill, run


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tracker's journal is."""
    return tmp_path_factory.mktemp("cli") / "runs.db"


@pytest.fixture(scope="module")
def tracker(journal: Path) -> Iterator[ExecutionTracker]:
    """An open tracker with executions in several states; the commands read its file from outside."""
    with runstate.open(journal) as tracker:
        fill(tracker)
        yield tracker


@pytest.fixture
def path(tracker: ExecutionTracker, journal: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of the tracker's journal, which the environment also names."""
    monkeypatch.setenv("RUNSTATE_JOURNAL", str(journal))
    return str(journal)


# -- foreign data, terminals and pipes --------------------------------------------------------------------------------


def test_foreign_data_reaches_no_terminal(
    tracker: ExecutionTracker, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences are shown as text, markup is not interpreted, in tables and in JSON."""
    (record,) = tracker.find(state=ExecutionState.FAILED)
    for arguments in [
        ("ls",),
        ("ls", "--json"),
        ("show", record.execution_id),
        ("show", record.execution_id, "--json"),
    ]:
        printed = run(capsys, *arguments)
        assert not CONTROL.search(printed)
        assert "[bold]loud[/bold]" in printed.squeezed
        assert ":smile:" in printed
    assert r"\x1b[31mred\x1b[0m" in run(capsys, "ls")


def test_a_hostile_id_is_shown_as_text(capsys: pytest.CaptureFixture[str], path: str) -> None:
    """What the caller types is foreign too, also in an error."""
    assert main(["show", HOSTILE]) == 3
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert not CONTROL.search(err)


def test_a_narrow_encoding_is_survived(path: str) -> None:
    """Where the output can only carry ASCII, an arrow is escaped and nothing breaks."""
    done = command("states", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def test_a_closed_pipe_is_quiet(path: str) -> None:
    """When the reader has gone, the command stops without a word, with the exit code of a broken pipe."""
    for arguments in (["ls"], ["ls", "--json"], ["states", "--mermaid"], ["--help"], ["verify"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            done = subprocess.run(
                [sys.executable, "-m", "runstate", *arguments],
                stdout=pipe,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (141, ""), arguments


def test_a_full_disk_is_one_line(path: str) -> None:
    """Output that cannot be written is an error like others."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "runstate", "ls"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a program with a terminal as its output and errors; return its exit code and what the terminal got."""
    leader, follower = pty.openpty()
    with subprocess.Popen(arguments, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        chunks: list[bytes] = []
        while True:
            try:
                chunk = os.read(leader, 65_536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(leader)
    return process.returncode, b"".join(chunks).decode()


def test_on_a_terminal_there_is_colour_and_progress(path: str) -> None:
    """A terminal gets colours and, while the demo runs, a progress bar that counts to 1,341."""
    code, shown = on_a_terminal(sys.executable, "-m", "runstate", "states")
    assert (code, "\x1b[" in shown) == (0, True)
    code, shown = on_a_terminal(sys.executable, "-m", "runstate", "demo", "--speed", "2000", "--faults", "0")
    assert code == 0
    assert "200 agents at work" in shown
    assert "/1341" in shown


def test_a_violation_is_plain_text_on_a_terminal_too() -> None:
    """A StateTypeError is for logs and journals: no escape sequences in it, whatever standard output is."""
    program = """
import runstate
with runstate.open("memory:") as tracker:
    run = tracker.create(agent="a", thread_id="t", user_id="u").run()
    try:
        tracker.update_execution_state(run.execution_id, {"success": False})
    except runstate.StateTypeError as error:
        print(ascii(str(error)))
    run.complete()
"""
    code, shown = on_a_terminal(sys.executable, "-c", program)
    assert code == 0
    assert "success" in shown
    assert "x1b" not in shown


def test_an_interrupted_demo_leaves_a_sound_journal(tmp_path: Path) -> None:
    """Ctrl-C: one line, exit code 130, every execution has an end in the journal, and the journal is sound."""
    path = tmp_path / "runs.db"
    arguments = [sys.executable, "-m", "runstate", "demo", "--speed", "0.001", "--journal", str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while started(path) < 200:  # every conversation has begun its first turn
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "runstate: interrupted\n")
    assert runstate.verify(path) == ()
    with runstate.open(path, read_only=True) as reader:
        assert {record.is_terminal for record in reader.find(limit=10_000)} == {True}


def started(path: Path) -> int:
    """How many executions a journal has, 0 while it is being made."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            count: int = connection.execute("SELECT count(*) FROM executions").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return 0


# -- the extra, and the border ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["cyclopts", "rich"])
def test_without_the_extra_one_line_says_what_to_install(library: str) -> None:
    """Where a library of the extra is missing, exit code 2 and the command that installs it, no traceback."""
    program = f"import sys; sys.modules[{library!r}] = None; from runstate.cli import main; sys.exit(main(['ls']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert library in done.stderr
    assert 'pip install "runstate[cli]"' in done.stderr


def test_another_missing_module_is_not_disguised() -> None:
    """A missing module that is not of the extra is a broken installation, and is not called a missing extra."""
    program = "import sys; sys.modules['runstate.cli._views'] = None; from runstate.cli import main; main(['ls'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "runstate[cli]" not in done.stderr


def test_importing_the_package_needs_no_extra() -> None:
    """`import runstate.cli` loads neither cyclopts nor rich."""
    program = "import sys, runstate.cli; sys.exit(bool({'cyclopts', 'rich'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_command_line_uses_public_names_only() -> None:
    """No module of the package imports an internal of runstate or of another adapter."""
    assert cli.__file__ is not None
    faces = (runstate, runstate._codebase, runstate.audit, runstate.migrate, runstate.web)
    public = {face.__name__: face for face in faces}
    for file in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1
                if node.level == 0 and (node.module or "").partition(".")[0] == "runstate":
                    assert node.module in public
                    assert {alias.name for alias in node.names} <= set(public[node.module].__all__)
