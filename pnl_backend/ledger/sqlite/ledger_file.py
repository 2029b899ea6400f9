"""One ledger file: created with mode 0600, checked to be ours, locked, migrated, and opened for writing."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.connection import Connection, Progress, transaction
from pnl_backend.ledger.sql.identity import (
    Identity,
    Origin,
    establish,
    new_identity,
    read_identity,
    refuse_other_origin,
)
from pnl_backend.ledger.sqlite import functions
from pnl_backend.ledger.sqlite.migrations import VERSION, migrate
from pnl_backend.ledger.sqlite.problems import is_unreadable

Synchronous = Literal["FULL", "NORMAL"]

BUSY_TIMEOUT_MS = 1000
"""How long SQLite waits for a lock of another connection."""
APPLICATION_ID = 0x506E4C31
"""`PnL1`, in the header of every file of ours."""

Files = tuple[tuple[int, int] | None, ...]
"""Device and inode of a ledger's file, log and index."""

STAMP = "%Y%m%dT%H%M%SZ"
"""The format of a time (UTC) in file names."""

NODE_TABLES = ("pnl_snapshots", "kalshi_trades", "anthropic_costs", "john_revenue")
"""Tables of the Node server's database."""

_NODE_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?, ?, ?, ?)"


def hold(path: Path) -> int:
    """Lock the ledger until the returned descriptor is closed or the process ends; StoreError if it is locked.

    The lock is a file beside the database: closing any descriptor of the database would release SQLite's locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{path} is in use by another server: stop it, or set another DB_PATH") from error
    return descriptor


def create(path: Path) -> bool:
    """Create an empty file that only its owner may read, and its directory; False if the file exists already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def on_disk(path: Path) -> Files:
    """The files at the paths of the ledger, its log and its log's index.

    None for one that does not exist, and for an empty database file: an open ledger has at least a header.
    """
    return _which(os.fspath(path), least=1), _which(f"{path}-wal"), _which(f"{path}-shm")


def is_blank(path: Path) -> bool:
    """Whether there is no file, or one without any content."""
    return _which(os.fspath(path), least=1) is None


def is_linked(file: tuple[int, int] | None) -> bool:
    """Whether a file that this process has open still has a name in a directory; False if that is unknown."""
    with suppress(OSError):
        for descriptor in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                found = descriptor.stat()
                if (found.st_dev, found.st_ino) == file:
                    return found.st_nlink > 0
    return False


def dated(path: Path, what: str, now: float) -> Path:
    """The name that a file beside a ledger is renamed to: `pnl.db.WHAT-20260225T120000Z`."""
    return path.with_name(f"{path.name}.{what}-{datetime.fromtimestamp(now, UTC):{STAMP}}")


def remove_leftovers(path: Path, known: Files) -> None:
    """Unlink the log and index of a lost ledger: SQLite would apply them to the new file."""
    for suffix, before, now in zip(("", "-wal", "-shm"), known, on_disk(path), strict=True):
        if suffix and now is not None and now == before:
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def rescue(lost: sqlite3.Connection, path: Path) -> Path | None:
    """Copy a deleted or replaced ledger, which its open connection can still read, to a file beside `path`.

    None if it cannot be read any more: the ledger then starts empty at its next sequence number. Raises if there is
    no space for the copy, so that a later call can still make it.
    """
    saved = path.with_name(path.name + ".rescue")
    saved.unlink(missing_ok=True)
    create(saved)
    try:
        with closing(sqlite3.connect(saved)) as copy:
            lost.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
            findings = copy.execute("PRAGMA quick_check(1)").fetchall()
        if findings != [("ok",)]:  # the file was truncated: pages that are not in memory are lost
            saved.unlink(missing_ok=True)
            logger.error("The content of {} is lost ({}); it continues empty", path, findings[0][0])
            return None
    except sqlite3.Error as error:
        saved.unlink(missing_ok=True)
        if is_unreadable(error):
            logger.error("The content of {} is lost ({}); it continues empty", path, error)
            return None
        raise
    return saved


def connect(path: Path, *, synchronous: Synchronous, busy_timeout_ms: int) -> sqlite3.Connection:
    """The connection that writes. Only it checkpoints, and only when `Database` starts a checkpoint."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_ms / 1000)
    try:
        refuse_foreign(connection, path)
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16384")
        functions.register(connection)
    except BaseException:
        connection.close()
        raise
    with suppress(OSError):  # the file may belong to another user; SQLite gives -wal and -shm the same mode
        path.chmod(0o600)
    return connection


@contextmanager
def in_full(connection: Connection, synchronous: Synchronous) -> Iterator[None]:
    """One transaction that survives a power cut, whatever `synchronous` the others use."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        with transaction(connection):
            yield
    finally:
        connection.execute(f"PRAGMA synchronous = {synchronous}")


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """StoreError for a file of another program or of a newer version; an empty file is accepted."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != APPLICATION_ID and (tables or application_id or version):
        if connection.execute(_NODE_TABLES, NODE_TABLES).fetchone() != (0,):
            raise StoreError(
                f"{path} is the Node server's database, not a ledger of this server:"
                f" set DB_PATH to another file, and take it over with: pnl-backend import {path}"
            )
        raise StoreError(f"{path} is not a ledger of this server: set DB_PATH to another file")
    if version > VERSION:
        raise StoreError(
            f"{path} was made by a newer version (schema {version}, this one knows {VERSION}): update the server"
        )


def identify(
    connection: sqlite3.Connection,
    path: Path,
    *,
    origin: Origin,
    now: float,
    continued: Identity | None,
    progress: Progress,
) -> Identity:
    """Migrate the file and read its identity; an empty one gets a new epoch, or the identity `continued`.

    StoreError if it has the other origin: demo and live figures are never in one ledger.
    """
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    if connection.execute("PRAGMA user_version").fetchone() != (0,):
        refuse_other_origin(connection, origin, str(path), "DB_PATH to another file")
    migrate(connection, progress)
    with transaction(connection):
        establish(connection, origin, new_identity(now) if continued is None else continued)
    return read_identity(connection)


def _which(path: str, least: int = 0) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - called three times before every append, and a Path is slow
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= least else None
