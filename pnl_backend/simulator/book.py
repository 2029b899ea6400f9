"""The initial state of all simulated upstreams."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from typing import Self

from pnl_backend.sources.anthropic.simulator import Spend
from pnl_backend.sources.kalshi.simulator import KalshiBook
from pnl_backend.sources.revenue.simulator import Deal, shipped_deals


@dataclass
class Book(KalshiBook):
    """A Kalshi account with an organisation's usage and deals, both empty unless they are given or shipped."""

    spend: Spend = field(default_factory=Spend)
    deals: list[Deal] = field(default_factory=list)

    def copy(self) -> Self:
        return replace(super().copy(), spend=deepcopy(self.spend), deals=[copy(deal) for deal in self.deals])

    @classmethod
    def shipped(cls, now: float) -> Self:
        """The books that the sources ship, their dates counted from `now` (UTC seconds)."""
        return replace(super().shipped(now), spend=Spend.shipped(now), deals=shipped_deals(now))
