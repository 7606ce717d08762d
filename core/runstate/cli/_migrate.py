"""`runstate migrate`: what becomes of code that uses the legacy trackers, as a diff, as JSON, or written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from runstate.migrate import Migration, migrate, write

from ._console import Plain, print_json, print_view, printable, shown
from ._progress import counting

OK: Final = 0
WRONG: Final = 1


def migrate_paths(paths: Sequence[str], *, writes: bool, exclude: Sequence[str], as_json: bool) -> int:
    """Show or write what becomes of paths; return 1 if something could not be proven.

    Args:
        paths: Files and directories.
        writes: Write the files; else print the diff.
        exclude: Names of directories to leave out.
        as_json: Print diffs and list as one JSON document.

    Raises:
        InvalidValueError: A path cannot be used.
        OSError: A file cannot be written; the others are as they were, or whole.
    """
    with counting("reading") as progress:
        migration = migrate(paths, exclude=exclude, progress=progress)
    if writes:
        for change in migration.changes:
            write(change)
    if as_json:
        print_json(_data(migration, writes=writes))
    elif writes:
        print_view(*(Text("rewritten ").append_text(shown(one.path)) for one in migration.changes), *_list(migration))
    else:
        # The diff alone goes to standard output, so that it can be applied; the list is for people.
        for change in migration.changes:
            sys.stdout.write(_for_a_terminal(change.diff) if sys.stdout.isatty() else change.diff)
        sys.stdout.flush()
        for line in _list(migration):
            sys.stderr.write(f"{printable(line.plain)}\n")
    return WRONG if migration.unproven else OK


def _for_a_terminal(diff: str) -> str:
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in diff.split("\n"))


def _list(migration: Migration) -> list[Text]:
    lines = [
        shown(f"{one.path}:{one.line}:{one.column}", "bold")
        .append(": ", "not bold")
        .append_text(shown(one.reason, "not bold"))
        for one in migration.unproven
    ]
    files, left = len(migration.changes), len(migration.unproven)
    total = (
        f"{files:,} of {migration.files:,} files change; {left:,} place{'' if left == 1 else 's'} could not be proven"
    )
    return [*lines, Text(total, "dim")]


def _data(migration: Migration, *, writes: bool) -> dict[str, Plain]:
    return {
        "files": migration.files,
        "written": writes,
        "changes": [{"path": one.path, "diff": one.diff} for one in migration.changes],
        "unproven": [one._asdict() for one in migration.unproven],
    }
