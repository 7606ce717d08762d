"""The outboxes of an SQLite journal. Pauses go by the machine's wall clock, which a restart of it does not set back."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Container, Iterator, Mapping, Sequence

from .._errors import InvalidValueError
from .._fleet_codec import decode_notice, decode_outbox
from .._notices import Notice, NoticeRecord, NoticeState, OutboxRecord, Settlement, Verdict
from . import _sql_outbox
from ._outbox import PAGE, Candidate, Claimed, claim_all, wanted
from ._rows import Value, record_of
from ._sqlite_fleet import SqliteFleet, named_rows


class SqliteOutbox(SqliteFleet):
    """What `Outbox` adds to `Journal`, in an SQLite file."""

    def open_outbox(self, name: str, /) -> None:
        """Have notices of all ends from now on. See `Outbox.open_outbox`."""
        self._write(lambda connection: self._change(connection, _sql_outbox.OPEN, {"name": name}))

    def remove_outbox(self, name: str, /) -> int | None:
        """Have no more notices in an outbox. See `Outbox.remove_outbox`."""

        def remove(connection: sqlite3.Connection) -> int | None:
            found = connection.execute(_sql_outbox.NUMBER, {"name": name}).fetchone()
            if found is None:
                return None
            asked = {"outbox": found[0]}
            undelivered: int = connection.execute(_sql_outbox.UNDELIVERED, asked).fetchone()[0]
            connection.execute(_sql_outbox.REMOVE, asked)
            return undelivered

        return self._write(remove)

    def outboxes(self) -> Sequence[OutboxRecord]:
        """Read all outboxes. See `Outbox.outboxes`."""
        with self._reading() as connection:
            rows = named_rows(connection, _sql_outbox.OUTBOXES, {})
        return [decode_outbox(row) for row in rows]

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

        def claim_some(limit: int, held: Collection[str]) -> Claimed:
            with self._reading() as connection:
                facts = self._claimant(connection, outbox, incarnation)
                chosen = wanted(_candidates(connection, facts), limit, threads, held)
            return Claimed(
                len(chosen), self._write(lambda connection: self._claim(connection, facts, chosen)) if chosen else []
            )

        return claim_all(claim_some, limit, held)

    def settle(self, outbox: str, incarnation: str, settled: Sequence[Settlement], /) -> Sequence[str]:
        """Say what came of claimed notices. See `Outbox.settle`."""
        return self._write(lambda connection: self._settle(connection, outbox, incarnation, settled))

    def notices(
        self, outbox: str | None, state: NoticeState | None, thread_id: str | None, limit: int, /
    ) -> Sequence[NoticeRecord]:
        """Read notices. See `Outbox.notices`."""
        asked = {"outbox": outbox, "thread_id": thread_id, "limit": limit, **self._now()}
        with self._reading() as connection:
            rows = named_rows(connection, _sql_outbox.read_notices(outbox, state, thread_id), asked)
        return [decode_notice(row) for row in rows]

    def retry_notice(self, outbox: str, notice_id: str, /) -> NoticeState | None:
        """Have a notice tried at once. See `Outbox.retry_notice`."""

        def retry(connection: sqlite3.Connection) -> NoticeState | None:
            found = connection.execute(_sql_outbox.NUMBER, {"name": outbox}).fetchone()
            asked = {"outbox": None if found is None else found[0], "notice_id": notice_id}
            connection.execute(_sql_outbox.RETRY, asked)
            delivered = connection.execute(_sql_outbox.STATE, asked).fetchone()
            if delivered is None:
                return None
            return NoticeState.DELIVERED if delivered[0] else NoticeState.PENDING

        return self._write(retry)

    def _claimant(self, connection: sqlite3.Connection, outbox: str, incarnation: str) -> dict[str, Value]:
        """The numbers of an outbox and of the worker that claims from it, and what time it is."""
        found = connection.execute(_sql_outbox.NUMBER, {"name": outbox}).fetchone()
        if found is None:
            raise InvalidValueError("outbox", outbox, "one that is open")
        worker = connection.execute(_sql_outbox.WORKER, {"incarnation": incarnation}).fetchone()
        if worker is None:
            raise InvalidValueError("incarnation", incarnation, "that of a worker that has joined and is not gone")
        return {"outbox": found[0], "worker": worker[0], **self._now()}

    def _claim(
        self, connection: sqlite3.Connection, facts: Mapping[str, Value], chosen: Sequence[Candidate]
    ) -> list[Notice]:
        claimed: list[Notice] = []
        for one in chosen:
            asked = {**facts, "number": one.number}
            if connection.execute(_sql_outbox.CLAIM, asked).rowcount:
                attempts: int
                attempts, *record = connection.execute(_sql_outbox.CLAIMED, asked).fetchone()
                claimed.append(Notice(one.notice_id, attempts, record_of(tuple(record))))
        return claimed

    def _settle(
        self, connection: sqlite3.Connection, outbox: str, incarnation: str, settled: Sequence[Settlement]
    ) -> list[str]:
        found = connection.execute(_sql_outbox.NUMBER, {"name": outbox}).fetchone()
        worker = connection.execute(_sql_outbox.WORKER, {"incarnation": incarnation}).fetchone()
        facts = {
            "outbox": None if found is None else found[0],
            "worker": None if worker is None else worker[0],
            **self._now(),
        }
        unacknowledged: list[str] = []
        for one in settled:
            said: dict[str, Value] = {
                **facts,
                "notice_id": one.notice_id,
                "verdict": one.verdict.value,
                "pause_ns": round(one.pause * 1e9),
                "error": one.error,
            }
            if not connection.execute(_sql_outbox.SETTLE, said).rowcount and one.verdict is Verdict.DELIVERED:
                deliverer = connection.execute(_sql_outbox.DELIVERER, said).fetchone()
                if deliverer is None or deliverer[0] != incarnation:  # else said before, and the answer was lost
                    unacknowledged.append(one.notice_id)
        return unacknowledged


def _candidates(connection: sqlite3.Connection, facts: Mapping[str, Value]) -> Iterator[Candidate]:
    after = 0
    while True:
        rows = connection.execute(_sql_outbox.CANDIDATES, {**facts, "after": after, "limit": PAGE}).fetchall()
        for row in rows:
            yield Candidate(*row)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]
