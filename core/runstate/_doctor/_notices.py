"""Whether users are told: the part of `diagnose` about notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..journal._notice_rules import PENDING, is_there
from ._diagnosis import Diagnosis, counted, fine, listed, problem, span, warning
from ._fleet import NAMED, Fleet

LONG: Final = 60.0
"""Seconds that a notice may wait."""

_OUTBOXES: Final = "SELECT o.number, o.name, o.lost FROM {schema}outboxes AS o ORDER BY o.number"
_FOUND: Final = (
    "SELECT x.execution_id, n.error, n.ended_at_ns, n.attempts, count(*) OVER () AS many, "  # noqa: S608 - our own names and numbers
    "CASE WHEN {there} THEN w.incarnation END AS claimed_by FROM {schema}notices AS n "
    "JOIN {schema}executions AS x ON x.number = n.number LEFT JOIN {schema}workers AS w ON w.number = n.claimed_by "
    f"WHERE n.outbox = {{outbox}} AND {{condition}} ORDER BY n.number LIMIT {NAMED}"
)


def notices(found: Fleet) -> Iterator[Diagnosis]:
    """Yield what is to be said of outboxes and notices."""
    outboxes = found.ask(_OUTBOXES)
    if not outboxes:
        yield fine(
            "notice",
            "no outbox is open",
            "a program that calls `tracker.deliver` opens one, and every end is told from then on",
        )
        return
    for outbox in outboxes:
        said = list(_outbox(found, outbox["number"], f"outbox {outbox['name']}", outbox["lost"]))
        yield from said or [
            fine(
                "notice",
                f"outbox {outbox['name']}: nothing is parked, and nothing waits for long",
                f"each end is told within {span(LONG)}",
            )
        ]


def _outbox(found: Fleet, number: int, name: str, lost: int) -> Iterator[Diagnosis]:
    parked = _found(found, number, "n.parked_at_ns IS NOT NULL")
    if parked:
        yield problem(
            "notice",
            f"{name}: {counted(parked[0]['many'], 'notice')} parked, so that many users were not told: {_ids(parked)}; the oldest "
            f"after {counted(parked[0]['attempts'], 'attempt')}, {parked[0]['error']}",
            "a notice is delivered, if need be after some attempts",
            "mend what the error says, then `runstate notices --retry ID`, or `tracker.retry_notice`",
            [row["execution_id"] for row in parked],
        )
    waiting = _found(found, number, f"{PENDING} AND n.ended_at_ns < {found.now_ns - round(LONG * 1e9)}")
    if waiting:
        oldest = waiting[0]
        trouble = "nobody has tried it" if oldest["error"] is None else f"the last attempt failed, {oldest['error']}"
        if oldest["claimed_by"] is not None:
            trouble += f", worker {oldest['claimed_by']} is at it"
        yield warning(
            "notice",
            f"{name}: {counted(waiting[0]['many'], 'notice')} undelivered for more than {span(LONG)}: {_ids(waiting)}; the oldest "
            f"for {span((found.now_ns - oldest['ended_at_ns']) / 1e9)}, {trouble}",
            f"each end is told within {span(LONG)}",
            "let a process run that calls `tracker.deliver` for this outbox and reaches these conversations, or remove the outbox with "
            "`tracker.remove_outbox`",
            [row["execution_id"] for row in waiting],
        )
    if lost:
        yield warning(
            "notice",
            f"{name}: retention has removed {counted(lost, 'notice')} that {'was' if lost == 1 else 'were'} never delivered",
            "what has ended is told long before it is past its retention",
            "deliver sooner, or keep executions longer (`Limits.retention`, `Limits.retained_executions`)",
        )


def _found(found: Fleet, number: int, condition: str) -> list[Any]:
    there = is_there("n.claimed_by", found.schema)
    return list(found.ask(_FOUND, outbox=number, condition=condition, there=there))


def _ids(rows: list[Any]) -> str:
    return listed([row["execution_id"] for row in rows], rows[0]["many"])
