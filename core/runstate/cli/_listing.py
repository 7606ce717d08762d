"""A table that a narrow terminal gets fewer columns of, and never a cut name: it is there to be copied."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP: Final = 2
"""Blanks between two columns."""


class Listing:
    """Things, one a row.

    Args:
        columns: The cells of each column by its heading, in the order from left to right.
        by_importance: The headings, the most important first; that one is always there.
        right: The headings of columns that are set to the right.
        cut: The heading of the column that gets what room is left, and is cut to it.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[Text]],
        by_importance: Sequence[str],
        *,
        right: Collection[str] = (),
        cut: str | None = None,
    ) -> None:
        self._columns = columns
        self._by_importance = by_importance
        self._right = right
        self._cut = cut
        self._widths = {
            name: max([len(name), *(cell.cell_len for cell in cells if name != cut)]) for name, cells in columns.items()
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fitting, room = self._fitting(options.max_width)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP, 0, 0))
        for name in fitting:
            justify: Literal["left", "right"] = "right" if name in self._right else "left"
            table.add_column(name, no_wrap=True, min_width=self._widths[name], justify=justify)
        if self._cut is not None:
            for cell in self._columns[self._cut]:
                cell.truncate(room + self._widths[self._cut], overflow="ellipsis")
        for row in zip(*(self._columns[name] for name in fitting), strict=True):
            table.add_row(*row)
        yield table

    def _fitting(self, room: int) -> tuple[list[str], int]:
        """The columns that there is room for, in their order, and the room that is left."""
        first, *others = self._by_importance
        fitting = {first}
        room -= self._widths[first] + _GAP + 1
        for name in others:
            width = self._widths[name] + _GAP + 1
            if width > room:
                break
            room -= width
            fitting.add(name)
        return [name for name in self._columns if name in fitting], room
