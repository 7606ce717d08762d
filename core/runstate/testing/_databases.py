"""A database for each run on a server, as each has a file of its own otherwise: what one run has answered no other finds answered."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from urllib.parse import parse_qsl, urlencode, urlsplit

from ._journals import is_postgres
from ._report import ScenarioError


@contextlib.contextmanager
def own_database(url: str) -> Generator[str]:
    """Make a database beside the one that is named, and remove it in the end.

    Args:
        url: `postgresql://…`, whose user may create databases; or the path of a file, which is given back as it is.

    Raises:
        ScenarioError: The server cannot be reached, or the user may not create databases there.
    """
    if not is_postgres(url):
        yield url
        return
    import psycopg

    name = f"runstate_lab_{os.getpid()}_{os.urandom(4).hex()}"
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__  # no more, as it may quote the URL with its password
        raise ScenarioError(
            f"each run needs a database of its own, and none could be made: {said}; give the laboratory the URL of a server for "
            "tests, whose user may create databases (`ALTER ROLE … CREATEDB`)"
        ) from None
    try:
        yield _at(url, name)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def _at(url: str, database: str) -> str:
    """The same URL, but of another database."""
    parts = urlsplit(url)
    asked = [(name, value) for name, value in parse_qsl(parts.query) if name != "dbname"]
    return parts._replace(path=f"/{database}", query=urlencode(asked)).geturl()
