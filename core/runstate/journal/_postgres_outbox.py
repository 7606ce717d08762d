"""The outboxes of a PostgreSQL journal, on the session of the worker's own affairs. Every verb can be repeated when an answer is lost."""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterator, Sequence

from psycopg import Connection

from .._errors import InvalidValueError
from .._fleet_codec import decode_notice, decode_outbox
from .._notices import Notice, NoticeRecord, NoticeState, OutboxRecord, Settlement
from . import _postgres_outbox_sql
from ._outbox import PAGE, Candidate, Claimed, claim_all, wanted
from ._postgres_fleet import PostgresFleet
from ._rows import record_of


class PostgresOutbox(PostgresFleet):
    """What `Outbox` adds to `Journal`, in a PostgreSQL database."""

    def open_outbox(self, name: str, /) -> None:
        """Have notices of all ends from now on. See `Outbox.open_outbox`."""
        self._change(_postgres_outbox_sql.OPEN, (name,))

    def remove_outbox(self, name: str, /) -> int | None:
        """Have no more notices in an outbox. See `Outbox.remove_outbox`."""
        undelivered: int | None = self._change(_postgres_outbox_sql.REMOVE, (name,))
        return undelivered

    def outboxes(self) -> Sequence[OutboxRecord]:
        """Read all outboxes. See `Outbox.outboxes`."""
        return [decode_outbox(row) for row in self._rows(_postgres_outbox_sql.OUTBOXES, {})]

    def claim(
        self,
        outbox: str,
        incarnation: str,
        limit: int,
        /,
        *,
        threads: Container[str] | None = None,
        held: Collection[str] = (),
    ) -> Sequence[Notice]:
        """Take notices to deliver. See `Outbox.claim`."""

        def claim_some(session: Connection, limit: int, held: Collection[str]) -> Claimed:
            asked = {"outbox": outbox, "incarnation": incarnation}
            row = session.execute(_postgres_outbox_sql.CLAIMANT, asked).fetchone()
            its_number, worker = row or (None, None)
            if its_number is None:
                raise InvalidValueError("outbox", outbox, "one that is open")
            if worker is None:
                raise InvalidValueError("incarnation", incarnation, "that of a worker that has joined and is not gone")
            chosen = wanted(_candidates(session, its_number, worker), limit, threads, held)
            if not chosen:
                return Claimed(0, [])
            numbers = [one.number for one in chosen]
            found = session.execute(_postgres_outbox_sql.RECORDS, (numbers,)).fetchall()
            records = {row[0]: record_of(row[1:]) for row in found}  # first: what cannot be read is not claimed
            rows = session.execute(_postgres_outbox_sql.CLAIM, (outbox, incarnation, numbers)).fetchall()
            claimed = [(records[number], attempts) for number, attempts in rows]
            return Claimed(len(chosen), [Notice(record.execution_id, attempts, record) for record, attempts in claimed])

        self._refuse_to_write()
        return claim_all(
            lambda limit, held: self._session.ask(lambda session: claim_some(session, limit, held)), limit, held
        )

    def settle(self, outbox: str, incarnation: str, settled: Sequence[Settlement], /) -> Sequence[str]:
        """Say what came of claimed notices. See `Outbox.settle`."""
        said = [{**one._asdict(), "verdict": one.verdict.value} for one in settled]
        refused: list[str] = self._change(_postgres_outbox_sql.SETTLE, (outbox, incarnation, json.dumps(said)))
        return refused

    def notices(
        self, outbox: str | None, state: NoticeState | None, thread_id: str | None, limit: int, /
    ) -> Sequence[NoticeRecord]:
        """Read notices. See `Outbox.notices`."""
        asked = {"outbox": outbox, "thread_id": thread_id, "limit": limit}
        rows = self._rows(_postgres_outbox_sql.read_notices(outbox, state, thread_id), asked)
        return [decode_notice(row) for row in rows]

    def retry_notice(self, outbox: str, notice_id: str, /) -> NoticeState | None:
        """Have a notice tried at once. See `Outbox.retry_notice`."""
        delivered: bool | None = self._change(_postgres_outbox_sql.RETRY, (outbox, notice_id))
        if delivered is None:
            return None
        return NoticeState.DELIVERED if delivered else NoticeState.PENDING


def _candidates(session: Connection, outbox: int, worker: int) -> Iterator[Candidate]:
    after = 0
    while True:
        asked = {"outbox": outbox, "worker": worker, "after": after, "limit": PAGE}
        rows = session.execute(_postgres_outbox_sql.CANDIDATES, asked).fetchall()
        for row in rows:
            yield Candidate(*row)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]
