"""Facts of the upstreams, kept without limit: each fill, settlement and transfer once, each state of a deal once.

Facts may come in any order and more than once. They stay after the upstream has archived them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeVar

from pnl_backend.domain.corrections import Correction, cost_corrections, cost_ref
from pnl_backend.domain.ledger_facts import Fill, Settlement, Transfer
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import CostRow, Deal
from pnl_backend.ledger.sql import corrections, deal_states, remembered, transfers
from pnl_backend.ledger.sql.adjustments import Adjustments
from pnl_backend.ledger.sql.connection import Connection, Database, Row, rowcounts
from pnl_backend.ledger.sql.fact_rows import fill_row, read_fill, read_settlement, settlement_row
from pnl_backend.ledger.sql.trades import Trades
from pnl_backend.ledger.sql.walks import Walks

Fact = TypeVar("Fact")


class Facts:
    """The ledger's facts; every `add_` returns what was new and raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.walks = Walks(database)
        self.trades = Trades(database)
        self.adjustments = Adjustments(database)

    async def add_fills(self, fills: Iterable[Fill]) -> list[Fill]:
        """Store executions; returns those that are new, or whose time was an estimate and is known now."""
        return await self._add(_ADD_FILL, fills, fill_row)

    async def add_settlements(self, settlements: Iterable[Settlement]) -> list[Settlement]:
        """Store pay-outs; returns the new ones, in the given order."""
        return await self._add(_ADD_SETTLEMENT, settlements, settlement_row)

    async def add_transfers(self, given: Iterable[Transfer], noted_at: int) -> list[Transfer]:
        """Store the states of deposits and withdrawals at `noted_at` (ms); returns those that are new or have changed.

        The states before are kept; a change of what had moved money is noted as a correction.
        """
        states = list(given)
        if not states:
            return []
        return await self._database.write(lambda connection: transfers.store(connection, states, noted_at))

    async def add_deals(self, deals: Iterable[Deal], seen_at: int, *, complete: bool = False) -> list[Deal]:
        """Store the state of deals at `seen_at` (ms); returns those that are new or have changed.

        With `complete` these are all the deals there are: one that is not among them has gone. Its last state is
        stored with the status `gone`, its amount is noted as a correction, and it is returned as it was.
        """
        given = list(deals)

        def work(connection: Connection) -> list[Deal]:
            return deal_states.store(connection, given, seen_at, complete=complete)

        return await self._database.write(work) if given or complete else []

    async def add_costs(
        self, rows: Sequence[CostRow], days: Iterable[date] = (), *, noted_at: int | None = None
    ) -> list[CostRow]:
        """Store the cost so far of days that are not closed: those of the rows, and `days`, which may be without any.

        Returns the rows that are new, have changed or are gone. With `noted_at` (ms) what is gone is noted as a
        correction. Closed days are not changed.
        """
        covered = {*days, *(row.day for row in rows)}

        def work(connection: Connection) -> list[CostRow]:
            still_open = covered - remembered.closed_days(connection)
            given = [row for row in rows if row.day in still_open]
            stored = remembered.costs_between(connection, min(covered), max(covered))
            held = {row for row in stored if row.day in still_open}
            listed = {cost_ref(row) for row in given}
            changed = [row for row in given if row not in held]
            gone = [row for row in stored if row in held and cost_ref(row) not in listed]
            if changed or gone:
                remembered.replace_costs(connection, still_open, given)
            if noted_at is not None:
                corrections.note(connection, cost_corrections(gone, (), noted_at))
            return changed + gone

        return await self._database.write(work) if covered else []

    async def fills(self, start: int, end: int, *, ticker: str | None = None, limit: int = 1000) -> list[Fill]:
        """The newest `limit` executions of `start` to `end` (ms, both included), oldest first."""
        sql, parameters = "SELECT * FROM fills WHERE at BETWEEN ? AND ?", (start, end)
        only = " AND ticker = ?" if ticker is not None else ""
        tail = " ORDER BY at DESC, fill_id DESC LIMIT ?"
        rows = await self._database.read(
            sql + only + tail, (*parameters, *([ticker] if ticker is not None else []), limit)
        )
        return [read_fill(row) for row in rows[::-1]]

    async def settlements(self, start: int, end: int, *, limit: int = 1000) -> list[Settlement]:
        """The newest `limit` pay-outs of `start` to `end` (ms, both included), oldest first."""
        sql = "SELECT * FROM settlements WHERE at BETWEEN ? AND ? ORDER BY at DESC, key DESC LIMIT ?"
        return [read_settlement(row) for row in (await self._database.read(sql, (start, end, limit)))[::-1]]

    async def transfers(self) -> list[Transfer]:
        """The last state of every deposit and withdrawal, oldest first."""
        return list(map(transfers.transfer, await self._database.read(transfers.ALL)))

    async def transfer_states(self, key: str) -> list[Transfer]:
        """The states that a transfer had before its last one, oldest first."""
        return list(map(transfers.transfer, await self._database.read(transfers.STATES, (key,))))

    async def deals(self) -> list[Deal]:
        """The last state of every deal that has not gone, by id."""
        return [deal_states.deal(row) for row in await self._database.read(deal_states.PRESENT)]

    async def corrections(self) -> list[Correction]:
        """Every correction, oldest first."""
        return [corrections.correction(row) for row in await self._database.read(corrections.ALL)]

    async def costs(self, day_from: date, day_to: date) -> list[CostRow]:
        """The cost of the days from `day_from` to `day_to`, both included, closed or not."""
        days = day_from.isoformat(), day_to.isoformat()
        rows = await self._database.read(remembered.COSTS_BETWEEN, days)
        return list(await asyncio.to_thread(remembered.cost_rows, rows))

    async def fill_fees(self) -> Decimal:
        """The exact sum of the fees of all fills, in USD."""
        fees = await self._database.read("SELECT fee FROM fills")
        # Summing a hundred thousand decimals would block the loop.
        return await asyncio.to_thread(lambda: sum((Decimal(fee) for (fee,) in fees), ZERO))

    async def _add(self, insert: str, facts: Iterable[Fact], row: Callable[[Fact], Row]) -> list[Fact]:
        given = list(facts)
        if not given:
            return []

        def work(connection: Connection) -> list[Fact]:
            counts = rowcounts(connection, insert, map(row, given))
            return [fact for fact, count in zip(given, counts, strict=True) if count]

        return await self._database.write(work)


_ADD_FILL = """
INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fill_id) DO UPDATE
SET at = excluded.at, time_estimated = 0 WHERE fills.time_estimated = 1 AND excluded.time_estimated = 0
"""
_ADD_SETTLEMENT = "INSERT INTO settlements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
