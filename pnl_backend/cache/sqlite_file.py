"""The cache's SQLite file: created with mode 0600, checked to be ours, and renamed when it is broken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

import aiosqlite
from loguru import logger

BUSY_TIMEOUT = 0.2
APPLICATION_ID = 0x504E4C43  # "PNLC"
SCHEMA_VERSION = 1
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    family TEXT NOT NULL,
    value BLOB NOT NULL,
    ttl REAL NOT NULL,
    boot TEXT NOT NULL,
    expires_monotonic REAL NOT NULL,
    expires_wall REAL NOT NULL,
    UNIQUE (namespace, key)
)
"""


class Damaged(sqlite3.DatabaseError):
    """The file opens, and its check finds a damaged page."""


class NotOurs(OSError):
    """The file is a database, but not a cache of ours: it is not touched."""


async def open_file(path: Path) -> aiosqlite.Connection:
    """A connection to the cache file, created where it is missing or broken; raises sqlite3.Error or OSError."""
    try:
        return await _open(path)
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        set_aside(path, error)
        return await _open(path)


def set_aside(path: Path, error: BaseException) -> None:
    """Rename a broken file, so that it can be examined."""
    logger.warning("The cache file is broken ({}); it is kept as {}.broken", error, path.name)
    with contextlib.suppress(OSError):
        path.replace(path.with_name(path.name + ".broken"))
    _remove_journals(path)


def is_broken(error: BaseException) -> bool:
    if isinstance(error, Damaged):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BROKEN


def identity(path: Path) -> tuple[int, int] | None:
    """The identity of the file at `path`, which differs from that of one that replaces it; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _open(path: Path) -> aiosqlite.Connection:
    _create(path)
    connection = await aiosqlite.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        await _prepare(connection)
        os.chmod(path, 0o600)  # noqa: PTH101 - one system call; an existing file may have another mode
    except BaseException:
        await asyncio.shield(connection.close())
        raise
    return connection


def _create(path: Path) -> None:
    """Create the file before SQLite does, so that other users can never read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # The write-ahead log of a file that was removed must not be applied to the new one.
        _remove_journals(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


async def _prepare(connection: aiosqlite.Connection) -> None:
    ((application,),) = await connection.execute_fetchall("PRAGMA application_id")
    ((version,),) = await connection.execute_fetchall("PRAGMA user_version")
    ((tables,),) = await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema")
    if tables and application != APPLICATION_ID:
        raise NotOurs("the file is another program's database")
    ((finding,),) = await connection.execute_fetchall("PRAGMA quick_check(1)")
    if finding != "ok":
        raise Damaged(finding)
    # kill -9 cannot damage the file in WAL mode, and a power cut loses the newest entries at most.
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "mmap_size = 0", "journal_size_limit = 1048576"):
        await connection.execute_fetchall(f"PRAGMA {pragma}")
    if version != SCHEMA_VERSION:
        await connection.execute_fetchall("DROP TABLE IF EXISTS entries")
    await connection.execute_fetchall(_SCHEMA)
    await connection.execute_fetchall(f"PRAGMA application_id = {APPLICATION_ID}")
    await connection.execute_fetchall(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _remove_journals(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
