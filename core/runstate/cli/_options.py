"""What commands have in common: the help above them, the journal that they look into, and how they print."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter

HELP: Final = """\
Look into the journal of agent executions, its workers, its notices and its
health; cancel executions; check code that uses it.

Exit codes:
  0    fine
  1    something is wrong: verify found damage, doctor a problem, audit found
       something, migrate left something, the demo lost an execution, stubs
       are missing, an execution could not be cancelled
  2    the command line cannot be understood, or the extra is not installed
  3    no execution has this id
  4    no journal there, or one that is unreadable, damaged or newer
  130  interrupted
  141  whoever read the output has stopped reading

An error is one line on standard error. --json prints one JSON document on
standard output, with times in nanoseconds since the Unix epoch.
"""

NOT_HERE: Final = "memory: lives in the process that made it; give the path of a journal file"

Journal: TypeAlias = Annotated[
    str,
    Parameter(
        name=["--journal", "-j"],
        env_var="RUNSTATE_JOURNAL",
        help="The journal: a file, sqlite:///path or postgresql://…. Also without --journal, as the last argument.",
    ),
]
Json: TypeAlias = Annotated[bool, Parameter(negative="", show_default=False, help="Print JSON.")]
