"""A PostgreSQL database as one end of a move."""

from __future__ import annotations

from collections.abc import Sequence

from pnl_backend.ledger.moving.ends import End
from pnl_backend.ledger.moving.tables import PAYLOADS, TABLES, Table
from pnl_backend.ledger.postgres import partitions
from pnl_backend.ledger.postgres.adapter import Adapter, unhurried
from pnl_backend.ledger.sql.connection import Row, transaction
from pnl_backend.ledger.sql.numbering import last_taken

_COUNTED = ("id", "rowid")
"""Columns whose next value a sequence gives."""


class PostgresEnd(End):
    """A ledger in a PostgreSQL database."""

    def __init__(self, name: str, adapter: Adapter) -> None:
        super().__init__(name, adapter)
        self._adapter = adapter

    def clear(self, table: Table) -> None:
        if table.name == "meta":
            super().clear(table)
        else:
            self._adapter.execute(f"TRUNCATE {table.name}")

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        unhurried(self._adapter.raw)
        columns = table.columns
        if table is PAYLOADS:  # its partitions are those of the snapshots
            columns, rows = (*columns, "at"), self._dated(rows)
        sql = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"
        with self._adapter.raw.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)

    def begin(self, first: int, last: int) -> None:
        partitions.create_between(self._adapter, first, last)

    def finish(self) -> None:
        with transaction(self._adapter):
            unhurried(self._adapter.raw)
            for table in TABLES:
                if table.key[0] in _COUNTED and len(table.key) == 1 and table.key[0] in table.numbers:
                    self._adapter.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table.name}', '{table.key[0]}'),"  # noqa: S608 - constants
                        f" (SELECT coalesce(max({table.key[0]}), 0) + 1 FROM {table.name}), false)"
                    )
            self._adapter.execute("UPDATE head SET seq = ?", (last_taken(self._adapter),))
            super().finish()

    def _dated(self, rows: Sequence[Row]) -> list[Row]:
        """Payloads with the time of their snapshots."""
        sql = "SELECT seq, at FROM snapshots WHERE seq BETWEEN ? AND ?"
        times = dict(self._adapter.execute(sql, (rows[0][0], rows[-1][0])).fetchall())
        return [(*row, times[row[0]]) for row in rows]
