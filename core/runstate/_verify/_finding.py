"""One thing that is wrong with a journal; apart from the checks, which are imported only when they run."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is wrong with a journal."""

    rule: str
    """Which rule does not hold: a key of the table in `runstate._verify`, such as `transition`."""
    execution_id: str | None
    """The execution that it concerns, or None where it concerns the whole file."""
    message: str
    """What was found, and what was expected."""
