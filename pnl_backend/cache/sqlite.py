"""The tier that survives a restart: an SQLite file of its own, which may be removed or damaged at any time.

Expired rows stay, up to a bound for each key family: they are the last known good values of the next process.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
from loguru import logger

from pnl_backend.cache.base import MAX_PER_FAMILY, Entry, TierDown, TierError, family
from pnl_backend.cache.sqlite_file import identity, is_broken, open_file, set_aside
from pnl_backend.domain.readings import Tier
from pnl_backend.wire.operations import TierStatus

CALL_TIMEOUT = 0.25
OPEN_TIMEOUT = 1.0
REOPEN_PAUSE = 1.0
PRUNE_EVERY = 100
_FAILURES = (sqlite3.Error, OSError, TimeoutError, ValueError)  # ValueError: aiosqlite's "connection closed"

_FRESH = "CASE boot WHEN :boot THEN expires_monotonic > :monotonic ELSE expires_wall > :wall END"


class SQLiteTier:
    """Values of one `namespace` in the file at `path` (created with mode 0600).

    Until the machine reboots, the monotonic clock decides whether a row has expired; restarts of the process do not
    reset it. After a reboot the wall clock decides, and never beyond the row's own time to live.
    """

    name: Tier = "sqlite"

    def __init__(
        self,
        path: str | Path,
        *,
        namespace: str = "main",
        call_timeout: float = CALL_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        boot: str | None = None,
    ) -> None:
        self._path = Path(path)
        self._namespace = namespace
        self._call_timeout = call_timeout
        self._clock = clock
        self._wall_clock = wall_clock
        self._boot = boot or _boot_id()
        self.status: TierStatus = "down"
        self._connection: aiosqlite.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._opening = asyncio.Lock()
        self._retry_at = float("-inf")
        self._announced = False
        self._closed = False
        self._writes = 0
        self._size: int | None = None

    async def open(self) -> None:
        """Open or create the file; if that fails, the tier is down and later calls try again."""
        with contextlib.suppress(TierError):
            await self._ready()
            await self._count()

    async def last_known(self) -> list[tuple[str, bytes]]:
        """Every key with its last value, expired or not, oldest first; empty if the file cannot be read."""
        try:
            rows = await self._run(
                "SELECT key, value FROM entries WHERE namespace = :namespace ORDER BY id", timeout=OPEN_TIMEOUT
            )
        except TierError:
            return []
        return [(str(key), bytes(value)) for key, value in rows]

    async def get(self, key: str) -> Entry | None:
        rows = await self._run(
            "SELECT value, ttl, boot, expires_monotonic, expires_wall FROM entries"
            " WHERE namespace = :namespace AND key = :key",
            key=key,
        )
        if not rows:
            return None
        value, ttl, boot, expires_monotonic, expires_wall = rows[0]
        same_boot = boot == self._boot
        remaining = expires_monotonic - self._clock() if same_boot else expires_wall - self._wall_clock()
        remaining = min(remaining, ttl)
        return Entry(bytes(value), remaining) if remaining > 0 else None

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        await self._run(
            "INSERT OR REPLACE INTO entries"
            " (namespace, key, family, value, ttl, boot, expires_monotonic, expires_wall)"
            " VALUES (:namespace, :key, :family, :value, :ttl, :boot, :monotonic + :ttl, :wall + :ttl)",
            key=key,
            family=family(key),
            value=value,
            ttl=ttl,
        )
        self._worked()
        self._writes += 1
        if self._writes % PRUNE_EVERY == 0:
            await self._run(
                "DELETE FROM entries WHERE namespace = :namespace AND family = :family AND id NOT IN (SELECT id"
                " FROM entries WHERE namespace = :namespace AND family = :family ORDER BY id DESC LIMIT :keep)",
                family=family(key),
                keep=MAX_PER_FAMILY,
            )
        await self._count()

    async def delete(self, key: str) -> None:
        """Expire the entry; the row stays as a last known good value."""
        await self._run(
            "UPDATE entries SET ttl = 0, expires_monotonic = 0, expires_wall = 0"
            " WHERE namespace = :namespace AND key = :key",
            key=key,
        )
        await self._count()

    async def delete_prefix(self, prefix: str) -> None:
        await self._run(
            "UPDATE entries SET ttl = 0, expires_monotonic = 0, expires_wall = 0"
            " WHERE namespace = :namespace AND substr(key, 1, length(:prefix)) = :prefix",
            prefix=prefix,
        )
        await self._count()

    async def clear(self) -> None:
        """Remove everything, the last known good values too."""
        await self._run("DELETE FROM entries WHERE namespace = :namespace")
        await self._count()

    async def close(self) -> None:
        self._closed = True
        async with self._opening:
            await self._drop("down")

    def size(self) -> int | None:
        return self._size

    async def _count(self) -> None:
        rows = await self._run(f"SELECT count(*) FROM entries WHERE namespace = :namespace AND {_FRESH}")  # noqa: S608 - a constant
        self._size = int(rows[0][0])

    async def _run(self, sql: str, *, timeout: float | None = None, **parameters: object) -> list[Any]:
        values = {
            "namespace": self._namespace,
            "boot": self._boot,
            "monotonic": self._clock(),
            "wall": self._wall_clock(),
            **parameters,
        }
        connection = await self._ready()
        try:
            async with asyncio.timeout(timeout or self._call_timeout):
                rows = list(await connection.execute_fetchall(sql, values))
        except _FAILURES as error:
            await self._failed(connection, error)
            if not is_broken(error):
                raise TierError(f"cache file: {_reason(error)}") from error
            # The call is repeated on the new file, so that a write is not lost; the failure is still reported.
            with contextlib.suppress(*_FAILURES):
                await (await self._ready()).execute_fetchall(sql, values)
            raise TierError("the cache file was broken and has been created again") from error
        return rows

    async def _ready(self) -> aiosqlite.Connection:
        """An open connection to the file that is at the path now; one caller at a time opens it."""
        if self._connection is not None and identity(self._path) == self._file:
            return self._connection
        async with self._opening:
            if self._connection is not None and identity(self._path) != self._file:
                logger.warning("The cache file was removed or replaced; it is opened again")
                await self._drop("down")
            if self._connection is not None:
                return self._connection
            if self._closed or self._clock() < self._retry_at:
                raise TierDown("the cache file is not open")
            try:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    self._connection = await open_file(self._path)
            except _FAILURES as error:
                self._retry_at = self._clock() + REOPEN_PAUSE
                self._announce(error)
                raise TierError(f"cache file: {_reason(error)}") from error
            self._file = identity(self._path)
            # After a failure only a successful write shows that the cause is gone: opening works on a full disk too.
            if not self._announced:
                self.status = "connected"
            return self._connection

    async def _failed(self, connection: aiosqlite.Connection, error: BaseException) -> None:
        async with self._opening:
            if self._connection is not connection:
                return
            with contextlib.suppress(*_FAILURES):
                await connection.interrupt()
            await self._drop("down")
            if is_broken(error):
                set_aside(self._path, error)
                return
            self._retry_at = self._clock() + REOPEN_PAUSE
            self._announce(error)

    def _worked(self) -> None:
        if self._announced:
            logger.info("The cache file can be used again")
        self.status, self._announced = "connected", False

    def _announce(self, error: BaseException) -> None:
        if not self._announced:
            self._announced = True
            logger.warning("The cache file cannot be used, the cache continues without it: {}", _reason(error))

    async def _drop(self, status: TierStatus) -> None:
        connection, self._connection, self._file = self._connection, None, None
        self.status, self._size = status, None
        if connection is None:
            return
        with contextlib.suppress(*_FAILURES):
            # Its thread may hang in the file system; closing waits a limited time for it.
            stopped = connection.stop()
            if stopped is not None:
                await asyncio.wait([stopped], timeout=self._call_timeout)


def _boot_id() -> str:
    """An id of this boot of the machine; of this process where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(16)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
