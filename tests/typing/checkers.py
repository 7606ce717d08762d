"""Runs each type checker as a command line tool, with this repository's own settings, and reads what it complains about.

The settings are those of `mypy.ini` and `pyproject.toml`, and of `basedpyright.json`, because basedpyright refuses a
`pyproject.toml` that has a section for pyright beside its own. There it runs in its default mode, with one rule off: the
last move of a handle gives a handle that nobody needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Complaint(NamedTuple):
    """One thing that a checker does not accept."""

    path: Path
    line: int
    rule: str
    message: str


Check = Callable[[Sequence[Path], Path], list[Complaint]]
"""Checks files, with a directory to keep a cache in."""


def output(tool: str, *arguments: str | Path) -> str:
    """Run a checker from the repository's root; only 0 (clean) and 1 (complaints) are a run that worked."""
    # pyright takes the interpreter, and so the installed packages, from PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in {0, 1}:
        raise RuntimeError(f"{tool} exited with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    return run.stdout


def _complaint(path: str, line: int, rule: str, message: str) -> Complaint:
    return Complaint((ROOT / path).resolve(), line, rule, message)


def _mypy(python: str, files: Sequence[Path], cache: Path) -> list[Complaint]:
    settings = ("--config-file", "mypy.ini", "--python-version", python, "--cache-dir", str(cache / "mypy"))
    found: list[dict[str, Any]] = [
        json.loads(line) for line in output("mypy", *settings, "--output", "json", *files).splitlines()
    ]
    return [
        _complaint(each["file"], each["line"], each["code"], each["message"])
        for each in found
        if each["severity"] == "error"
    ]


def _pyright(tool: str, settings: str, python: str, files: Sequence[Path], cache: Path) -> list[Complaint]:
    said = output(tool, "--project", settings, "--pythonversion", python, "--outputjson", *files)
    found: list[dict[str, Any]] = json.loads(said)["generalDiagnostics"]
    return [
        _complaint(each["file"], each["range"]["start"]["line"] + 1, each.get("rule", ""), each["message"])
        for each in found
        if each["severity"] != "information"
    ]


def _ty(files: Sequence[Path], cache: Path) -> list[Complaint]:
    settings = ("--python", sys.prefix, "--output-format", "gitlab")
    found: list[dict[str, Any]] = json.loads(output("ty", "check", *settings, *files))
    return [
        _complaint(
            each["location"]["path"],
            each["location"]["positions"]["begin"]["line"],
            each["check_name"],
            each["description"],
        )
        for each in found
    ]


def _pyrefly(files: Sequence[Path], cache: Path) -> list[Complaint]:
    settings = ("--config", "pyproject.toml", "--python-interpreter-path", sys.executable, "--output-format", "json")
    found: list[dict[str, Any]] = json.loads(output("pyrefly", "check", *settings, *files))["errors"]
    return [_complaint(each["path"], each["line"], each["name"], each["description"]) for each in found]


CHECKERS: dict[str, Check] = {
    "mypy": partial(_mypy, "3.11"),
    "mypy for 3.12": partial(_mypy, "3.12"),
    "mypy for 3.13": partial(_mypy, "3.13"),
    "pyright": partial(_pyright, "pyright", "pyproject.toml", "3.11"),
    "pyright for 3.12": partial(_pyright, "pyright", "pyproject.toml", "3.12"),
    "pyright for 3.13": partial(_pyright, "pyright", "pyproject.toml", "3.13"),
    "basedpyright": partial(_pyright, "basedpyright", "tests/typing/basedpyright.json", "3.11"),
    "ty": _ty,
    "pyrefly": _pyrefly,
}
"""Every checker that the package is held to; the two that gate its own sources also as on newer Pythons."""
