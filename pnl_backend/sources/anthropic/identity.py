"""Finds out which of the ledger's closed days an organisation has, for answers that do not name the organisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from pnl_backend.domain.accounts import Evidence
from pnl_backend.domain.money import ZERO
from pnl_backend.sources.anthropic.api import ANALYTICS_COST, COST_REPORT, EndpointRefused, ReportPages
from pnl_backend.sources.anthropic.costs import (
    DAY,
    Costs,
    analytics_reaches,
    day_range,
    read_analytics,
    read_cost_report,
)

MOST_DAYS = 31
"""The reports answer no longer range."""


class KnownCosts:
    """Asks for the cost of days that the ledger holds as closed; most of them are never revised.

    `clock` gives seconds since the epoch.
    """

    def __init__(self, pages: ReportPages, clock: Callable[[], float]) -> None:
        self._pages = pages
        self._clock = clock

    async def recognise(self, evidence: Evidence) -> Sequence[str]:
        """The days, within the newest 31, that cost this organisation exactly what the ledger holds."""
        if not evidence.costs:
            return []
        last = max(evidence.costs)
        first = max(min(evidence.costs), last - (MOST_DAYS - 1) * DAY)
        reaches = first >= analytics_reaches(datetime.fromtimestamp(self._clock(), UTC).date())
        for ask in (self._analytics, self._cost_report) if reaches else (self._cost_report,):
            try:
                costs = _by_day(await ask(first, last))
            except EndpointRefused:
                continue
            known = [day for day, usd in evidence.costs.items() if first <= day and costs.get(day) == usd]
            if known:
                return [f"the cost of {day}" for day in known]
        return []

    async def _analytics(self, first: date, last: date) -> Costs:
        grouped = [("time_bucket_width", "1d"), ("order_by", "time"), ("limit", "1000"), ("group_by[]", "model")]
        report = await self._pages.report(ANALYTICS_COST, [*day_range(first, last), *grouped])
        return read_analytics(report.rows, first, last)

    async def _cost_report(self, first: date, last: date) -> Costs:
        params = [*day_range(first, last), ("bucket_width", "1d"), ("limit", str(MOST_DAYS))]
        report = await self._pages.report(COST_REPORT, params)
        return read_cost_report(report.rows, first, last)


def _by_day(costs: Costs) -> Mapping[date, Decimal]:
    days: dict[date, Decimal] = {}
    for key, usd in costs.items():
        days[key.day] = days.get(key.day, ZERO) + usd
    return days
