"""A ledger file, opened for an import alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from pnl_backend.ledger.sql.connection import Progress
from pnl_backend.ledger.sql.imported import Imports
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sqlite import catching_up, ledger_file
from pnl_backend.ledger.sqlite.problems import describe


@contextmanager
def open_for_import(path: Path, *, timezone: str, now: float, progress: Progress) -> Iterator[Imports]:
    """The live ledger at `path`, locked for this process; created if missing and migrated if older.

    StoreError while a server runs on it, and for a file that is not ours, newer, of the demo or damaged.
    """
    try:
        lock = ledger_file.hold(path)
    except OSError as error:
        raise describe(error, path) from error
    try:
        ledger_file.create(path)
        connection = ledger_file.connect(path, synchronous="NORMAL", busy_timeout_ms=ledger_file.BUSY_TIMEOUT_MS)
        try:
            ledger_file.identify(connection, path, origin="live", now=now, continued=None, progress=progress)
            calendar = Calendar(ZoneInfo(timezone))
            catching_up.catch_up(connection, calendar, progress)

            def keep_log_short() -> None:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

            yield Imports(connection, calendar, int(now * 1000), keep_log_short)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise describe(error, path) from error
    finally:
        os.close(lock)
