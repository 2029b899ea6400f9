"""One end of a move: a ledger whose rows are read in the order of their keys and written in batches."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pnl_backend.ledger.moving.tables import OWN_META, Table
from pnl_backend.ledger.sql.connection import Connection, Row, transaction
from pnl_backend.ledger.sql.numbering import put_meta

MOVING = "moving"
"""Key of `meta` in a copy that is not finished; its value names the ledger that is copied."""

_META = " WHERE key NOT IN ({})".format(", ".join(f"'{name}'" for name in OWN_META))


class End:
    """A ledger in a SQLite file; `name` is what messages call it."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self.connection = connection

    def rows(self, table: Table, after: Row | None, limit: int) -> list[Row]:
        """The next rows after a key, in the order of keys; each begins with its key."""
        columns, key = ", ".join(table.columns), ", ".join(table.key)
        bound = self._only(table)
        if after is not None:
            bound += f"{' AND' if bound else ' WHERE'} ({key}) > ({', '.join('?' * len(table.key))})"
        sql = f"SELECT {columns} FROM {table.name}{bound} ORDER BY {key} LIMIT ?"  # noqa: S608 - constants
        return self.connection.execute(sql, (*(after or ()), limit)).fetchall()

    def last(self, table: Table) -> Row | None:
        """The greatest key of a table; None if it is empty."""
        key = ", ".join(table.key)
        order = ", ".join(f"{name} DESC" for name in table.key)
        sql = f"SELECT {key} FROM {table.name}{self._only(table)} ORDER BY {order} LIMIT 1"  # noqa: S608 - constants
        found: Row | None = self.connection.execute(sql).fetchone()
        return found

    def count(self, table: Table) -> int:
        (count,) = self.connection.execute(f"SELECT count(*) FROM {table.name}{self._only(table)}").fetchone()  # noqa: S608
        return int(count)

    def clear(self, table: Table) -> None:
        """Remove every row."""
        self.connection.execute(f"DELETE FROM {table.name}{self._only(table)}")  # noqa: S608 - constants

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows, each with all columns of the table."""
        places = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"  # noqa: S608 - constants
        self.connection.executemany(sql, [tuple(map(_plain, row)) for row in rows])

    def meta(self, key: str) -> str | None:
        found = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def note_moving(self, ledger: str) -> None:
        """Note that this is a copy of a ledger that is not finished."""
        with transaction(self.connection):
            put_meta(self.connection, MOVING, ledger)

    def begin(self, first: int, last: int) -> None:
        """Prepare for snapshots of this time (ms, both included)."""

    def finish(self) -> None:
        """Everything is copied: the ledger can be opened from now on."""
        self.connection.execute("DELETE FROM meta WHERE key = ?", (MOVING,))

    @staticmethod
    def _only(table: Table) -> str:
        return _META if table.name == "meta" else ""


def _plain(value: Any) -> Any:
    """Amounts are text in SQLite."""
    return format(value, "f") if isinstance(value, Decimal) else value
