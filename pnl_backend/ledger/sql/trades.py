"""Fills and settlements by market, and what the account reports of each market."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from pnl_backend.domain.corrections import Correction
from pnl_backend.domain.ledger_facts import Fill, Settlement
from pnl_backend.domain.money import exact
from pnl_backend.domain.readings import MarketKey
from pnl_backend.domain.verification import MarketFigures
from pnl_backend.ledger.sql import corrections
from pnl_backend.ledger.sql.connection import Connection, Database, Row
from pnl_backend.ledger.sql.fact_rows import read_fill, read_settlement, settlement_row

_TICKERS = "SELECT ticker FROM fills UNION SELECT ticker FROM settlements"
_REPORTED = "SELECT ticker, subaccount, realized, fees, quantity, cost, changed_at FROM positions WHERE changed_at >= ?"
_PUT_OUTCOME = "INSERT INTO outcomes VALUES (?, ?) ON CONFLICT (ticker) DO UPDATE SET value = excluded.value"
_PUT_SETTLEMENT = (
    "INSERT INTO settlements (key, ticker, result, yes_count, yes_cost, no_count, no_cost, revenue, value, fee, at,"
    " subaccount) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET ticker = excluded.ticker,"
    " result = excluded.result, yes_count = excluded.yes_count, yes_cost = excluded.yes_cost,"
    " no_count = excluded.no_count, no_cost = excluded.no_cost, revenue = excluded.revenue, value = excluded.value,"
    " fee = excluded.fee, at = excluded.at, subaccount = excluded.subaccount"
)


class Trades:
    """Both kinds of fact by market; every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tickers(self) -> list[str]:
        """Every market of which there is a fact."""
        return [ticker for (ticker,) in await self._database.read(_TICKERS)]

    async def fills_of(self, tickers: Collection[str]) -> list[Fill]:
        """Every fill of these markets."""
        shape = lambda _cursor, row: read_fill(row)  # noqa: E731 - parsed on the reader's thread
        return await self._database.read(_of("fills", tickers), tuple(tickers), shape=shape)

    async def settlements_of(self, tickers: Collection[str]) -> list[Settlement]:
        """Every settlement of these markets."""
        shape = lambda _cursor, row: read_settlement(row)  # noqa: E731 - parsed on the reader's thread
        return await self._database.read(_of("settlements", tickers), tuple(tickers), shape=shape)

    async def reported(self, since: int) -> list[tuple[MarketKey, MarketFigures, int]]:
        """What was last reported of the markets that have changed since then (ms), and when they changed."""
        return await self._database.read(_REPORTED, (since,), shape=lambda _cursor, row: _reported(row))

    async def correct(self, settlements: Sequence[Settlement], noted_at: int) -> list[str]:
        """Replace settlements that the upstream has corrected, each noted as a correction; returns their markets."""

        def work(connection: Connection) -> list[str]:
            changed: list[str] = []
            for new in settlements:
                row = connection.execute("SELECT * FROM settlements WHERE key = ?", (new.key,)).fetchone()
                old = None if row is None else read_settlement(row)
                if old is None or old == new:
                    continue
                connection.execute(_PUT_SETTLEMENT, settlement_row(new))
                corrections.note(connection, [Correction("settlement", new.key, old.revenue, new.revenue, noted_at)])
                changed.append(new.ticker)
            return changed

        return await self._database.write(work)

    async def outcomes(self) -> dict[str, Decimal]:
        """What a YES contract was worth in the end, by market, as far as it had to be asked for."""
        return {ticker: Decimal(value) for ticker, value in await self._database.read("SELECT * FROM outcomes")}

    async def add_outcomes(self, outcomes: Mapping[str, Decimal], noted_at: int) -> None:
        """Store the outcomes of markets; one that replaces another is noted as a correction at `noted_at` (ms)."""

        def work(connection: Connection) -> None:
            for ticker, value in outcomes.items():
                held = connection.execute("SELECT value FROM outcomes WHERE ticker = ?", (ticker,)).fetchone()
                before = None if held is None else Decimal(held[0])
                if before is not None and before != value:
                    corrections.note(connection, [Correction("settlement", ticker, before, value, noted_at)])
                connection.execute(_PUT_OUTCOME, (ticker, exact(value)))

        await self._database.write(work)


def _of(table: str, tickers: Collection[str]) -> str:
    return f"SELECT * FROM {table} WHERE ticker IN ({','.join('?' * len(tickers))})"  # noqa: S608 - a constant and marks


def _reported(row: Row) -> tuple[MarketKey, MarketFigures, int]:
    ticker, subaccount, *amounts, changed_at = row
    return (ticker, subaccount), MarketFigures(*map(Decimal, amounts)), changed_at
