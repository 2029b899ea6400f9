"""The exact figures that a correct server shows for the simulated organisation's present state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from pnl_backend.sources.simulated.units import DAY, ZERO

from .spend import Spend


@dataclass(frozen=True)
class AnthropicTruth:
    """USD by UTC day, exact; `estimates` is what follows from the legacy usage report (no code execution)."""

    today: date
    by_day: Mapping[date, Decimal]
    estimates: Mapping[date, Decimal]

    @property
    def daily_spend(self) -> Decimal:
        return self.by_day.get(self.today, ZERO)

    @property
    def daily_estimate(self) -> Decimal:
        return self.estimates.get(self.today, ZERO)

    def total_since(self, since: date) -> Decimal:
        """Closed days and today, from `since` on."""
        return sum((amount for day, amount in self.by_day.items() if day >= since), ZERO)

    def estimate_since(self, since: date) -> Decimal:
        """What the legacy path gives: closed days as billed, today as it follows from usage."""
        return self.total_since(since) - self.daily_spend + self.daily_estimate


def anthropic_truth(spend: Spend, clock: Callable[[], float]) -> AnthropicTruth:
    """Price every day that has usage."""

    def named(*, estimated: bool) -> dict[date, Decimal]:
        return {_date(day): spend.dollars(day, estimated=estimated) for day in spend.days()}

    today = _date(int(clock()) // DAY * DAY)
    return AnthropicTruth(today=today, by_day=named(estimated=False), estimates=named(estimated=True))


def _date(day: int) -> date:
    return datetime.fromtimestamp(day, UTC).date()
