"""What the outboxes of a journal, and the notices in them, must be like: the part of `verify` about who is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .._errors import RecordDecodeError, describe
from .._fleet_codec import decode_notice, decode_outbox
from ..journal._notice_rules import is_followed
from ..journal._rules import has_ended
from ._finding import Finding
from ._fleet import Dialect, Read
from ._log import check_text, id_text, named

_OUTBOXES: Final = """
SELECT o.number, o.name, o.since_ns, 0 AS pending, 0 AS parked, o.lost, o.since FROM {schema}outboxes AS o ORDER BY o.number
"""
_NOTICES: Final = """
SELECT x.execution_id AS notice_id, o.name AS outbox, x.agent, x.thread_id, x.user_id, x.state AS "end", n.ended_at_ns, n.attempts,
       n.due_at_ns, w.incarnation AS claimed_by, n.delivered_at_ns, n.parked_at_ns, n.error, n.ended_at_ns AS now_ns,
       n.claimed_by AS claimant, x.updated_at_ns AS ended, e.position, o.since
FROM {schema}notices AS n JOIN {schema}outboxes AS o ON o.number = n.outbox JOIN {schema}executions AS x ON x.number = n.number
LEFT JOIN {schema}workers AS w ON w.number = n.claimed_by LEFT JOIN {schema}entries AS e ON e.number = x.number AND e.seq = x.seq
ORDER BY n.number, n.outbox
"""
_ORPHANS: Final = """
SELECT n.number, n.outbox FROM {schema}notices AS n
WHERE n.number NOT IN (SELECT number FROM {schema}executions) OR n.outbox NOT IN (SELECT number FROM {schema}outboxes)
ORDER BY n.number, n.outbox
"""
_UNNOTICED: Final = f"""
SELECT x.execution_id, o.name
FROM {{schema}}outboxes AS o CROSS JOIN {{schema}}executions AS x
JOIN {{schema}}entries AS e ON e.number = x.number AND e.seq = x.seq
WHERE {has_ended("x.state")} AND e.position > o.since AND NOT {is_followed("x", "{schema}")}
  AND NOT EXISTS (SELECT 1 FROM {{schema}}notices AS n WHERE n.number = x.number AND n.outbox = o.number)
ORDER BY x.number, o.number
"""  # noqa: S608 - rendered from the transition table


def notices(read: Read, dialect: Dialect) -> Iterator[Finding]:
    """Yield what is wrong with outboxes and notices."""
    (head,) = read(dialect.newest)
    for found in read(_OUTBOXES.format_map(dialect._asdict())):
        row = named(found)
        number, since, newest = row.pop("number"), row.pop("since"), head["newest"]
        try:
            check_text(row)
            decode_outbox(row)
        except RecordDecodeError as error:
            yield Finding("outbox", None, f"outbox {describe(number)}: {error}")
        if not isinstance(since, int) or (isinstance(newest, int) and since > newest):
            yield Finding(
                "outbox",
                None,
                f"outbox {describe(number)} is open since position {describe(since)}, beyond the last, {describe(newest)}",
            )
    for found in read(_ORPHANS.format_map(dialect._asdict())):
        number, outbox = found["number"], found["outbox"]
        yield Finding(
            "orphan",
            None,
            f"a notice belongs to execution number {describe(number)} and outbox {describe(outbox)}, which are not both there",
        )
    for found in read(_NOTICES.format_map(dialect._asdict())):
        row = named(found)
        claimant, ended, position, since = (row.pop(name) for name in ("claimant", "ended", "position", "since"))
        where, said = id_text(row["notice_id"]), f"its notice in outbox {describe(row['outbox'])}"
        try:
            check_text(row)
            notice = decode_notice(row)
        except RecordDecodeError as error:
            yield Finding("notice", where, f"{said}: {error}")
            continue
        if notice.delivered_at_ns is not None and claimant is None:
            yield Finding("notice", where, f"{said} is delivered, but by nobody")
        if notice.parked_at_ns is not None and (claimant is not None or notice.error is None):
            yield Finding("notice", where, f"{said} is parked, but claimed, or for no error")
        if notice.ended_at_ns != ended:
            yield Finding(
                "notice",
                where,
                f"{said} says that it ended at {notice.ended_at_ns}, but its last entry is of {describe(ended)}",
            )
        if isinstance(position, int) and isinstance(since, int) and position <= since:
            yield Finding(
                "notice",
                where,
                f"{said} is of an end at position {position}, and the outbox is open only since {since}",
            )
    for found in read(_UNNOTICED.format_map(dialect._asdict())):
        row = named(found)
        yield Finding(
            "notice", id_text(row["execution_id"]), f"it has ended, and has no notice in outbox {describe(row['name'])}"
        )
