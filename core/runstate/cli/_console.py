"""Where output goes, and how data is made fit for a terminal.

Whatever comes from a journal is foreign: a tool's name or an error text may hold escape sequences that recolour a terminal or
rewrite what is on it, and square brackets that rich would take for markup. So data is shown as `Text` made by `shown`, which
escapes every character that does not print, and never as markup.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from rich.console import Console, RenderableType
from rich.text import Text

from runstate import Cause, ExecutionState

Plain: TypeAlias = bool | int | float | str | Sequence["Plain"] | Mapping[str, "Plain"] | None
"""Data that JSON can carry."""

PIPED_WIDTH: Final = 10_000
"""Columns where output is no terminal: nothing is wrapped or cut for whoever reads it with another program."""

NARROWEST: Final = 60
"""Columns that views take at least; a narrower terminal wraps the lines itself, and nothing is cut."""

SHORT: Final = 9
"""Characters of a short id."""

STYLES: Final[dict[ExecutionState, str]] = {
    ExecutionState.PENDING: "blue",
    ExecutionState.STARTING: "blue",
    ExecutionState.RUNNING: "bold blue",
    ExecutionState.COMPLETING: "blue",
    ExecutionState.COMPLETED: "green",
    ExecutionState.FAILED: "red",
    ExecutionState.TIMEOUT: "yellow",
    ExecutionState.DEAD: "magenta",
    ExecutionState.CANCELLED: "cyan",
}


class UsageError(Exception):
    """What was asked for on the command line cannot be done; the message says why, in one line."""


class _PipedConsole(Console):
    """A console that leaves a closed pipe to its caller; newer versions of rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        """Raise the `BrokenPipeError` that is being handled."""
        raise BrokenPipeError


def plain_console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error that shows text as it is."""
    return _PipedConsole(stderr=stderr, highlight=False, emoji=False, markup=False)


def wide_console() -> Console:
    """A console on standard output, without an end to its lines where that is no terminal."""
    console = plain_console()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = PIPED_WIDTH
    console.width = max(console.width, NARROWEST)
    return console


def print_view(*views: RenderableType) -> None:
    """Print renderables on standard output; without trailing blanks where that is no terminal."""
    console = wide_console()
    if console.is_terminal:
        console.print(*views, sep="\n")
        return
    with console.capture() as capture:
        console.print(*views, sep="\n")
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def print_json(data: Plain) -> None:
    """Print data as one JSON document, in ASCII: no character in it can reach a terminal unescaped."""
    json.dump(data, sys.stdout, indent=2, ensure_ascii=True, allow_nan=False)
    sys.stdout.write("\n")


def printable(text: str) -> str:
    """Escape every character that does not print: control characters, bidirectional overrides, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def without_password(journal: str) -> str:
    """Name a journal without the password that its URL may hold."""
    journal = re.sub(r"(?<=://)([^/?@]*:)[^/?@]*@", r"\1***@", journal)
    return re.sub(r"(?<=password=)[^&]*", "***", journal)


def shown(text: str | None, style: str = "", limit: int | None = None) -> Text:
    """Make foreign text fit for a terminal; only its line breaks keep their meaning.

    Args:
        text: The text; None is shown as nothing.
        style: A rich style.
        limit: Keep to one line of at most this many characters.
    """
    if text is None:
        return Text("")
    if limit is not None:
        text = " ".join(text.split("\n"))
        text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return Text("\n".join(printable(line) for line in text.split("\n")), style)


def short_id(execution_id: str) -> str:
    """The end of an id, which tells executions apart that were created together; a short one is given whole."""
    return execution_id if len(execution_id) <= SHORT else f"…{execution_id[1 - SHORT :]}"


def state_text(state: ExecutionState, cause: Cause | None = None) -> Text:
    """A state by its name, in its colour, with the cause of an end."""
    text = Text(state.name, STYLES[state])
    if cause is not None:
        text.append(f" {cause.name}", "dim")
    return text


def moment(at_ns: int) -> str:
    """A time as UTC with milliseconds."""
    try:
        at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):  # a clock that was wrong by millennia is still shown
        return f"{at_ns} ns"
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ns // 1_000_000 % 1_000:03d}"


def span(seconds: float) -> str:
    """A duration, in the unit that suits it."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
