"""The figures of one moment as a server should publish them, and the sums that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

ZERO, CENT = Decimal(0), Decimal("0.01")


def cents(value: Decimal) -> Decimal:
    """To whole cents, half up (away from zero)."""
    return value.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Figures:
    """What is published: whole cents of USD, but for `exact_net`, and for the exact parts of `costs`."""

    balance: Decimal
    positions: int
    closed_positions: int
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    invoiced: Decimal
    collected: Decimal
    pipeline: Decimal
    daily_spend: Decimal
    total_spend: Decimal
    exact_net: Decimal
    costs: dict[str, Decimal]
    deals: int

    @property
    def pnl(self) -> Decimal:
        return self.realized + self.unrealized

    @property
    def revenue(self) -> Decimal:
        return self.pnl + self.collected

    @property
    def expenses(self) -> Decimal:
        return self.total_spend + self.fees

    @property
    def net(self) -> Decimal:
        return self.revenue - self.expenses

    @property
    def margin(self) -> Decimal:
        """Percent."""
        return ZERO if self.revenue <= 0 else cents(100 * self.net / self.revenue)

    def trend(self, baseline: Decimal) -> Decimal:
        """Percent of change of the net P&L against an earlier one."""
        if not baseline:
            return Decimal(100 * ((self.net > 0) - (self.net < 0)))
        return cents(100 * (self.net - baseline) / abs(baseline))

    def agents(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Revenue and expenses by agent, without rules of its own."""
        return {"Scalper": (self.pnl, self.fees), "John": (self.collected, ZERO), "Cliff": (ZERO, self.total_spend)}
