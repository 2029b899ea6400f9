"""The exact figures that a correct server shows for the simulation's present state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pnl_backend.sources.anthropic.simulator.truth import AnthropicTruth
from pnl_backend.sources.kalshi.simulator.truth import KalshiTruth
from pnl_backend.sources.revenue.simulator.deals import JohnsTruth


@dataclass(frozen=True)
class Truth:
    kalshi: KalshiTruth
    anthropic: AnthropicTruth
    johns: JohnsTruth

    def total_revenue(self) -> Decimal:
        return self.kalshi.pnl + self.johns.collected

    def total_expenses(self, since: date) -> Decimal:
        return self.anthropic.total_since(since) + self.kalshi.fees

    def net_pnl(self, since: date) -> Decimal:
        return self.total_revenue() - self.total_expenses(since)
