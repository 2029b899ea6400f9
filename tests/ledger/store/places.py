"""Where the ledgers of the contract suite are: a new SQLite file or a new PostgreSQL database for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pnl_backend.ledger.postgres import Store as PostgresStore
from pnl_backend.ledger.postgres.adapter import Adapter
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.sql.store import LedgerStore
from pnl_backend.ledger.sqlite import Store as SqliteStore
from tests.support.postgres import PostgresServer


class Place(Protocol):
    """One ledger, which several stores may be opened on, one after the other."""

    async def open(self, **options: Any) -> LedgerStore: ...

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        """The rows of a statement beside the store; what it changes is committed."""
        ...

    def refusing(self) -> Any:
        """While the block runs nobody can write the ledger."""
        ...


class SqlitePlace:
    """A file in a directory of its own."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self, **options: Any) -> SqliteStore:
        return await SqliteStore.open(self.path, **{"origin": "live", "busy_timeout_ms": 50, **options})

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield


class PostgresPlace:
    """A database of its own."""

    name = "postgres"

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.server = server
        self.url = url

    async def open(self, **options: Any) -> PostgresStore:
        options.pop("synchronous", None)
        options.pop("busy_timeout_ms", None)
        return await PostgresStore.open(self.url, **{"origin": "live", **options})

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        with closing(connect(self.url, program="test")) as raw:
            cursor = Adapter(raw).execute(sql, parameters)
            return [] if cursor.description is None else list(cursor.fetchall())

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Every session is read-only, as on a standby."""
        database = self.url.rpartition("/")[2]
        with self.server.admin() as admin:
            admin.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
            self.server.end_sessions("pnl-backend%")
            try:
                yield
            finally:
                admin.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
                self.server.end_sessions("pnl-backend%")


class Places(Protocol):
    """Makes places of one kind."""

    name: str

    def new(self) -> Any: ...

    def remove(self, place: Any) -> None: ...


class SqlitePlaces:
    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0

    def new(self) -> SqlitePlace:
        self._count += 1
        return SqlitePlace(self._directory / str(self._count) / "pnl.db")

    def remove(self, place: SqlitePlace) -> None:
        """The temporary directory is removed as a whole."""


class PostgresPlaces:
    name = "postgres"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def new(self) -> PostgresPlace:
        return PostgresPlace(self._server, self._server.database())

    def remove(self, place: PostgresPlace) -> None:
        self._server.drop(place.url)


async def crash(place: Place, store: LedgerStore) -> None:
    """Leave the ledger as a kill would leave it: everything is stored, and the run has not ended cleanly."""
    running = place.ask("SELECT value FROM meta WHERE key = 'running'")
    await store.close()
    place.ask("INSERT INTO meta VALUES ('running', ?) ON CONFLICT DO NOTHING", *running[0])
