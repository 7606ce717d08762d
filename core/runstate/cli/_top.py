"""`runstate top`: what lives, how executions end and who works, in a terminal, as it happens; or once."""

from __future__ import annotations

import logging
import sys
from math import inf
from typing import Annotated

from cyclopts import Parameter

from runstate import ExecutionState

from ._arguments import Journal
from ._console import UsageError, plain_console, print_view
from ._exits import OK


def top(
    journal: Journal = "runs.db",
    *,
    interval: Annotated[float, Parameter(help="Seconds between two looks into the journal, 0.1 or more.")] = 1.0,
    once: Annotated[bool, Parameter(negative="", show_default=False, help="Print one frame and end.")] = False,
    state: Annotated[
        list[ExecutionState] | None, Parameter(negative="", help="List only those in this live state; may be repeated.")
    ] = None,
) -> int:
    """Watch a journal in a terminal: what lives, how executions end, who works; open and cancel executions. ? lists the keys."""
    if not 0.1 <= interval < inf:
        raise UsageError("--interval must be a number of seconds, 0.1 or more")
    ended = [one.value for one in state or () if one.is_terminal]
    if ended:
        raise UsageError(f"top lists live executions; for others see runstate ls --state {ended[0]}")
    if once:
        return _print_once(journal, state or [])
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or plain_console().is_dumb_terminal:
        raise UsageError("top needs a terminal that can draw anew; elsewhere --once prints one frame")
    from ._top_session import Session
    from ._top_watch import Watch

    # The log says that the server is away, and so does the screen, which a line of the log would spoil.
    logging.getLogger("runstate.server").addHandler(logging.NullHandler())
    return Session(journal, interval, state or []).run(Watch(journal))


def _print_once(journal: str, states: list[ExecutionState]) -> int:
    from ._console import wide_console
    from ._top_frame import Look, frame
    from ._top_watch import Watch

    watch = Watch(journal)
    try:
        picture = watch.picture()
    finally:
        watch.close()
    rows = sorted((row for row in picture.live if not states or row.state in states), key=lambda row: row.created_at_ns)
    print_view(*frame(picture, journal, Look(rows, "oldest first"), wide_console().width, None).lines)
    return OK
