"""What checkers say of a made-up code base, and what is marked there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .. import checkers

Rules = dict[tuple[str, int], set[str]]
"""What was said: the rules by file, relative to the code base, and line."""

_MARK = re.compile(r"(\w+)\[([\w, -]+)\]")


def mypy(folder: Path, *arguments: str) -> Rules:
    """Run mypy with the code base's `mypy.ini`."""
    return _grouped(folder, checkers.mypy(folder, *arguments))


def pyright(folder: Path) -> Rules:
    """Run pyright with the code base's `pyrightconfig.json`."""
    return _grouped(folder, checkers.pyright(folder))


def _grouped(folder: Path, found: list[checkers.Complaint]) -> Rules:
    rules: Rules = {}
    for complaint in found:
        name = complaint.path.relative_to(folder.resolve()).as_posix()
        rules.setdefault((name, complaint.line), set()).add(complaint.rule)
    return rules


def marked(folder: Path, files: list[str], who: set[str], which: Callable[[str], bool] = lambda _: True) -> Rules:
    """Read what is marked behind the lines of files, by those in *who*; only the rules that *which* takes."""
    rules: Rules = {}
    for name in files:
        for number, line in enumerate((folder / name).read_text(encoding="utf-8").splitlines(), 1):
            for marker, listed in _MARK.findall(line.partition("  # ")[2]):
                said = {rule for rule in listed.split(", ") if which(rule)}
                if marker in who and said:
                    rules.setdefault((name, number), set()).update(said)
    return rules
