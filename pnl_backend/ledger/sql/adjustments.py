"""The table of adjustments: cash that a person explains, with a reason; never changed and never deleted."""

from __future__ import annotations

from decimal import Decimal

from pnl_backend.domain.ledger_facts import Adjustment
from pnl_backend.domain.money import ZERO, exact
from pnl_backend.ledger.sql.connection import Connection, Database, Row

ALL = "SELECT account, amount, kind, reason, at, noted_at, id FROM adjustments ORDER BY at, id"
ADD = "INSERT INTO adjustments (account, amount, kind, reason, at, noted_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id"


class Adjustments:
    """The adjustments of a ledger; every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, one: Adjustment) -> int:
        """Store an adjustment; its id."""
        row = (one.account, exact(one.amount), one.kind, one.reason, one.at, one.noted_at)

        def work(connection: Connection) -> int:
            return int(connection.execute(ADD, row).fetchone()[0])

        return await self._database.write(work)

    async def all(self) -> list[Adjustment]:
        """Every adjustment, oldest first."""
        return [adjustment(row) for row in await self._database.read(ALL)]

    async def total(self, account: str, until: int) -> Decimal:
        """The sum of an account's adjustments up to an instant (ms, included), in USD."""
        sql = "SELECT amount FROM adjustments WHERE account = ? AND at <= ?"
        return sum((Decimal(amount) for (amount,) in await self._database.read(sql, (account, until))), ZERO)


def adjustment(row: Row) -> Adjustment:
    """A row of `ALL`."""
    account, amount, kind, reason, at, noted_at, number = row
    return Adjustment(account, Decimal(amount), kind, reason, at, noted_at, number)
