"""Where a client wants to resume: what `?after=` and `Last-Event-ID` say."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ._frames import Vocabulary
from ._refusals import RefusedError

_PLACE: Final = re.compile(r"(\d{1,19})(?:\.(\d{1,3}))?", re.ASCII)


class Place(NamedTuple):
    """Where a client wants to resume."""

    position: int | None
    """The position read last; None is the present."""
    told: int | None = None
    """The number of the last client event of that position that was read; None is all of them."""

    @property
    def after(self) -> int:
        """The position after which the journal is to be read."""
        position = self.position or 0
        return position if self.told is None else max(0, position - 1)


PRESENT: Final = Place(None)
BEGINNING: Final = Place(0)


def parse_place(text: str, vocabulary: Vocabulary) -> Place:
    """Read a place: `latest`, a position, or an event's id.

    Raises:
        RefusedError: It is none of them, or the id of an event of the other vocabulary that has no place in this one.
    """
    if text == "latest":
        return PRESENT
    found = _PLACE.fullmatch(text)
    if found is None or int(found[1]) >= 1 << 63:
        raise RefusedError(400, "invalid_value", "after must be `latest`, a position (0 or more) or the id of an event")
    told = None if found[2] is None else int(found[2])
    if told is not None and vocabulary is Vocabulary.JOURNAL:
        message = f"after must be a position for a stream of journal entries; {text} lies within one entry"
        raise RefusedError(400, "invalid_value", message)
    return Place(int(found[1]), told)
