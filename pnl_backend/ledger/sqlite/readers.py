"""A few query-only connections to one ledger file, which neither write nor checkpoint."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiosqlite

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.connection import Shape
from pnl_backend.ledger.sqlite.ledger_file import BUSY_TIMEOUT_MS
from pnl_backend.ledger.sqlite.problems import describe


class Readers:
    """A pool of `count` connections; a read waits for a free one. `busy_timeout_ms` is SQLite's."""

    def __init__(self, path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, count: int = 3) -> None:
        self.path = path
        self._busy_timeout = busy_timeout_ms / 1000
        self._count = count
        self._slots: asyncio.Queue[aiosqlite.Connection | None] = asyncio.Queue()
        self._alone = asyncio.Lock()
        self._open = False
        self.uri: str | None = None
        """Read instead of the file at `path`, if not None."""

    async def open(self) -> None:
        """Open all connections: a file that is deleted later can only be read through open ones. Raises StoreError."""
        connections: list[aiosqlite.Connection] = []
        try:
            for _ in range(self._count):
                connections.append(await self._connect())  # noqa: PERF401 - the open ones are closed if one fails
        except BaseException:
            for connection in connections:
                await connection.close()
            raise
        for connection in connections:
            self._slots.put_nowait(connection)
        self._open = True

    async def read(
        self, sql: str, parameters: tuple[object, ...] = (), *, shape: Shape[Any] | None = None
    ) -> list[Any]:
        """Rows of one query, as tuples or as `shape` makes them; StoreError when the file cannot be read."""
        if not self._open:
            raise StoreError(f"{self.path} is closed")
        connection = await self._slots.get()
        try:
            if not self._open:  # closed while this read waited
                raise StoreError(f"{self.path} is closed")
            if connection is None:
                connection = await self._connect()
            connection.row_factory = cast(Any, shape)
            return list(await connection.execute_fetchall(sql, parameters))
        except sqlite3.Error as error:
            raise describe(error, self.path) from error
        finally:
            self._slots.put_nowait(connection)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Wait for the running reads and close every connection; new reads wait until the block ends."""
        taken = 0
        async with self._alone:
            try:
                for _ in range(self._count if self._open else 0):
                    connection = await self._slots.get()
                    taken += 1
                    if connection is not None:
                        await connection.close()
                yield
            finally:
                await self._give_back(taken)

    async def _give_back(self, taken: int) -> None:
        """Return that many slots, connected if possible; `close` waits for every slot."""
        returned = 0
        try:
            while returned < taken:
                self._slots.put_nowait(await self._connect_again())
                returned += 1
        finally:
            for _ in range(taken - returned):
                self._slots.put_nowait(None)

    async def close(self) -> None:
        """Close every connection after the running reads; later reads raise StoreError."""
        async with self.paused():
            self._open = False

    async def _connect_again(self) -> aiosqlite.Connection | None:
        """A connection, or None if that fails: the next read then tries again."""
        try:
            return await self._connect() if self._open else None
        except StoreError:
            return None

    async def _connect(self) -> aiosqlite.Connection:
        uri = self.uri or f"{self.path.absolute().as_uri()}?mode=ro"
        try:
            connection = await aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=self._busy_timeout)
        except sqlite3.Error as error:
            raise describe(error, self.path) from error
        try:
            for setting in ("query_only = ON", "mmap_size = 0", "cache_size = -8192"):
                await connection.execute_fetchall(f"PRAGMA {setting}")
        except BaseException as error:
            await connection.close()
            if isinstance(error, sqlite3.Error):
                raise describe(error, self.path) from error
            raise
        return connection
