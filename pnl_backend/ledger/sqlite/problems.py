"""SQLite's and the system's errors in plain words: what is wrong with the ledger, and what to do about it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pnl_backend.errors import StoreError

_WORDS: dict[str, str] = {
    "SQLITE_FULL": "the disk that holds {path} is full: free some space",
    "SQLITE_READONLY_DBMOVED": "the database file {path} was deleted or replaced while in use",
    "SQLITE_READONLY": "{path} cannot be written: the file, its directory or its disk is read-only",
    "SQLITE_BUSY": "another process holds the write lock of {path}: end it or wait for it",
    "SQLITE_LOCKED": "another connection holds a lock on {path}",
    "SQLITE_CANTOPEN": "{path} cannot be opened: look at the permissions of the file and its directory",
    "SQLITE_IOERR": "reading or writing {path} failed ({name}): a size limit, a full or a failing disk",
    "SQLITE_CORRUPT": "{path} is damaged: restore a backup",
    "SQLITE_NOTADB": "{path} is not an SQLite database",
}

# After these the connection is as good as before; after any other error it is opened again.
_HARMLESS = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CONSTRAINT")


def describe(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """The StoreError that tells a person what `error` means for the ledger at `path`."""
    if isinstance(error, OSError):
        return StoreError(f"{path}: {(error.strerror or str(error)).lower()}")
    name = _name(error)
    for prefix, words in _WORDS.items():
        if name.startswith(prefix):
            return StoreError(words.format(path=path, name=name))
    return StoreError(f"{path}: {error}")


def is_harmless(error: sqlite3.Error | OSError) -> bool:
    """Whether the connection that raised `error` can go on as it is."""
    return isinstance(error, sqlite3.Error) and _name(error).startswith(_HARMLESS)


def is_unreadable(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file's content is lost, not that its surroundings fail."""
    return _name(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", "") or "")
