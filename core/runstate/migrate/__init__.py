"""The migration: rewrites code that uses the legacy trackers, where it is certain what it means. Needs the extra `migrate`.

    migration = runstate.migrate.migrate(["app"])
    for change in migration.changes:
        print(change.diff)
    for place in migration.unproven:
        print(f"{place.path}:{place.line}:{place.column}: {place.reason}")

Imports go to the facades in `runstate.legacy`, states to `runstate.ExecutionState`: dicts and texts where a state is declared,
comparisons with texts, members by their legacy names. What is not certain is left as it is, and listed. Run again, it changes
nothing. On the command line it is `runstate migrate`.
"""

from ._model import Unproven as Unproven
from ._run import Change as Change
from ._run import Migration as Migration
from ._run import migrate as migrate
from ._run import write as write

__all__ = ["Change", "Migration", "Unproven", "migrate", "write"]
