"""Runs each type checker as a command line tool, in any folder with that folder's settings, and reads what it complains about.

`CHECKERS` runs them with this repository's own settings: those of `mypy.ini` and `pyproject.toml`, and of `basedpyright.json`, because basedpyright refuses a
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

ROOT = Path(__file__).resolve().parents[1]


class Complaint(NamedTuple):
    """One thing that a checker does not accept."""

    path: Path
    line: int
    rule: str
    message: str


Check = Callable[[Sequence[Path], Path], list[Complaint]]
"""Checks files, with a directory to keep a cache in."""


def output(tool: str, *arguments: str | Path, folder: Path = ROOT) -> str:
    """Run a checker in a folder; only 0 (clean) and 1 (complaints) are a run that worked."""
    # pyright takes the interpreter, and so the installed packages, from PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    run = subprocess.run(
        [sys.executable, "-P", "-m", tool, *arguments],
        cwd=folder,
        env={**env, "PATH": path, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in {0, 1}:
        raise RuntimeError(f"{tool} exited with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    return run.stdout


def mypy(folder: Path, *arguments: str | Path) -> list[Complaint]:
    """Run mypy in a folder and return its errors."""
    said = output("mypy", "--output", "json", *arguments, folder=folder)
    found: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    return [
        Complaint((folder / each["file"]).resolve(), each["line"], each["code"], each["message"])
        for each in found
        if each["severity"] == "error"
    ]


def pyright(folder: Path, *arguments: str | Path, tool: str = "pyright") -> list[Complaint]:
    """Run pyright or basedpyright in a folder and return its errors and warnings."""
    found: list[dict[str, Any]] = json.loads(output(tool, "--outputjson", *arguments, folder=folder))[
        "generalDiagnostics"
    ]
    return [
        Complaint(
            (folder / each["file"]).resolve(),
            each["range"]["start"]["line"] + 1,
            each.get("rule", ""),
            each["message"],
        )
        for each in found
        if each["severity"] != "information"
    ]


def ty(folder: Path, *arguments: str | Path) -> list[Complaint]:
    """Run ty in a folder and return what it reports."""
    settings = ("--python", sys.prefix, "--output-format", "gitlab")
    found: list[dict[str, Any]] = json.loads(output("ty", "check", *settings, *arguments, folder=folder))
    return [
        Complaint(
            (folder / each["location"]["path"]).resolve(),
            each["location"]["positions"]["begin"]["line"],
            each["check_name"],
            each["description"],
        )
        for each in found
    ]


def pyrefly(folder: Path, *arguments: str | Path) -> list[Complaint]:
    """Run pyrefly in a folder and return its errors."""
    settings = ("--python-interpreter-path", sys.executable, "--output-format", "json")
    found: list[dict[str, Any]] = json.loads(output("pyrefly", "check", *settings, *arguments, folder=folder))["errors"]
    return [
        Complaint((folder / each["path"]).resolve(), each["line"], each["name"], each["description"]) for each in found
    ]


def _mypy(python: str, files: Sequence[Path], cache: Path) -> list[Complaint]:
    settings = ("--config-file", "mypy.ini", "--python-version", python, "--cache-dir", str(cache / "mypy"))
    return mypy(ROOT, *settings, *files)


def _pyright(tool: str, settings: str, python: str, files: Sequence[Path], cache: Path) -> list[Complaint]:
    return pyright(ROOT, "--project", settings, "--pythonversion", python, *files, tool=tool)


def _ty(files: Sequence[Path], cache: Path) -> list[Complaint]:
    return ty(ROOT, *files)


def _pyrefly(files: Sequence[Path], cache: Path) -> list[Complaint]:
    return pyrefly(ROOT, "--config", "pyproject.toml", *files)


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
