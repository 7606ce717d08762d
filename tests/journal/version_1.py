"""The code of the PostgreSQL journal's version 1, as far as it talked to the database otherwise than today's."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import Connection

from runstate import Entry
from runstate.journal import _migrations, _postgres_sql
from runstate.journal.postgres import PostgresJournal, _closed_unless_ready

MIGRATIONS = _migrations.MIGRATIONS[:1]


class Version1Journal(PostgresJournal):
    """Registers a worker before its first entry, and knows no fleet."""

    def _connect_writer(self) -> Connection:
        connection = self._address.connect("writer")
        with _closed_unless_ready(connection):
            connection.execute(_postgres_sql.WRITING)
            _migrations.prepare(connection, self._address.shown, MIGRATIONS)
            _migrations.check_version(connection, self._address.shown, MIGRATIONS)
        return connection

    def _connect_reader(self) -> Connection:
        connection = self._address.connect("reader")
        connection.execute(_postgres_sql.READING)
        _migrations.check_version(connection, self._address.shown, MIGRATIONS)
        return connection

    def _write(self, batch: Sequence[Entry], encoded: str, *, creates: bool) -> list[str]:
        with self._writing() as writer:
            for incarnation in {entry.incarnation for entry in batch} - self._workers:
                writer.execute(_postgres_sql.REGISTER, (incarnation,))
                self._workers.add(incarnation)
            self._prune(writer, batch[-1].at_ns)
            try:
                writer.execute(_postgres_sql.APPEND, (encoded, creates), prepare=True)
            except psycopg.IntegrityError:
                row = writer.execute(_postgres_sql.APPEND_AROUND, (encoded, False)).fetchone()
                return [] if row is None else list(row[0])
        return []
