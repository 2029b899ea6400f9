"""A start without a writable ledger: the ledger is read, and the run uses numbers that can be stored in it later.

The run begins an epoch of its own, so that its snapshots cannot be mistaken for those of another run in the ledger's
epoch. When the ledger can be written, the run's epoch is stored after its last snapshot.
"""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.identity import Identity, new_epoch
from pnl_backend.ledger.sql.numbering import last_taken
from pnl_backend.ledger.sqlite.ledger_file import refuse_foreign
from pnl_backend.ledger.sqlite.migrations import VERSION, migrate

_ERRNOS = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EIO})
_CODES = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})


def may_pass(failure: StoreError) -> bool:
    """Whether the reason why a ledger could not be opened may end by itself: no permission, or no space."""
    cause = failure.__cause__
    if isinstance(cause, OSError):
        return cause.errno in _ERRNOS
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in _CODES


class Standby:
    """What can be read at `path`: readers connect to `uri`, an empty ledger in memory if there is nothing.

    Used and closed on one thread.
    """

    def __init__(self, path: Path) -> None:
        self.uri = f"file:standby-{new_epoch()}?mode=memory&cache=shared"
        for options in (
            "mode=ro",
            "mode=ro&immutable=1",
        ):  # the log cannot be opened in a directory that cannot be written
            uri = f"{path.absolute().as_uri()}?{options}"
            if _is_readable(uri, path):
                self.uri = uri
                break
        self.connection = sqlite3.connect(self.uri, uri=True, isolation_level=None)
        if "mode=memory" in self.uri:
            migrate(self.connection, lambda *_: None)
            self.connection.execute("INSERT INTO epochs VALUES (1, ?)", (new_epoch(),))

    def identity(self, path: Path, now: float) -> Identity:
        """A new epoch after all numbers that are known to be stored.

        If there is a ledger that cannot be read, its last number is not known; the time in ms is higher.
        """
        known = "mode=memory" not in self.uri or not _exists(path)
        last = last_taken(self.connection) if known else int(now * 1000)
        held = self.connection.execute("SELECT value FROM meta WHERE key = 'first_run'").fetchone()
        first_run = date.fromisoformat(held[0]) if held else datetime.fromtimestamp(now, UTC).date()
        return Identity(new_epoch(), last, first_run)


def _is_readable(uri: str, path: Path) -> bool:
    """Whether a ledger of this version's schema can be read there; StoreError for a file that is not ours or newer."""
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            refuse_foreign(connection, path)
            connection.execute("SELECT count(*) FROM epochs").fetchone()
            return bool(connection.execute("PRAGMA user_version").fetchone() == (VERSION,))
    except sqlite3.Error:
        return False


def _exists(path: Path) -> bool:
    """Whether there may be a file: a directory that cannot be listed may hold one."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True
