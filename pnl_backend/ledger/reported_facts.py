"""Writes the facts that readings carry into the ledger: John's deals, and Anthropic's cost of each day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from loguru import logger

from pnl_backend.domain.readings import AnthropicSpend, CostRow, Deal, Reading, Revenue
from pnl_backend.ledger.sql.facts import Facts

_DAY = timedelta(days=1)


class ReportedFacts:
    """Knows what it wrote last, so that only what has changed is written; both calls raise StoreError."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._costs: dict[date, tuple[CostRow, ...]] = {}
        self._deals: tuple[Deal, ...] | None = None

    async def record_costs(self, reading: Reading[Any]) -> list[str]:
        """The days (ISO) whose costs are new, have changed or are gone.

        A row that is gone from an open day is noted as a correction; an estimate gives way to the bill without one.
        """
        spend = reading.value
        if not isinstance(spend, AnthropicSpend):
            return []
        days = _by_day(spend)
        changed = [day for day, rows in days.items() if self._costs.get(day) != rows]
        rows = [row for day in changed for row in days[day]]
        noted_at = None if spend.estimated else reading.fetched_at
        recorded = await self._facts.add_costs(rows, changed, noted_at=noted_at)
        self._costs = days
        gone = len({*recorded}.difference(spend.rows))
        if gone and noted_at is not None:
            logger.info("Anthropic removed {} rows of cost of open days; they are kept as corrections", gone)
        return [row.day.isoformat() for row in recorded]

    async def record_deals(self, reading: Reading[Any]) -> list[str]:
        """The ids of the deals that are new, have changed, or are gone from the source's list."""
        revenue = reading.value
        if not isinstance(revenue, Revenue) or not revenue.lists_deals or revenue.deals == self._deals:
            return []
        recorded = await self._facts.add_deals(revenue.deals, reading.as_of, complete=True)
        self._deals = revenue.deals
        listed = {deal.id for deal in revenue.deals}
        for deal in recorded:
            if deal.id not in listed:
                logger.info("John's list lacks the deal {} of {:.2f} USD; it is kept as gone", deal.id, deal.amount)
        return [deal.id for deal in recorded]


def _by_day(spend: AnthropicSpend) -> dict[date, tuple[CostRow, ...]]:
    """The rows of each day that the reading covers: the last two days always, others as far as they cost anything."""
    days: dict[date, list[CostRow]] = {day: [] for day in _open_days(spend)}
    for row in spend.rows:
        days.setdefault(row.day, []).append(row)
    return {day: tuple(rows) for day, rows in days.items()}


def _open_days(spend: AnthropicSpend) -> Iterable[date]:
    return (day for day in (spend.today - _DAY, spend.today) if day >= spend.since)
