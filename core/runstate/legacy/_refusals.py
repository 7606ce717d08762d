"""Refusals are never silent: each is logged at ERROR by the logger `runstate.legacy`, and counted."""

from __future__ import annotations

import logging
from typing import Final

from .. import FencedError, InvalidTransitionError, JournalError, NotOwnerError, RunstateError, TrackerClosedError
from ._fork import ForkSafeLock

logger: Final = logging.getLogger("runstate.legacy")

_COUNTED_BY_THE_CORE: Final = (FencedError, InvalidTransitionError, JournalError, NotOwnerError, TrackerClosedError)


class Refusals:
    """Logs refusals, and counts those that the core has not seen."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self.uncounted: int = 0
        """Refusals that never reached the core's own counter."""

    def note(self, call: str, error: RunstateError) -> None:
        """Log a refusal at ERROR, and count it unless the core has."""
        if not isinstance(error, _COUNTED_BY_THE_CORE):
            with self._lock:
                self.uncounted += 1
        logger.error("%s refused: %s", call, error)
