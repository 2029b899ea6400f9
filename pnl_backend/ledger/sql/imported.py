"""Rows of an older server, stored in the ledger as history: once, however often they are imported.

A snapshot's number is computed from its time and lies below every number of this server, so that the same snapshot has
the same number in every import. Imported rows are never published, replayed or used as a baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql import rollups
from pnl_backend.ledger.sql.connection import Connection, nothing, rowcounts, transaction
from pnl_backend.ledger.sql.rollups import Calendar

EPOCH = "imported-snapshots"
FIRST_SEQ = -(1 << 53)
"""The number of an imported snapshot is this plus its time in ms: unique for each ms, in order of time, below 0."""


class ImportedSnapshot(NamedTuple):
    """One snapshot of an older server: `at` in ms, sums in cents, `trades` if their number was given."""

    at: int
    net: int
    kalshi: int
    costs: int
    revenue: int
    trades: int | None


class ImportedTrade(NamedTuple):
    """One row of `kalshi_trades`; money as decimal text in USD, `at` in ms."""

    id: str
    symbol: str
    side: str | None
    quantity: str | None
    entry_price: str | None
    current_price: str | None
    status: str | None
    realized: str | None
    at: int | None
    created_at: str | None


class ImportedCost(NamedTuple):
    """One row of `anthropic_costs`: a month (YYYY-MM) and its cost in USD."""

    id: str
    month: str
    amount: str
    tokens: int | None
    at: int | None
    created_at: str | None


class ImportedDeal(NamedTuple):
    """One row of `john_revenue`."""

    id: str
    name: str | None
    closed_date: str | None
    amount: str
    status: str | None
    at: int | None
    created_at: str | None


ImportedFact = ImportedTrade | ImportedCost | ImportedDeal
_TABLES: dict[type[Any], str] = {
    ImportedTrade: "imported_trades",
    ImportedCost: "imported_costs",
    ImportedDeal: "imported_deals",
}


class Added(NamedTuple):
    """The result of a batch: new rows, rows that were held already, and held rows that differ."""

    new: int
    known: int
    changed: int


class Imports:
    """The ledger, open for an import alone. `before` is the first instant (ms) whose snapshots are not taken.

    `finish` is called after each transaction.
    """

    def __init__(
        self, connection: Connection, calendar: Calendar, now: int, finish: Callable[[], None] = nothing
    ) -> None:
        self._connection = connection
        self._calendar = calendar
        self._now = now
        self._finish = finish
        (first,) = connection.execute("SELECT min(at) FROM snapshots WHERE seq > 0").fetchone()
        self.has_own = first is not None
        self.before: int = now if first is None else min(first, now)

    def add_snapshots(self, batch: Sequence[ImportedSnapshot]) -> Added:
        """Store snapshots in one transaction; a snapshot that is held already is not changed."""
        late = [row for row in batch if row.at >= self.before]
        if late:
            raise StoreError(f"a snapshot of {late[0].at} is not older than the ledger's own")
        with transaction(self._connection):
            self._connection.execute("INSERT INTO epochs VALUES (?, ?) ON CONFLICT DO NOTHING", (FIRST_SEQ, EPOCH))
            rows = [(FIRST_SEQ + row.at, *row[:5]) for row in batch]
            counts = rowcounts(self._connection, _ADD_SNAPSHOT, rows)
            new = [row for row, count in zip(rows, counts, strict=True) if count]
            numbers = {row[0] for row in new}
            more = [(FIRST_SEQ + s.at, s.trades, self._now) for s in batch if FIRST_SEQ + s.at in numbers]
            self._connection.executemany("INSERT INTO imported_snapshots VALUES (?, ?, ?) ON CONFLICT DO NOTHING", more)
            rollups.add_imported(self._connection, new, self._calendar)
            other = [row for row in rows if self._connection.execute(_OF_SNAPSHOT, row[:1]).fetchone() != row]
        self._finish()
        return Added(len(new), len(batch) - len(new) - len(other), len(other))

    def add_facts(self, batch: Sequence[ImportedFact]) -> Added:
        """Store rows of one kind in one transaction; a held row that differs is replaced."""
        table, fields = _TABLES[type(batch[0])], batch[0]._fields
        others = ", ".join(fields[1:])
        changed = ", ".join(f"excluded.{name}" for name in fields[1:])
        differs = " OR ".join(_DIFFERS.format(f"{table}.{name}", f"excluded.{name}") for name in fields[1:])
        places = ", ".join("?" for _ in (*fields, "taken_at"))
        insert = (
            f"INSERT INTO {table} ({', '.join(fields)}, taken_at) VALUES ({places})"  # noqa: S608 - constants
            f" ON CONFLICT (id) DO UPDATE SET ({others}) = ({changed}) WHERE {differs}"
        )
        count = f"SELECT count(*) FROM {table}"  # noqa: S608 - constants
        with transaction(self._connection):
            (before,) = self._connection.execute(count).fetchone()
            written = self._connection.executemany(insert, [(*row, self._now) for row in batch]).rowcount
            (after,) = self._connection.execute(count).fetchone()
        self._finish()
        new = after - before
        return Added(new, len(batch) - written, written - new)

    def snapshots(self) -> tuple[int, int, int]:
        """How many imported snapshots are held, and the time of the first and the last, in ms."""
        count, first, last = self._connection.execute(
            "SELECT count(*), coalesce(min(at), 0), coalesce(max(at), 0) FROM snapshots WHERE seq < 0"
        ).fetchone()
        return count, first, last


_DIFFERS = "coalesce({0} <> {1}, ({0} IS NULL) <> ({1} IS NULL))"
_ADD_SNAPSHOT = "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
_OF_SNAPSHOT = "SELECT seq, at, net, kalshi, costs, revenue FROM snapshots WHERE seq = ?"
