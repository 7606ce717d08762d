"""Checks every invariant of a journal, in a file or on a server, and says everything that is wrong with it.

The database refuses what breaks a rule, but a file can be damaged below the database, edited by a program that switched the
rules off, or truncated by a copy. So nothing here trusts anything: each rule is checked by itself, from the raw rows.

| rule | what holds in a sound journal |
|---|---|
| `file` | the file is there, or the server answers, and it can be read |
| `format` | it is an SQLite file that is marked as a runstate journal, or a database that holds one |
| `version` | its schema version is the one that this runstate writes |
| `integrity` | SQLite's own check of pages and indexes finds nothing; every row can be read (PostgreSQL checks pages by itself) |
| `foreign_key` | every reference leads to a row (in SQLite; PostgreSQL's schema has none, and `decode` and `orphan` find it) |
| `schema` | tables, constraints, indexes and triggers are exactly those rendered from the transition table |
| `meta` | the bookkeeping is there, and no position can be given out twice |
| `unique` | no id names two executions |
| `orphan` | every entry, request, rejected end and notice belongs to an execution |
| `decode` | every row decodes strictly, JSON columns too |
| `log` | an execution's entries are numbered 1 to n without a gap, stored in that order, and begin with its creation |
| `transition` | every move is in the table, and starts where the last one ended |
| `end` | at most one terminal state, and nothing after it |
| `cause` | an end has a cause that its state accepts, and evidence; no other entry has any |
| `owner` | an entry is the owner's; only the end of what a fenced one left, DEAD or CANCELLED on request, may be another's |
| `worker` | every worker's row is complete, and one that has left has nothing live |
| `fence` | nothing was written by a worker after it had left or was fenced, which another did for a cause of DEAD |
| `request` | every request to cancel decodes strictly |
| `chain` | an attempt follows the first one of its chain, which is of the same thread and message |
| `rejected` | a rejected end is one, and was tried by the owner, who was fenced and had not ended the execution |
| `outbox` | every outbox decodes strictly, and is open since a position that was given out |
| `notice` | every end since an outbox was opened has its notice there, and no other has; a notice decodes strictly, and says who delivered it |
| `time` | within an execution, time never goes back |
| `fold` | state, seq, times and phase of an execution are what its entries add up to |

After `file`, `format` or `version` nothing further is checked. Rows are read one at a time, and one execution at a time, so
the memory needed does not grow with the journal, only with what is wrong with it.
"""

from __future__ import annotations

import os

from .._checks import checked_function
from .._errors import JournalUnavailableError
from .._peek import file_of, undisturbed
from ._finding import Finding as Finding


@checked_function
def verify(path: str | os.PathLike[str]) -> tuple[Finding, ...]:
    """Check every invariant of a journal; an empty tuple means that it is sound.

    It is opened strictly read-only, and one consistent snapshot of it is read, so a journal in use can be verified.
    Damage is reported, not raised: a file that is missing, a server that does not answer or what is no journal is a finding too.

    Args:
        path: The SQLite file, as a path or as `sqlite:///path`; or `postgresql://user:password@host/database`.

    Returns:
        Everything that is wrong, file-wide findings first, then by execution, the oldest first.

    Raises:
        StateTypeError: *path* is no path.
        InvalidValueError: *path* names no file and no database, for example `memory:`.
        JournalUnavailableError: The driver of PostgreSQL is not installed.
    """
    if isinstance(path, str) and path.startswith("postgresql://"):
        return _verify_server(path)
    file = file_of("path", path)
    from ._file import findings  # sqlite3 is kept off `import runstate`

    return undisturbed(file, lambda immutable: tuple(findings(file, immutable=immutable)))


def _verify_server(url: str) -> tuple[Finding, ...]:
    try:
        from ._server import findings
    except ImportError as error:
        raise JournalUnavailableError(
            f"a PostgreSQL journal needs {error.name or 'psycopg'}, which cannot be imported ({error}); "
            f"install it with `pip install 'runstate[postgres]'`"
        ) from error
    return tuple(findings(url))
