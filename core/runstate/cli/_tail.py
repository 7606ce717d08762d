"""`runstate tail`: the journal's events as they come, one a line.

A terminal gets aligned columns that fit its width, and short ids where there is no room for whole ones. Where output is no terminal,
nothing is cut: whole ids, whole dates, whole errors, on one line. A line is handed on as soon as no other follows at once.
"""

from __future__ import annotations

import json as json_module
import logging
import select
import sys
from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from runstate import Created, Event, ExecutionState, PhaseChange, Transition

from ._arguments import AsJson, Journal, open_to_read
from ._console import UsageError, moment, plain_console, short_id, shown, state_text
from ._exits import OK, UNREADABLE, complain
from ._following import AT_ONCE, Following, Wanted, last_events, newest_position
from ._plain import entry_data

_PATIENCE: Final = 0.5
"""Seconds between looks whether whoever reads the output is still there, and whether the journal is back."""
_LAST: Final = 10
_MOST: Final = 1_000_000
_ROOM_FOR_IDS: Final = 132
"""Columns from which on ids are shown whole."""
_WHOLE: Final = 1_000_000
"""Characters that no text in a journal exceeds."""

_Write: TypeAlias = Callable[[Event], None]


def tail(
    journal: Journal = "runs.db",
    *,
    after: Annotated[int | None, Parameter(help="Begin after this position, as --json prints it.")] = None,
    last: Annotated[int | None, Parameter(help="Begin with this many of the newest; 10 without --after.")] = None,
    agent: Annotated[str | None, Parameter(help="Of this agent.")] = None,
    thread_id: Annotated[str | None, Parameter(help="Of this conversation.")] = None,
    user_id: Annotated[str | None, Parameter(help="Of this user.")] = None,
    execution: Annotated[
        str | None, Parameter(name="--execution", help="Of this execution, by its id; ends when it has ended.")
    ] = None,
    follow: Annotated[
        bool, Parameter(name="--follow", show_default=False, help="Wait for what comes: the default.")
    ] = True,
    json: AsJson = False,
) -> int:
    """Follow the journal's events, one a line; --json prints one JSON document a line, with the position to resume after."""
    if after is not None and last is not None:
        raise UsageError("give --after or --last, not both")
    if not 0 <= (_LAST if last is None else last) <= _MOST:
        raise UsageError(f"--last must be between 0 and {_MOST:,}")
    wanted = Wanted(execution, agent, thread_id, user_id)
    if execution is not None:
        with open_to_read(journal) as reader:
            follow = follow and not reader.get(execution).is_terminal
    # The log says that the server is away, and so does this.
    logging.getLogger("runstate.server").addHandler(logging.NullHandler())
    following = Following(journal, wanted, complain)
    try:
        write = _json_writer() if json else _text_writer(plain_console())
        if after is None:
            events, after = last_events(following.tracker, _LAST if last is None else last, wanted)
            for event in events:
                write(event)
        elif after > (newest := newest_position(following.tracker)):
            complain(
                f"the journal ends at position {newest}, before {after}: is it another one? Going on after {newest}"
            )
            after = newest
        following.begin(after)
        return _follow(following, write, follows=follow, one=execution is not None)
    finally:
        following.close()


def _follow(following: Following, write: _Write, *, follows: bool, one: bool) -> int:
    """Write what comes.

    Args:
        following: Gives the events.
        write: Writes one.
        follows: Whether to wait for more.
        one: Whether all is of one execution, after whose end nothing comes.
    """
    patience = AT_ONCE
    while True:
        event = following.next(patience)
        if event is not None:
            write(event)
            patience = AT_ONCE
            if one and isinstance(event.entry, Transition) and event.entry.target.is_terminal:
                return OK
            continue
        sys.stdout.flush()
        if not follows:
            return OK if following.away is None else UNREADABLE
        _look_at_reader()
        patience = _PATIENCE


def _look_at_reader() -> None:
    """Notice that nobody reads the output any more, though nothing is to be written now.

    Raises:
        BrokenPipeError: Nobody does.
    """
    try:
        number = sys.stdout.fileno()
    except OSError:  # a stream in memory has no reader that could go
        return
    look = select.poll()
    look.register(number, 0)
    if look.poll(0):
        raise BrokenPipeError


def _json_writer() -> _Write:
    def write(event: Event) -> None:
        data = {
            "position": event.position,
            **entry_data(event.entry),
            "agent": event.agent,
            "thread_id": event.thread_id,
            "user_id": event.user_id,
        }
        sys.stdout.write(json_module.dumps(data, ensure_ascii=True, allow_nan=False) + "\n")

    return write


def _text_writer(console: Console) -> _Write:
    if not console.is_terminal:
        return _write_whole
    day = ""

    def write(event: Event) -> None:
        nonlocal day
        width = console.width  # it may have changed
        date, _, clock = moment(event.entry.at_ns).partition(" ")
        if date != day:
            day = date
            console.print(Text(f"{date} UTC", "dim"))
        console.print(_line(event, clock, width), no_wrap=True, overflow="crop", crop=True)

    return write


def _write_whole(event: Event) -> None:
    columns = (
        Text(moment(event.entry.at_ns)),
        _one_line(event.entry.execution_id),
        _one_line(event.agent),
        _one_line(event.thread_id),
    )
    line = "  ".join(f"{column.plain:<10}" for column in columns)
    sys.stdout.write(f"{line}  {_what(event).plain.strip()}\n")


def _line(event: Event, clock: str, width: int) -> Text:
    """One line for a terminal."""
    name = max(8, min(24, (width - 60) // 3))
    is_wide = width >= _ROOM_FOR_IDS
    id_text = _one_line(event.entry.execution_id if is_wide else short_id(event.entry.execution_id), "bold")
    line = Text().append(clock or moment(event.entry.at_ns), "dim").append(" ")
    for text, room in (
        (id_text, 32 if is_wide else 9),
        (_one_line(event.agent), name),
        (_one_line(event.thread_id), name),
    ):
        text.truncate(room, overflow="ellipsis", pad=True)
        line.append_text(text).append(" ")
    line.append_text(_what(event))
    line.truncate(width, overflow="ellipsis")
    return line


def _what(event: Event) -> Text:
    """What happened, in one line."""
    entry = event.entry
    if isinstance(entry, Created):
        return Text().append_text(state_text(ExecutionState.PENDING)).append_text(_after(" user ", event.user_id))
    if isinstance(entry, PhaseChange):
        return Text("  ").append(entry.phase.name).append_text(_after(" ", entry.detail))
    if isinstance(entry, Transition):
        return Text().append_text(state_text(entry.target, entry.cause)).append_text(_after(" ", entry.error))
    return (
        Text("  warned of ")
        .append_text(state_text(ExecutionState.DEAD, entry.cause))
        .append_text(_after(" ", entry.detail))
    )


def _after(before: str, text: str | None) -> Text:
    return Text("") if not text else Text(before).append_text(_one_line(text, "dim"))


def _one_line(text: str, style: str = "") -> Text:
    return shown(text, style, limit=_WHOLE)
