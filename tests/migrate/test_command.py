"""`runstate migrate`: the diff, the list, JSON, writing, and the exit codes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runstate.cli import main

from ..audit.projects import write
from .rewrites import REWRITES
from .unproven import UNPROVEN

BEFORE, AFTER = REWRITES["texts"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A code base with one file to rewrite, which is the current directory."""
    write(tmp_path, {"app/module.py": BEFORE})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("option", [(), ("--diff",)])
def test_the_diff_can_be_applied(folder: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...]) -> None:
    """Standard output is a diff that makes the file what it should be, and nothing is written before."""
    assert main(["migrate", ".", *option]) == 0
    out, err = capsys.readouterr()
    assert (folder / "app/module.py").read_text() == BEFORE
    assert err == "1 of 2 files change; 0 places could not be proven\n"
    git = shutil.which("git")
    assert git is not None
    subprocess.run([git, "apply", "-"], input=out, text=True, check=True, cwd=folder)
    assert (folder / "app/module.py").read_text() == AFTER


def test_write_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --write the file is rewritten and named; the second time there is nothing to do."""
    assert main(["migrate", ".", "--write"]) == 0
    assert capsys.readouterr().out == "rewritten app/module.py\n1 of 2 files change; 0 places could not be proven\n"
    assert (folder / "app/module.py").read_text() == AFTER
    assert main(["migrate", ".", "--write"]) == 0
    assert capsys.readouterr().out == "0 of 2 files change; 0 places could not be proven\n"


def test_what_is_left_is_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each place that could not be proven is a line with its reason, beside the diff."""
    write(folder, {"app/left.py": UNPROVEN["a name that is taken"]})
    assert main(["migrate", "."]) == 1
    out, err = capsys.readouterr()
    assert "+++ b/app/left.py" in out
    assert "app/left.py:3:53: the name ExecutionState is taken" in err


def test_json_has_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document: the files with their diffs, and the list."""
    write(folder, {"app/left.py": "def f(:\n"})
    assert main(["migrate", ".", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["files"], data["written"]) == (3, False)
    assert [one["path"] for one in data["changes"]] == ["app/module.py"]
    assert "+    tracker.update_execution_state(id, ExecutionState.COMPLETED)\n" in data["changes"][0]["diff"]
    assert [(one["path"], one["line"]) for one in data["unproven"]] == [("app/left.py", 1)]


@pytest.mark.parametrize("text", ["if 0: pass\n" + "elif 1: pass\n" * 2000, "print 'x'\n"])
def test_what_cannot_be_read_is_listed(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A file that is nested too deeply, or no Python, is on the list, and the others are rewritten all the same."""
    write(folder, {"app/odd.py": text})
    assert main(["migrate", ".", "--write"]) == 1
    assert re.search(r"^app/odd.py:1:1: cannot be (read|parsed): ", capsys.readouterr().out, re.MULTILINE)
    assert (folder / "app/module.py").read_text() == AFTER
    assert (folder / "app/odd.py").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "PATH"),
        (("nowhere",), "PATH must be"),
        (("",), "PATH must be"),
        ((".", "--diff", "--write"), "not both"),
        ((".", "--loud"), "--loud"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    """Nothing on standard output, one line on standard error, exit code 2."""
    assert main(["migrate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_missing_extra_is_one_line(folder: Path) -> None:
    """Without LibCST the command says how to install it; the other commands need it not."""
    hidden = "import sys; sys.modules['libcst'] = None; from runstate.cli import main; sys.exit(main({!r}))"
    for arguments, code in ((["migrate", "."], 2), (["audit", "app"], 1)):
        command = [sys.executable, "-c", hidden.format(arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert done.stderr.count("\n") == (code == 2)
        assert ('pip install "runstate[migrate]"' in done.stderr) == (code == 2)
