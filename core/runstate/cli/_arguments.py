"""What several commands take: which journal, and whether to print JSON."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter

import runstate
from runstate import ExecutionTracker

from ._console import UsageError

NOT_HERE: Final = "memory: lives in the process that made it; give the path of a journal file"

Journal: TypeAlias = Annotated[
    str,
    Parameter(
        name=["--journal", "-j"],
        env_var="RUNSTATE_JOURNAL",
        help="The journal: a file, sqlite:///path or postgresql://…. Also without --journal, as the last argument.",
    ),
]
AsJson: TypeAlias = Annotated[bool, Parameter(negative="", show_default=False, help="Print JSON.")]


def open_to_read(journal: str) -> ExecutionTracker:
    """Open a journal to read it only.

    Raises:
        UsageError: It is `memory:`.
        JournalError: It is not there, or cannot be read.
    """
    if journal == "memory:":
        raise UsageError(NOT_HERE)
    return runstate.open(journal, read_only=True)
