"""What the ledger remembers for the upstreams: totals of markets that age out, and the cost of closed days."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import ClosedCosts, CostRow, Position

Totals = tuple[Decimal, Decimal]
"""Realized profit and fees of one market."""


class MarketTotals:
    """Realized profit and fees of every market ever seen, in memory as on disk; flat zeros are not worth a row."""

    def __init__(self) -> None:
        self._held: dict[str, Totals] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Take what the file holds; what is only in memory stays."""
        rows = connection.execute("SELECT ticker, realized, fees FROM market_totals").fetchall()
        self._held.update({ticker: (Decimal(realized), Decimal(fees)) for ticker, realized, fees in rows})

    def changed(self, positions: Iterable[Position]) -> dict[str, Totals]:
        """The totals among `positions` that differ from what is remembered."""
        told = {p.ticker: (p.realized_pnl, p.fees) for p in positions}
        return {ticker: totals for ticker, totals in told.items() if self._held.get(ticker, (ZERO, ZERO)) != totals}

    def write(self, connection: sqlite3.Connection, totals: dict[str, Totals], at: int) -> None:
        """Put totals on disk; they count once `remember` is told that they are committed."""
        connection.executemany(
            "INSERT INTO market_totals VALUES (?, ?, ?, ?) ON CONFLICT (ticker) DO UPDATE"
            " SET realized = excluded.realized, fees = excluded.fees, changed_at = excluded.changed_at",
            [(ticker, str(realized), str(fees), at) for ticker, (realized, fees) in totals.items()],
        )

    def write_all(self, connection: sqlite3.Connection, at: int) -> None:
        """Put everything in memory into a file that is new."""
        self.write(connection, self._held, at)

    def remember(self, totals: dict[str, Totals]) -> None:
        """Take committed totals into memory."""
        self._held.update(totals)

    def aged_out(self, tickers: Collection[str]) -> Totals:
        """Realized profit and fees of the remembered markets that are not among `tickers`."""
        listed = tickers if isinstance(tickers, set | frozenset | dict) else set(tickers)
        gone = [totals for ticker, totals in self._held.items() if ticker not in listed]
        return sum((realized for realized, _ in gone), ZERO), sum((fees for _, fees in gone), ZERO)


COST_DAYS = "SELECT day FROM cost_days ORDER BY day"
COSTS = "SELECT day, model, workspace_id, amount, api_key_id FROM costs ORDER BY day, rowid"


def closed_costs(days: Iterable[Sequence[Any]], costs: Iterable[Sequence[Any]]) -> ClosedCosts:
    """The rows of the two queries above as what is remembered."""
    return ClosedCosts(
        frozenset(date.fromisoformat(day) for (day,) in days),
        tuple(
            CostRow(date.fromisoformat(day), model, workspace_id, Decimal(amount), api_key_id)
            for day, model, workspace_id, amount, api_key_id in costs
        ),
    )


def save_days(connection: sqlite3.Connection, day_from: date, day_to: date, rows: Sequence[CostRow]) -> None:
    """Close the days from `day_from` to `day_to`, both included, with exactly these rows."""
    count = (day_to - day_from).days + 1
    keys = [((day_from + timedelta(days=n)).isoformat(),) for n in range(count)]
    connection.executemany("DELETE FROM costs WHERE day = ?", keys)
    connection.executemany("INSERT INTO cost_days VALUES (?) ON CONFLICT DO NOTHING", keys)
    connection.executemany(
        "INSERT INTO costs (day, model, workspace_id, amount, api_key_id) VALUES (?, ?, ?, ?, ?)",
        [(r.day.isoformat(), r.model, r.workspace_id, str(r.amount), r.api_key_id) for r in rows],
    )
