"""A private PostgreSQL server: in a directory of its own, on a free port of 127.0.0.1, never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from pnl_backend.ledger.postgres import schema
from pnl_backend.ledger.postgres.address import connect

ADMIN, USER, PASSWORD = "postgres", "pnl", "5c2f0d-not-for-logs"
READ_ONLY_USER = "viewer"
TEMPLATE = "ledger_template"
_PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),)
_SETTINGS = {
    "fsync": "off",  # the machine does not lose its power here
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}


def program(name: str) -> str | None:
    """Where a program of PostgreSQL is, or None."""
    return shutil.which(name, path=os.pathsep.join([*map(str, _PLACES), os.environ.get("PATH", "")]))


class PostgresServer:
    """`url` is the address of a database of its own for the caller of `database`; `stop` and `start` may be called."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._settings = _SETTINGS if not fsync else {"max_connections": "60"}
        self._directory = Path(tempfile.mkdtemp(prefix="pnl-pg-"))
        self._data = self._directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self.port = 0

    def create(self) -> None:
        """Make the cluster, start it, and make the template that every database is a copy of."""
        words = self._directory / "words"
        words.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self._directory, words):
                os.chown(path, *self._owner())
        options = f"-D {self._data} -U {ADMIN} -A scram-sha-256 --pwfile={words} -E UTF8 --locale=C --no-sync"
        subprocess.run(
            [*self._prefix(), str(program("initdb")), *options.split()],
            check=True,
            capture_output=True,
            cwd=self._directory,
        )
        self.port = _free_port()
        self.start()
        with self.admin() as admin:
            admin.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
            admin.execute(f"CREATE DATABASE {TEMPLATE} OWNER {USER}")
            admin.execute(f"CREATE ROLE {READ_ONLY_USER} LOGIN PASSWORD '{PASSWORD}'")
            admin.execute(f"GRANT pg_read_all_data TO {READ_ONLY_USER}")
            admin.execute("ALTER ROLE viewer SET default_transaction_read_only = on")
        raw = connect(self.url_of(TEMPLATE), program="template")
        schema.migrate(raw, TEMPLATE, lambda *_: None)
        raw.close()

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        place = ["-D", str(self._data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
        place += ["-c", f"unix_socket_directories={self._directory}"]
        self._process = subprocess.Popen(
            [*self._prefix(), str(program("postgres")), *place, *settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._directory,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.admin():
                    return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all sessions, SIGQUIT without a checkpoint, as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._directory, ignore_errors=True)

    def url_of(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def admin(self, database: str = "postgres") -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with psycopg.connect(self.url_of(database, ADMIN), autocommit=True, connect_timeout=5) as connection:
            yield connection

    def database(self, *, empty: bool = False) -> str:
        """The URL of a new database: with the ledger's tables, or `empty`."""
        name = f"ledger_{next(self._numbers)}"
        with self.admin() as admin:
            source = "template0" if empty else TEMPLATE
            admin.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {source}")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever uses it."""
        with self.admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def end_sessions(self, program: str = "%") -> int:
        """Terminate every session of a program but this one; returns their number."""
        with self.admin() as admin:
            return len(
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
                    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                    (program,),
                ).fetchall()
            )

    def _prefix(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        owner, group = self._owner()
        return ["setpriv", f"--reuid={owner}", f"--regid={group}", "--clear-groups"]

    @staticmethod
    def _owner() -> tuple[int, int]:
        for name in ("postgres", "nobody"):
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                continue
            return found.pw_uid, found.pw_gid
        raise RuntimeError("there is no user postgres or nobody")


@contextmanager
def private_postgres(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """A running server; the test is skipped where PostgreSQL is not installed, and fails there in CI.

    With `fsync` it has its own default settings, for measurements.
    """
    if program("initdb") is None or program("postgres") is None:
        message = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    server = PostgresServer(fsync=fsync)
    try:
        server.create()
        yield server
    finally:
        server.remove()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
