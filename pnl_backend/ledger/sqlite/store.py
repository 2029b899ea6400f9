"""The ledger in one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.condition import Condition
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sql.progress import ProgressLog
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sql.run import Run
from pnl_backend.ledger.sql.store import LedgerStore
from pnl_backend.ledger.sqlite import catching_up, integrity, maintenance
from pnl_backend.ledger.sqlite.database import Database
from pnl_backend.ledger.sqlite.ledger_file import BUSY_TIMEOUT_MS, Synchronous, in_full


class Store(LedgerStore):
    """The ledger. Opened with `Store.open`, closed with `close`; it recovers when the cause of a failure has ended.

    `synchronous` sets the durability: after `append` a snapshot survives kill -9 with either value; with FULL it
    survives a power cut too, with NORMAL a power cut may lose the snapshots since the last checkpoint (200 at most).
    """

    _database: Database

    def __init__(
        self,
        path: Path,
        *,
        origin: Origin,
        clock: Callable[[], float],
        synchronous: Synchronous,
        busy_timeout_ms: int,
        zone: ZoneInfo,
        first_run: date | None,
    ) -> None:
        self._path = path
        self._progress = progress = ProgressLog()
        calendar = Calendar(zone)
        run = Run(
            now=lambda: int(clock() * 1000),
            catch_up=lambda connection: catching_up.catch_up(connection, calendar, progress),
            durable=lambda connection: in_full(connection, synchronous),
            first_run=first_run,
        )
        condition = Condition(lambda: int(clock() * 1000))
        database = Database(
            path,
            origin=origin,
            synchronous=synchronous,
            busy_timeout_ms=busy_timeout_ms,
            clock=clock,
            progress=progress,
            continued=run.continued,
            opened=run.opened,
            on_write=condition.on_write,
            on_standby=run.on_standby,
        )
        super().__init__(database, run, condition, clock=clock, calendar=calendar, synchronous=synchronous)

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        origin: Origin,
        clock: Callable[[], float] = time.time,
        synchronous: Synchronous = "FULL",
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        timezone: str = "UTC",
        first_run: date | None = None,
        tolerant: bool = False,
    ) -> Store:
        """Open the ledger at `path`, created with mode 0600 if missing and migrated if older.

        StoreError says what is wrong: not ours, newer, of the other origin, in use, unreadable. `busy_timeout_ms` is
        how long a write waits for another process's lock, `timezone` the zone of the business days, `first_run` the
        day that a new file is dated with, if it replaces an earlier ledger. With `tolerant` a ledger that cannot be
        written for lack of permission or space is opened too: it is read, and appends fail until it can be written.
        """
        store = cls(
            Path(path),
            origin=origin,
            clock=clock,
            synchronous=synchronous,
            busy_timeout_ms=busy_timeout_ms,
            zone=ZoneInfo(timezone),
            first_run=first_run,
        )
        await store._database.open(tolerant=tolerant)
        logger.info(
            "Ledger {} open (SQLite {}, synchronous={}), epoch {}, last snapshot {}",
            path, sqlite3.sqlite_version, synchronous, store.epoch, store.last_seq,
        )  # fmt: skip
        return store

    async def backup(self, directory: Path, *, keep_days: int) -> Path:
        """Write and verify a backup while the server runs; those older than `keep_days` are removed."""
        return await maintenance.backup_beside(
            self._path, directory, keep_days=keep_days, now=self._clock(), progress=self._progress
        )

    async def note_damage(self, finding: str) -> None:
        """Have the next start rename this file as damaged; nothing happens if this cannot be written."""
        with suppress(StoreError):
            await self._database.write(lambda connection: integrity.note(connection, finding))
