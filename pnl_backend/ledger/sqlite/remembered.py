"""State that the upstreams no longer give: totals of markets that they no longer list, and costs of closed days."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pnl_backend.domain.corrections import cost_corrections
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow, Position
from pnl_backend.ledger.sqlite import corrections

Known = tuple[Decimal, Decimal, Decimal, Decimal]
"""Realized profit, fees, quantity and cost of one market."""

_NOTHING: Known = (ZERO, ZERO, ZERO, ZERO)


class Markets:
    """The last known totals of every market, in memory and on disk; a market with zeros only has no row."""

    def __init__(self) -> None:
        self._held: dict[str, Known] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what the file holds; markets that are only in memory stay."""
        rows = connection.execute("SELECT ticker, realized, fees, quantity, cost FROM positions").fetchall()
        for ticker, realized, fees, quantity, cost in rows:
            self._held[ticker] = Decimal(realized), Decimal(fees), Decimal(quantity), Decimal(cost)

    def forget(self) -> None:
        """Remove all markets from memory."""
        self._held.clear()

    def changed(self, positions: Iterable[Position]) -> dict[str, Known]:
        """The totals of those `positions` that differ from the stored ones; market prices are not stored."""
        given = {p.ticker: (p.realized_pnl, p.fees, p.quantity, p.cost) for p in positions}
        return {ticker: known for ticker, known in given.items() if self._held.get(ticker, _NOTHING) != known}

    def write(self, connection: sqlite3.Connection, markets: dict[str, Known], at: int) -> None:
        """Write markets to disk; after the commit `remember` must be called."""
        connection.executemany(
            "INSERT INTO positions (ticker, changed_at, realized, fees, quantity, cost) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (ticker) DO UPDATE SET changed_at = excluded.changed_at, realized = excluded.realized,"
            " fees = excluded.fees, quantity = excluded.quantity, cost = excluded.cost",
            [(ticker, at, *map(str, known)) for ticker, known in markets.items()],
        )

    def write_all(self, connection: sqlite3.Connection, at: int) -> None:
        """Write all markets in memory to a new file."""
        self.write(connection, self._held, at)

    def remember(self, markets: dict[str, Known]) -> None:
        """Store in memory what was committed."""
        self._held.update(markets)

    def aged_out(self, tickers: Collection[str]) -> tuple[Decimal, Decimal]:
        """Realized profit and fees of the remembered markets that are not among `tickers`."""
        listed = tickers if isinstance(tickers, set | frozenset | dict) else set(tickers)
        gone = [known for ticker, known in self._held.items() if ticker not in listed]
        return sum((known[0] for known in gone), ZERO), sum((known[1] for known in gone), ZERO)


COST_DAYS = "SELECT day, confirmed_at, report FROM cost_days ORDER BY day"
COSTS = "SELECT day, model, workspace_id, amount, api_key_id FROM costs ORDER BY day, rowid"
COSTS_BETWEEN = COSTS.replace(" ORDER", " WHERE day BETWEEN ? AND ? ORDER")
CLOSED_COSTS = COSTS.replace(" ORDER", " WHERE day IN (SELECT day FROM cost_days) ORDER")


def cost_rows(rows: Iterable[Sequence[Any]]) -> tuple[CostRow, ...]:
    """Rows of `COSTS` or `CLOSED_COSTS`."""
    return tuple(
        CostRow(date.fromisoformat(day), model, workspace_id, Decimal(amount), api_key_id)
        for day, model, workspace_id, amount, api_key_id in rows
    )


def closed_costs(days: Iterable[Sequence[Any]], costs: Iterable[Sequence[Any]]) -> ClosedCosts:
    """The rows of `COST_DAYS` and `CLOSED_COSTS` as ClosedCosts."""
    confirmed = {date.fromisoformat(day): at and Confirmed(at, report or "") for day, at, report in days}
    return ClosedCosts(
        frozenset(confirmed), cost_rows(costs), {day: one for day, one in confirmed.items() if one is not None}
    )


def save_days(
    connection: sqlite3.Connection,
    day_from: date,
    day_to: date,
    rows: Sequence[CostRow],
    *,
    confirmed: Confirmed | None,
    now: int,
) -> None:
    """Close the days from `day_from` to `day_to`, both included, with exactly these rows.

    What differs in days that were closed before is noted as a correction at `now` (ms); of the others what is gone.
    """
    days = [day_from + timedelta(days=n) for n in range((day_to - day_from).days + 1)]
    closed = closed_days(connection)
    held = costs_between(connection, day_from, day_to)
    for was_closed in (True, False):
        before, after = ([row for row in some if (row.day in closed) is was_closed] for some in (held, rows))
        corrections.note(connection, cost_corrections(before, after, now, removed_only=not was_closed))
    replace_costs(connection, days, rows)
    at, report = (confirmed.at, confirmed.report) if confirmed else (None, None)
    connection.executemany(
        "INSERT INTO cost_days (day, confirmed_at, report) VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE"
        " SET confirmed_at = excluded.confirmed_at, report = excluded.report",
        [(day.isoformat(), at, report) for day in days],
    )


def closed_days(connection: sqlite3.Connection) -> set[date]:
    """The days that are closed."""
    return {date.fromisoformat(day) for day, _at, _report in connection.execute(COST_DAYS)}


def costs_between(connection: sqlite3.Connection, day_from: date, day_to: date) -> tuple[CostRow, ...]:
    """The rows of the days from `day_from` to `day_to`, both included."""
    return cost_rows(connection.execute(COSTS_BETWEEN, (day_from.isoformat(), day_to.isoformat())))


def replace_costs(connection: sqlite3.Connection, days: Iterable[date], rows: Iterable[CostRow]) -> None:
    """Replace all rows of these days by `rows`."""
    connection.executemany("DELETE FROM costs WHERE day = ?", [(day.isoformat(),) for day in days])
    connection.executemany(
        "INSERT INTO costs (day, model, workspace_id, amount, api_key_id) VALUES (?, ?, ?, ?, ?)",
        [(r.day.isoformat(), r.model, r.workspace_id, str(r.amount), r.api_key_id) for r in rows],
    )
