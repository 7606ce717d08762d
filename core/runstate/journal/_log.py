"""One execution's log, read whole from any journal."""

from __future__ import annotations

from typing import Final

from .._records import Entry, Selection
from . import Journal

_PAGE: Final = 1_000


def log_of(journal: Journal, execution_id: str) -> list[Entry]:
    """Read everything that a journal holds of one execution, in order; nothing if it does not know it.

    Raises:
        JournalError: It cannot be read.
    """
    selection = Selection(execution_id=execution_id)
    entries: list[Entry] = []
    after = 0
    while True:
        page = journal.read(after, _PAGE, selection)
        entries += [event.entry for event in page.events]
        after = page.up_to
        if len(page.events) < _PAGE:
            return entries
