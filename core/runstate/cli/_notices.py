"""`runstate notices`: what it shows, and how it has notices tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.text import Text

import runstate
from runstate import NoticeRecord, NoticeState, OutboxRecord

from ._arguments import AsJson, Journal, open_to_read
from ._console import UsageError, moment, print_json, print_view, shown, span, state_text
from ._exits import OK
from ._listing import Listing
from ._plain import notice_data, outbox_data

_STATES: Final = {NoticeState.PENDING: "yellow", NoticeState.DELIVERED: "green", NoticeState.PARKED: "bold red"}
_NAME: Final = 40
"""Characters of a name that a listing shows."""


def notices(
    journal: Journal = "runs.db",
    *,
    state: Annotated[NoticeState | None, Parameter(help="In this state.")] = None,
    outbox: Annotated[str | None, Parameter(help="In this outbox.")] = None,
    thread_id: Annotated[str | None, Parameter(help="Of this conversation.")] = None,
    limit: Annotated[int, Parameter(help="At most this many, of the newest executions.")] = 100,
    retry: Annotated[list[str] | None, Parameter(negative="", help="Try this one at once; may be repeated.")] = None,
    json: AsJson = False,
) -> int:
    """List what users are to be told of ends, and what became of it; with --retry have it tried again."""
    found = retried(journal, retry, outbox) if retry else None
    with open_to_read(journal) as tracker:
        if found is None:
            found = tracker.notices(outbox=outbox, state=state, thread_id=thread_id, limit=limit)
        outboxes = tracker.outboxes()
    if json:
        print_json({"notices": [notice_data(one) for one in found], "outboxes": [outbox_data(one) for one in outboxes]})
        return OK
    print_view(*((notices_view(found), "") if found else ()), outboxes_view(outboxes))
    return OK


def retried(journal: str, notice_ids: Sequence[str], outbox: str | None) -> tuple[NoticeRecord, ...]:
    """Have notices tried at once; return what they are now.

    Args:
        journal: Where.
        notice_ids: Which.
        outbox: In which outbox; None is the only one that there is.

    Raises:
        UsageError: There are several outboxes, and none is named.
    """
    with runstate.open(
        journal, read_only=True
    ) as reader:  # before it is opened for writing, which would make a journal
        for notice_id in notice_ids:
            reader.get(notice_id)
        known = [one.name for one in reader.outboxes()]
    if outbox is None and len(known) > 1:
        raise UsageError(f"there are several outboxes; say in which one, with --outbox: {', '.join(known)}")
    name = outbox or (known or ["default"])[0]
    with runstate.open(journal) as tracker:
        for notice_id in notice_ids:
            tracker.retry_notice(notice_id, outbox=name)
        found = tracker.notices(outbox=name, limit=1_000_000)
    return tuple(one for one in found if one.notice_id in set(notice_ids))


def notices_view(notices: Sequence[NoticeRecord]) -> RenderableType:
    """Notices, one a row."""
    last = "why the last attempt failed"
    columns = {
        "notice": [shown(notice.notice_id, "bold") for notice in notices],
        "state": [_state(notice) for notice in notices],
        "age": [Text(span(notice.age)) for notice in notices],
        "tries": [Text(str(notice.attempts)) for notice in notices],
        "end": [state_text(notice.end) for notice in notices],
        "thread": [shown(notice.thread_id, limit=_NAME) for notice in notices],
        last: [Text("") if notice.error is None else shown(notice.error, "dim", 100) for notice in notices],
        "ended (UTC)": [Text(moment(notice.ended_at_ns)) for notice in notices],
        "outbox": [shown(notice.outbox, limit=_NAME) for notice in notices],
        "user": [shown(notice.user_id, limit=_NAME) for notice in notices],
        "claimed by": [Text("") if notice.claimed_by is None else shown(notice.claimed_by) for notice in notices],
    }
    by_importance = (
        "notice",
        "state",
        "age",
        "tries",
        "thread",
        last,
        "end",
        "outbox",
        "claimed by",
        "ended (UTC)",
        "user",
    )
    return Listing(columns, by_importance, right={"age", "tries"}, cut=last)


def _state(notice: NoticeRecord) -> Text:
    text = Text(notice.state.name, _STATES[notice.state])
    if notice.due_in:
        text.append(f" in {span(notice.due_in)}", "dim")
    return text


def outboxes_view(outboxes: Sequence[OutboxRecord]) -> RenderableType:
    """Outboxes, one a line."""
    return Group(*(_outbox_text(outbox) for outbox in outboxes)) if outboxes else Text("no outbox is open", "dim")


def _outbox_text(outbox: OutboxRecord) -> Text:
    text = Text("outbox ").append_text(shown(outbox.name, "bold"))
    text.append(f": {outbox.pending:,} pending, ")
    text.append(f"{outbox.parked:,} parked", "bold red" if outbox.parked else "")
    if outbox.lost:
        text.append(f", {outbox.lost:,} removed undelivered", "red")
    return text.append(f"; open since {moment(outbox.since_ns)} UTC", "dim")
