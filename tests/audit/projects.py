"""Code bases that tests write: what is to be found in a line is said at its end, `# -> rule, rule`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from runstate.audit import Report, audit

_MARK = re.compile(r"# -> ([\w-]+(?:, [\w-]+)*)$")


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files, and an `__init__.py` in each folder that holds one."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for parent in list(path.relative_to(folder).parents)[:-1]:
            (folder / parent / "__init__.py").touch()
    return folder


def marked(folder: Path) -> list[tuple[str, int, str]]:
    """What the lines of a code base say is to be found."""
    return sorted(
        (path.relative_to(folder).as_posix(), number, rule)
        for path in folder.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (mark := _MARK.search(line))
        for rule in mark[1].split(", ")
    )


def places(report: Report, folder: Path) -> list[tuple[str, int, str]]:
    """What was found, in the form of `marked`."""
    return sorted({(Path(one.path).relative_to(folder).as_posix(), one.line, one.rule) for one in report.findings})


def found(folder: Path) -> list[tuple[str, int, str]]:
    """Audit a code base, and say what was found, in the form of `marked`."""
    return places(audit([folder], jobs=1), folder)
