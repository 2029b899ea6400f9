"""A ledger file, opened for this process alone, on the thread that calls."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from pnl_backend.ledger.sql.connection import Connection, Progress
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sqlite import catching_up, ledger_file
from pnl_backend.ledger.sqlite.problems import describe


@contextmanager
def opened(path: Path, *, origin: Origin, timezone: str, now: float, progress: Progress) -> Iterator[Connection]:
    """The ledger at `path`, created if missing and migrated if older; see `Location.exclusive`."""
    with held(path) as connection:
        ledger_file.identify(connection, path, origin=origin, now=now, continued=None, progress=progress)
        catching_up.catch_up(connection, Calendar(ZoneInfo(timezone)), progress)
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """The file at `path`, locked; created empty if it is missing."""
    try:
        lock = ledger_file.hold(path)
    except OSError as error:
        raise describe(error, path) from error
    try:
        ledger_file.create(path)
        connection = ledger_file.connect(path, synchronous="NORMAL", busy_timeout_ms=ledger_file.BUSY_TIMEOUT_MS)
        try:
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise describe(error, path) from error
    finally:
        os.close(lock)


def name_ours(connection: sqlite3.Connection) -> None:
    """Mark an empty file as a ledger."""
    if connection.execute("PRAGMA application_id").fetchone() != (ledger_file.APPLICATION_ID,):
        connection.execute(f"PRAGMA application_id = {ledger_file.APPLICATION_ID}")


def keep_log_short(connection: Connection) -> None:
    """Write the log back into the file."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
