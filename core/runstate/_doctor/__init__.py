"""What ails a journal and the fleet that writes it: what an operator asks who is woken at night.

`verify` checks what is stored; this looks at who is at work on it now. It only reads, wants no right but to read, and can be asked
at any time, also while all workers write.

| topic | what is looked at |
|---|---|
| `schema` | the version, and whether a migration is half done |
| `rights` | what this user or role may not see |
| `lock` | who holds on to a lock that others need: SQLite's write lock, an old state that holds the WAL back; PostgreSQL's pen, tables |
| `session` | PostgreSQL: who idles in a transaction, the oldest snapshot |
| `size` | of the file and its WAL, and the room left on their disk; of the database, dead rows, the last vacuum |
| `worker` | who is alive, and who is gone, expired, standing still or fenced and has left something live |
| `execution` | whatever hangs although its owner is well: past its limit, silent |
| `request` | requests to cancel that nobody carries out |
| `notice` | what was given up to tell users, what nobody has told them for long, and what was removed before anybody did |
| `clock` | how far clocks are apart: this machine's, the store's, and, as far as it can be known, the workers' |
| `retention` | what is kept, and how old it is |

Each topic that has nothing to be mended says so, with its figures. Only what can neither be read nor named is an error: a journal that is
not there, damaged, of another version, or locked.
"""

from __future__ import annotations

import os

from .._checks import checked_function
from .._errors import JournalUnavailableError
from .._peek import file_of, undisturbed
from ._diagnosis import Diagnosis as Diagnosis
from ._diagnosis import Severity as Severity
from ._diagnosis import worst_first


@checked_function
def diagnose(url: str | os.PathLike[str]) -> tuple[Diagnosis, ...]:
    """Look at a journal and at the fleet that writes it, and say what is amiss, whose doing it is, and what to do.

    It only reads. What looks like a lock that is never let go of is watched for a second, so it may take that long.

    Args:
        url: The SQLite file, as a path or as `sqlite:///path`; or `postgresql://user:password@host/database`.

    Returns:
        What was looked at: problems first, then warnings, then what is fine.

    Raises:
        StateTypeError: *url* is no path.
        InvalidValueError: *url* names no file and no database, for example `memory:`.
        JournalUnavailableError: It is not there, cannot be read, or is locked; then it says by whom.
        JournalCorruptError: It is damaged, or no journal; `verify` says more.
        JournalVersionError: It is of another version.
        RecordDecodeError: A worker's row is no valid one; `verify` says more.
    """
    if isinstance(url, str) and url.startswith("postgresql://"):
        try:
            from ._server import diagnoses as server_diagnoses
        except ImportError as error:
            raise JournalUnavailableError(
                f"a PostgreSQL journal needs {error.name or 'psycopg'}, which cannot be imported ({error}); "
                f"install it with `pip install 'runstate[postgres]'`"
            ) from error
        return worst_first(server_diagnoses(url))
    file = file_of("url", url)
    from ._file import diagnoses as file_diagnoses  # sqlite3 is kept off `import runstate`

    return worst_first(undisturbed(file, lambda immutable: file_diagnoses(file, immutable=immutable)))
