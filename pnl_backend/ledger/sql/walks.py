"""How far each list of the account's history was read: a read that was interrupted goes on where it stopped."""

from __future__ import annotations

from pnl_backend.domain.ledger_facts import Walk
from pnl_backend.ledger.sql.connection import Connection, Database

_SAVE = """
INSERT INTO walks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
SET complete_to = excluded.complete_to, top = excluded.top, bottom = excluded.bottom, rows = excluded.rows,
    finished_at = excluded.finished_at
"""
_COLUMNS = "name, complete_to, top, bottom, rows, finished_at"


class Walks:
    """The stored walks; both methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, name: str) -> Walk:
        """The state of a list; a new one for a list that was never read."""
        rows = await self._database.read(f"SELECT {_COLUMNS} FROM walks WHERE name = ?", (name,))  # noqa: S608 - constant
        return Walk(*rows[0]) if rows else Walk(name)

    async def save(self, walk: Walk) -> None:
        row = (walk.name, walk.complete_to, walk.top, walk.bottom, walk.rows, walk.finished_at)

        def work(connection: Connection) -> None:
            connection.execute(_SAVE, row)

        await self._database.write(work)
