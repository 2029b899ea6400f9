"""Reads a ledger file that a server may be writing: without changing it, and without a lock between two reads."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.connection import Reads
from pnl_backend.ledger.sqlite.ledger_file import refuse_foreign
from pnl_backend.ledger.sqlite.migrations import VERSION
from pnl_backend.ledger.sqlite.problems import describe
from pnl_backend.ledger.sqlite.readers import Readers


@asynccontextmanager
async def readers_of(path: Path) -> AsyncIterator[Reads]:
    """Queries of the ledger at `path`; StoreError if the file is missing, not ours, newer or older."""
    _check(path)
    readers = Readers(path, count=1)
    await readers.open()
    try:
        yield readers
    finally:
        await readers.close()


def _check(path: Path) -> None:
    if not path.exists():
        raise StoreError(f"there is no ledger at {path}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            refuse_foreign(connection, path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise describe(error, path) from error
    if version < VERSION:
        raise StoreError(f"{path} was made by an older version: start the server once, it brings the file up to date")
