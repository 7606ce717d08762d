"""Connections to PostgreSQL: where to, with what settings, when to try again, and what their errors mean.

**Passwords.** A URL may hold one, so no URL is ever shown: `Address.shown` is made of the host, port, database and user alone. libpq
quotes a URL that it cannot read, and a password with an unescaped `@` or `/` would end in a host name that it looks up and
reports; both are refused before libpq sees them.

**Lost connections.** What is lost is tried again at once, and then for `RETRY_FOR` seconds with growing, jittered pauses: a server
that restarts is not noticed by the agents, and a hundred workers do not come back in the same millisecond. After that it is
`JournalUnavailableError`, and the writer goes on trying by itself. The log says once that the server is away, and once that it is there
again, whichever of the connections finds it out. The chance in the pauses is the system's: a program that has seeded
Python's own `random`, such as a test that is to be replayed, finds it as it left it.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeVar

import psycopg
import tenacity
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .._errors import InvalidValueError, JournalCorruptError, JournalError, JournalUnavailableError

T = TypeVar("T")

RETRY_FOR: Final = 5.0
"""Seconds for which a lost connection is tried anew."""
FIRST_PAUSE: Final = (0.02, 0.2)
"""Seconds before the second attempt, at least and at most; each further pause is twice as long."""
chance: Final = random.SystemRandom()
logger: Final = logging.getLogger("runstate.server")
CONNECT_TIMEOUT: Final = 5
"""Seconds to wait for a server that does not answer."""

_DEFAULTS: Final = {
    "connect_timeout": CONNECT_TIMEOUT,
    # a host that has vanished is noticed after about 20 s, not after the two hours of most systems
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_GONE: Final = ("08", "57P", "25006")
"""How the codes begin that say: no connection; ended, or not let in, by a server that stops, crashes, starts or has no use for it; a
server that is read-only since another one took over."""


class Address:
    """Where a journal is.

    Args:
        url: `postgresql://user:password@host:port/database?option=value`, as libpq takes it.

    Raises:
        InvalidValueError: It is no such URL. The message does not show it.
    """

    def __init__(self, url: str) -> None:
        expected = "`postgresql://user:password@host:port/database`, with special characters percent-encoded"
        before, _, _ = url.partition("?")
        credentials, at, _ = before.removeprefix("postgresql://").rpartition("@")
        if "/" in credentials or "@" in credentials:
            raise InvalidValueError("url", _Hidden(), expected)
        try:
            wanted = conninfo_to_dict(url)
            self._conninfo = make_conninfo("", **{**_DEFAULTS, **{k: v for k, v in wanted.items() if v is not None}})
        except psycopg.Error:
            raise InvalidValueError("url", _Hidden(), expected) from None  # libpq quotes what it cannot read
        host, port = str(wanted.get("host") or wanted.get("hostaddr") or ""), str(wanted.get("port") or "")
        user = f"{wanted['user']}@" if at and wanted.get("user") else ""
        self.shown: str = f"postgresql://{user}{host}{f':{port}' if port else ''}/{wanted.get('dbname') or ''}"
        """The same without a password, for people."""
        self._names_itself = "application_name" in wanted or "PGAPPNAME" in os.environ
        self._was_there = False
        self._away: dict[str, float] = {}
        """Since when it is away, by the monotonic clock, if it is. Changed by single calls only, so that a fork can hold up no lock."""

    def __repr__(self) -> str:
        return f"<Address {self.shown}>"

    def connect(self, role: str) -> Connection:
        """Open a connection, without an error translated.

        Args:
            role: What it is for; people see it in `pg_stat_activity`.
        """
        named = self._conninfo if self._names_itself else f"{self._conninfo} application_name='runstate {role}'"
        # The driver's own error carries all that the driver was given, the password included, and its frames hold the
        # socket, until the collector comes by.
        try:
            connection = psycopg.connect(named, autocommit=True)
        except (psycopg.Error, OSError) as error:
            failure = type(error)(*error.args)
        else:
            self._note_there()
            return connection
        if self._was_there and isinstance(failure, psycopg.Error):
            self._note_away(failure)
        raise failure

    def _note_there(self) -> None:
        self._was_there = True
        since = self._away.pop("since", None)
        if since is not None:
            logger.warning("runstate: %s is there again, after %.3g s", self.shown, time.monotonic() - since)

    def _note_away(self, error: psycopg.Error) -> None:
        now = time.monotonic()
        if self._away.setdefault("since", now) is now:
            logger.warning("runstate: %s is away, trying again until it is back: %s", self.shown, _said(error))


class _Hidden:
    """Stands in a message for a URL that may hold a password."""

    def __repr__(self) -> str:
        return "a URL that is not shown, as it may hold a password"


def is_lost(error: Exception) -> bool:
    """Whether an error means that the connection is gone, so that another one may work."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.ReadOnlySqlTransaction):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_GONE)


def is_worth_another_try(error: Exception) -> bool:
    """Whether doing it again is all that it takes: the connection is lost, or the server has undone what met somebody else's work.

    Two that create the same executions in another order wait for each other, and one of them is chosen; so may an append whose answer was
    lost, and its second attempt.
    """
    return is_lost(error) or isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)


def until_it_works(
    work: Callable[[], T], on: Callable[[Exception], bool], *, longest: float = 1.0, within: float | None = None
) -> T:
    """Do some work, again after a pause for as long as it fails.

    Args:
        work: What to do. It must be possible to do it twice.
        on: Which errors are worth another attempt; any other is raised.
        longest: Seconds of the longest pause between two.
        within: Seconds after which the newest error is raised; None is no limit.
    """
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and on(error)),
        wait=tenacity.wait_exponential(multiplier=chance.uniform(*FIRST_PAUSE), max=longest),
        stop=tenacity.stop_never if within is None else tenacity.stop_after_delay(within),
        reraise=True,
    )
    return again(work)


def persistently(work: Callable[[], T]) -> T:
    """Do some work on a connection, again if that may help, on another one if the first is lost.

    Args:
        work: Connects by itself, and drops what is lost. It must be possible to do it twice.
    """
    try:
        return work()
    except psycopg.Error as error:
        if not is_worth_another_try(error):
            raise
    return until_it_works(work, is_worth_another_try, within=RETRY_FOR)


@contextmanager
def translated(address: Address, *, is_opening: bool = False) -> Generator[None]:
    """Turn the driver's errors into ours, in one place, with the original as their cause.

    Args:
        address: Which database.
        is_opening: Whether nothing can have been acknowledged yet.
    """
    where = address.shown
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise JournalUnavailableError(
            f"{where}: {_said(error)}; docs/fleet.md says which rights the owner, a writer and a reader need"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
        assurance = "" if is_opening else "; nothing that was acknowledged is lost"
        raise JournalUnavailableError(f"{where}: {_said(error)}{assurance}") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedColumn) as error:
        raise JournalCorruptError(f"{where}: {_said(error)}; the schema runstate is not as it was made") from error
    except psycopg.errors.InternalError as error:  # among them a damaged page or index
        raise JournalCorruptError(f"{where}: {_said(error)}") from error
    except psycopg.Error as error:
        raise JournalError(f"{where}: {_said(error)}") from error
    except OSError as error:  # a process without a free descriptor, for example
        raise JournalUnavailableError(f"{where}: {error}") from error


def _said(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split()) or type(error).__name__


def sever(connection: Connection) -> None:
    """Wake whoever waits for this connection, from another thread: their wait ends with the connection lost."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        return  # it is closed already


def abandon(connection: Connection) -> None:
    """Close an inherited connection in a forked child, without a word to the server: the parent still uses it."""
    if not connection.closed:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, connection.fileno())
        os.close(nowhere)
        connection.close()
