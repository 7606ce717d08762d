"""How trouble that will be tried again is told in the log: what the journal says of itself in one line, anything else in full."""

from __future__ import annotations

import logging
from typing import Final

from ._errors import JournalError

logger: Final = logging.getLogger("runstate")


def traceback_of(error: Exception) -> Exception | None:
    """Give `exc_info` for an error: a `JournalError` says all itself, so its traceback is for who debugs."""
    return None if isinstance(error, JournalError) and not logger.isEnabledFor(logging.DEBUG) else error
