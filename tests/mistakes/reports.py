"""Which checkers find which mistakes: each checker runs once over all of them, with the settings that `docs/static.md` shows."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .. import checkers
from ..documents import shown_file, stubs_folder

FOLDER = Path(__file__).parent
FILES = ("by_id", "creating", "handles", "agents", "reading", "legacy")

CHECKERS: dict[str, tuple[str, Callable[[Path], list[checkers.Complaint]]]] = {
    "mypy": ("mypy.ini", lambda folder: checkers.mypy(folder, ".")),
    "pyright": ("pyrightconfig.json", checkers.pyright),
    "basedpyright": ("basedpyright.json", lambda folder: checkers.pyright(folder, tool="basedpyright")),
    "ty": ("ty.toml", checkers.ty),
    "pyrefly": ("pyrefly.toml", checkers.pyrefly),
}
"""Each checker with its settings in the document."""


class Mistake(NamedTuple):
    """One function."""

    file: str
    name: str
    description: str
    why: str | None
    """Why mypy does not find it."""
    unchecked: str | None
    """Why nothing refuses it at run time."""
    lines: frozenset[int]
    """Those marked as wrong."""


class Report(NamedTuple):
    """What one checker says."""

    found: dict[str, set[str]]
    """The rules by the mistake's name."""
    elsewhere: list[checkers.Complaint]
    """Complaints about lines that are not wrong."""


def mistakes() -> list[Mistake]:
    """Read all mistakes, in order."""
    found: list[Mistake] = []
    for file in FILES:
        text = (FOLDER / f"{file}.py").read_text(encoding="utf-8")
        wrong = {number for number, line in enumerate(text.splitlines(), 1) if "  # wrong" in line}
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first, *notes = (" ".join(part.split()) for part in (ast.get_docstring(node) or "").split("\n\n"))
                said = dict(note.split(": ", 1) for note in notes)
                lines = frozenset(wrong & set(range(node.lineno, (node.end_lineno or 0) + 1)))
                found.append(Mistake(file, node.name, first, said.get("Why"), said.get("Unchecked"), lines))
    return found


def reports(work: Path) -> dict[str, Report]:
    """Run every checker once, in folders of its own below *work*."""
    stubs = stubs_folder()
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CHECKERS, pool.map(partial(_report, work, stubs), CHECKERS), strict=True))


def _report(work: Path, stubs: Path, checker: str) -> Report:
    settings, run = CHECKERS[checker]
    folder = work / checker
    folder.mkdir()
    for file in FILES:
        shutil.copy(FOLDER / f"{file}.py", folder)
    name = "pyrightconfig.json" if checker == "basedpyright" else settings
    (folder / name).write_text(
        shown_file("static.md", settings).replace("/path/printed/by/runstate/stubs", str(stubs)),
        encoding="utf-8",
    )
    report = Report({}, [])
    places = {(one.file, line): one.name for one in mistakes() for line in one.lines}
    for complaint in run(folder):
        mistake = places.get((complaint.path.stem, complaint.line))
        if mistake is None:
            report.elsewhere.append(complaint)
        else:
            report.found.setdefault(mistake, set()).add(complaint.rule)
    return report
