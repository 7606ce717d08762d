"""Columns that fit a width: each as wide as what is in it, the flexible ones less, the least important not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.text import Text

T = TypeVar("T")

_GAP: Final = 1


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of things of one kind."""

    heading: str
    cell: Callable[[T], Text]
    widest: int
    """Cells that the widest thing takes."""
    least: int
    """Cells without which it is not worth having."""
    rank: int
    """The least important column has the highest, and goes first."""
    is_right: bool = False


class Fitted(Generic[T]):
    """Columns with the width that each gets.

    Args:
        columns: From left to right.
        room: Cells that they have in all.
    """

    def __init__(self, columns: Sequence[Column[T]], room: int) -> None:
        kept = list(columns)
        while len(kept) > 1 and sum(_least(column) + _GAP for column in kept) - _GAP > room:
            kept.remove(max(kept, key=lambda column: column.rank))
        left = room - sum(_least(column) + _GAP for column in kept) + _GAP
        self._widths: list[tuple[Column[T], int]] = []
        wishes = {column.heading: max(column.widest, len(column.heading)) - _least(column) for column in kept}
        for column in sorted(kept, key=lambda column: wishes[column.heading]):  # who wants little gets it
            share = left // (len(kept) - len(self._widths))
            more = min(wishes[column.heading], max(0, share))
            self._widths.append((column, _least(column) + more))
            left -= more
        self._widths.sort(key=lambda one: kept.index(one[0]))

    def head(self) -> Text:
        """The headings."""
        return self._joined(lambda column: Text(column.heading))

    def row(self, thing: T) -> Text:
        """One thing."""
        return self._joined(lambda column: column.cell(thing))

    def _joined(self, cell: Callable[[Column[T]], Text]) -> Text:
        line = Text()
        for number, (column, width) in enumerate(self._widths):
            text = cell(column)
            text.truncate(width, overflow="ellipsis")
            blanks = " " * (width - text.cell_len)
            if number:
                line.append(" " * _GAP)
            if column.is_right:
                line.append(blanks)
            line.append_text(text)
            if not column.is_right:
                line.append(blanks)
        return line


def _least(column: Column[T]) -> int:
    return min(column.least, max(column.widest, len(column.heading)))
