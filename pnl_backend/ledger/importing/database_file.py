"""The Node server's SQLite file: recognised, checked, and read row by row without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pnl_backend.errors import ImportFileError
from pnl_backend.ledger.sql.connection import Progress
from pnl_backend.ledger.sqlite.ledger_file import APPLICATION_ID, NODE_TABLES
from pnl_backend.ledger.sqlite.maintenance import CHECK_STEPS
from pnl_backend.ledger.sqlite.migrations import VERSION
from pnl_backend.ledger.sqlite.problems import is_unreadable

MAGIC = b"SQLite format 3\x00"
_READ_VERSION = 19
"""Offset in the header of the format version that a reader must know; only 1 and 2 exist."""

DERIVED = {
    "pnl_deltas": "they follow from the snapshots",
    "pnl_aggregates": "they follow from the snapshots",
}


class NodeDatabase:
    """One open file; all reads are of one transaction, which began when it was opened."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        names = [name for (name,) in found if not name.startswith("sqlite_")]
        self.tables = [name for name in NODE_TABLES if name in names]
        self.others = [name for name in names if name not in NODE_TABLES]
        if not self.tables:
            held = f"it holds {', '.join(names)}" if names else "it holds no table"
            raise ImportFileError(f"{file} is an SQLite file, but not the Node server's: {held}")

    def count(self, table: str) -> int:
        (count,) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - of NODE_TABLES
        return int(count)

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The table's rows, by column."""
        cursor = self._connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - of NODE_TABLES
        columns = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(columns, row, strict=True))


@contextmanager
def opened(file: Path, progress: Progress) -> Iterator[NodeDatabase]:
    """The open file, after a full check; ImportFileError if it is damaged, newer, or of another kind."""
    with file.open("rb") as opened_file:
        header = opened_file.read(_READ_VERSION + 1)
    if header[_READ_VERSION:] > b"\x02":
        raise ImportFileError(f"{file} was written by a newer version of SQLite than this one can read")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("PRAGMA query_only = ON")
            reader.execute("BEGIN")
            _refuse_ledgers(reader, file)
            _check(reader, file, progress)
            yield NodeDatabase(reader, file)
    except sqlite3.Error as error:
        what = "is damaged" if is_unreadable(error) else "cannot be read"
        raise ImportFileError(f"{file} {what}: {error}") from error


def _refuse_ledgers(reader: sqlite3.Connection, file: Path) -> None:
    (application,) = reader.execute("PRAGMA application_id").fetchone()
    (version,) = reader.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        return
    if version > VERSION:
        raise ImportFileError(f"{file} is a ledger of a newer version of this server: update this one first")
    raise ImportFileError(f"{file} is a ledger of this server: put it in place with pnl-backend restore {file}")


def _check(reader: sqlite3.Connection, file: Path, progress: Progress) -> None:
    reader.set_progress_handler(lambda: progress("Checking", 0, 1), CHECK_STEPS)
    findings = [text for (text,) in reader.execute("PRAGMA quick_check(1)")]
    reader.set_progress_handler(None, 0)
    if findings != ["ok"]:
        raise ImportFileError(f"{file} is damaged: {findings[0].splitlines()[0]}")
