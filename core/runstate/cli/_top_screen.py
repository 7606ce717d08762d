"""What `runstate top` shows, and what its keys do.

It knows neither the terminal nor the journal: it is told keys and pictures, and asks for what it cannot do itself. What is selected is an
execution, not a line: it stays selected wherever sorting or news move it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from rich.text import Text

from runstate import ExecutionState

from ._console import shown
from ._top_board import LiveRow
from ._top_frame import Look, frame, owner_name
from ._top_watch import Picture

Mode: TypeAlias = Literal["executions", "filter", "cancel", "timeline", "help"]

_KEYS: Final = "q quit  ? help  s sort  / filter  Enter open  c cancel  j/k move"
_HELP: Final = """\
  j, k, arrows      move; also PgUp, PgDn, Home, End, g, G
  Enter             open the execution's timeline; Esc or q closes it
  s, S              sort: oldest, longest silent, newest, state, agent, owner
  /                 filter: words that must all be in the id, agent, thread,
                    user, owner, state or phase; Esc takes the filter away
  c                 cancel the execution; asks before it does
  Ctrl-L            draw anew
  q, Ctrl-C         quit

  live              executions that have not ended
  completion        the share of those that ended in the last minute and were
                    not cancelled that COMPLETED
  reliability       the share of those that ended whose own process said how:
                    that are not DEAD. Attempts that others follow do not count
  silent            since the newest sign of life that the journal has: a move
                    or a phase. Heartbeats stay in the owner's memory, so long
                    silence in one phase may be work. In magenta: its owner
                    has warned that a verdict threatens
"""


class Desk(Protocol):
    """Who does what takes time or needs the journal; each answers later, by calling the screen."""

    def open(self, execution_id: str) -> None:
        """Read an execution; `Screen.opened` is told what it looks like."""
        ...

    def cancel(self, execution_id: str) -> None:
        """Cancel one; `Screen.say` is told what came of it."""
        ...


class Screen:
    """What is to be seen, and what is selected.

    Args:
        journal: Its name.
        states: Only executions in these states are listed; none means all.
        desk: Does what the screen cannot.
    """

    def __init__(self, journal: str, states: Sequence[ExecutionState], desk: Desk) -> None:
        self.is_over: bool = False
        """Whether to end."""
        self.mode: Mode = "executions"
        self._journal = journal
        self._states = frozenset(states)
        self._desk = desk
        self._picture: Picture | None = None
        self._order = 0
        self._filter = ""
        self._rows: Sequence[LiveRow] = ()
        self._selected: str | None = None
        self._at = 0
        self._top = 0
        self._page = 1
        self._said = Text("")
        self._opened: str | None = None
        self._story: Sequence[Text] = ()
        self._story_top = 0

    # -- what it is told ----------------------------------------------------------------------------------------------

    def show(self, picture: Picture) -> None:
        """Show a new picture; an open timeline is read anew."""
        self._picture = picture
        if picture.note is not None:
            self.say(picture.note, "yellow")
        self._arrange()
        if self._opened is not None:
            self._desk.open(self._opened)

    def say(self, message: str, style: str = "") -> None:
        """Say something in the last line, until the next key."""
        self._said = shown(message, style, limit=500)

    def opened(self, execution_id: str, story: Sequence[Text]) -> None:
        """Show an execution that was asked for, unless it was closed meanwhile."""
        if self._opened == execution_id:
            self._story = story

    def press(self, key: str) -> None:
        """Do what a key means here."""
        self._said = Text("")
        doing: dict[Mode, Callable[[str], None]] = {
            "executions": self._press_in_executions,
            "filter": self._press_in_filter,
            "cancel": self._press_in_cancel,
            "timeline": self._press_in_timeline,
            "help": self._press_in_help,
        }
        doing[self.mode](key)

    # -- what it looks like -------------------------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> Sequence[Text]:
        """Compose what is to be seen: as many lines as there are, each at most as wide."""
        if self.mode == "help":
            body = [Text("runstate top: keys and words", "bold"), Text(""), *map(Text, _HELP.splitlines())]
        elif self.mode == "timeline":
            self._page = height - 1
            self._story_top = max(0, min(self._story_top, len(self._story) - self._page))
            body = list(self._story[self._story_top : self._story_top + self._page])
        elif self._picture is None:
            body = [
                Text().append("runstate top ", "bold").append_text(shown(self._journal)),
                Text("reading the journal…", "dim"),
            ]
        else:
            look = Look(self._rows, _ORDERS[self._order][0], self._filter, self._at if self._rows else None, self._top)
            composed = frame(self._picture, self._journal, look, width, height - 1)
            body, self._top, self._page = list(composed.lines), composed.top, composed.page
        body = body[: height - 1]
        body += [Text("")] * (height - 1 - len(body))
        lines = [*body, self._last_line()]
        for line in lines:
            line.truncate(width)
        return lines

    def _last_line(self) -> Text:
        if self.mode == "filter":
            return Text().append("/", "bold").append_text(shown(self._filter)).append("_", "blink")
        if self.mode == "cancel" and self._selected is not None:
            return (
                Text()
                .append("cancel ", "bold red")
                .append_text(shown(self._selected, "bold"))
                .append("? y/n", "bold red")
            )
        if self._said:
            return self._said
        if self.mode == "help":
            return Text("any key goes back", "dim")
        if self.mode == "timeline":
            shown_now = min(len(self._story), self._story_top + self._page)
            return Text(f"Esc back  j/k move  c cancel   lines to {shown_now} of {len(self._story)}", "dim")
        return Text(_KEYS, "dim")

    # -- keys ---------------------------------------------------------------------------------------------------------

    def _press_in_executions(self, key: str) -> None:
        if key == "q":
            self.is_over = True
        elif key == "?":
            self.mode = "help"
        elif key == "/":
            self.mode = "filter"
        elif key == "escape":
            self._filter = ""
            self._arrange()
        elif key in {"s", "S"}:
            self._order = (self._order + (1 if key == "s" else -1)) % len(_ORDERS)
            self._arrange()
        elif key == "enter" and self._selected is not None:
            self.mode, self._opened = "timeline", self._selected
            self._story, self._story_top = [Text("reading the journal…", "dim")], 0
            self._desk.open(self._selected)
        elif key == "c" and self._selected is not None:
            self.mode = "cancel"
        else:
            self._select(_moved(key, self._at, len(self._rows), self._page))

    def _press_in_filter(self, key: str) -> None:
        if key in {"enter", "escape"}:
            self.mode = "executions"
            self._filter = "" if key == "escape" else self._filter
        elif key == "backspace":
            self._filter = self._filter[:-1]
        elif key == "clear":
            self._filter = ""
        elif len(key) == 1:
            self._filter += key
        self._arrange()

    def _press_in_cancel(self, key: str) -> None:
        self.mode = "executions" if self._opened is None else "timeline"
        if key in {"y", "Y"} and self._selected is not None:
            self._desk.cancel(self._selected)
            self.say(f"cancelling {self._selected}")
        else:
            self.say("not cancelled")

    def _press_in_timeline(self, key: str) -> None:
        if key in {"q", "escape", "enter"}:
            self.mode, self._opened = "executions", None
        elif key == "c":
            self._selected, self.mode = self._opened, "cancel"
        else:
            last = max(0, len(self._story) - self._page)
            self._story_top = min(last, _moved(key, self._story_top, len(self._story), self._page))

    def _press_in_help(self, _key: str) -> None:
        self.mode = "executions"

    # -- executions ---------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Filter and sort anew; what is selected stays selected, and where it is gone, its place is."""
        if self._picture is None:
            return
        words = self._filter.casefold().split()
        rows = [
            row
            for row in self._picture.live
            if (not self._states or row.state in self._states) and (not words or _has(row, words))
        ]
        rows.sort(key=_ORDERS[self._order][1])
        self._rows = rows
        if self.mode == "cancel" or self._opened is not None:
            return
        ids = (number for number, row in enumerate(rows) if row.execution_id == self._selected)
        self._select(next(ids, self._at))

    def _select(self, at: int) -> None:
        self._at = max(0, min(at, len(self._rows) - 1))
        self._selected = self._rows[self._at].execution_id if self._rows else None


def _moved(key: str, at: int, count: int, page: int) -> int:
    """Where a key leads from a place among so many."""
    places = {
        "j": at + 1, "down": at + 1, "k": at - 1, "up": at - 1, "page down": at + page, " ": at + page, "page up": at - page,
        "home": 0, "g": 0, "end": count - 1, "G": count - 1,
    }  # fmt: skip
    return max(0, min(places.get(key, at), count - 1))


def _has(row: LiveRow, words: Sequence[str]) -> bool:
    phase = "" if row.phase is None else row.phase.name
    texts = (
        row.execution_id,
        row.agent,
        row.thread_id,
        row.user_id,
        owner_name(row.incarnation),
        row.state.name,
        phase,
    )
    text = "\n".join((*texts, row.detail or "")).casefold()
    return all(word in text for word in words)


_Order: TypeAlias = Callable[[LiveRow], tuple[int | str, ...]]

_TABLE_ORDER: Final = {state: number for number, state in enumerate(ExecutionState)}
_ORDERS: Final[Sequence[tuple[str, _Order]]] = (
    ("oldest first", lambda row: (row.created_at_ns,)),
    ("longest silent first", lambda row: (row.sign_at_ns,)),
    ("newest first", lambda row: (-row.created_at_ns,)),
    ("by state", lambda row: (_TABLE_ORDER[row.state], row.created_at_ns)),
    ("by agent", lambda row: (row.agent, row.created_at_ns)),
    ("by owner", lambda row: (row.incarnation, row.created_at_ns)),
)
