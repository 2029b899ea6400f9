"""The three sources of the first wire contract: their figures and lines have names of their own in every message.

Old clients read `components.kalshi`, `.anthropic` and `.johns` and the ledger feed's trades, costs and revenue, so
these three are always part of a snapshot, configured or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pnl_backend.domain.figures import count, counts, figures, kept_deals, usd
from pnl_backend.domain.lines import Line
from pnl_backend.domain.readings import Deal, SourceName

KALSHI, ANTHROPIC, JOHNS = "kalshi", "anthropic", "johns"
CLASSIC: tuple[SourceName, ...] = (KALSHI, ANTHROPIC, JOHNS)

TRADING_FEES = "Trading Fees"


@figures
class KalshiFigures:
    """Trading: cash, open markets, P&L before fees, fees; USD."""

    balance: Decimal = usd("Cash.")
    positions: int = count("Markets with an open position.")
    pnl: Decimal = usd("Realized and unrealized P&L, before fees.", cumulative=True, init=False)
    realized_pnl: Decimal = usd("P&L of closed positions.", cumulative=True)
    unrealized_pnl: Decimal = usd("What the open positions are worth, less their cost.", cumulative=True)
    fees: Decimal = usd("Trading fees.", cumulative=True)
    marks: Mapping[str, int] = counts("How many open positions each kind of mark valued.", added_later=True)
    closed_positions: int = count("Markets without an open position.", ledger_name="closed")
    portfolio_value: Decimal | None = usd("Kalshi's value of the positions.", ledger_name="portfolioValue")

    def __post_init__(self) -> None:
        object.__setattr__(self, "pnl", self.realized_pnl + self.unrealized_pnl)


@figures
class AnthropicFigures:
    """API spend of the running UTC day and since the beginning; USD."""

    daily_spend: Decimal = usd("Cost of the current UTC day so far.")
    total_spend: Decimal = usd("Cost since the first day that counts.", cumulative=True)


@figures
class JohnsFigures:
    """Invoiced and collected revenue; USD."""

    invoiced: Decimal = usd("Invoiced since the beginning.", cumulative=True)
    collected: Decimal = usd("Collected since the beginning.", cumulative=True)
    pipeline: Decimal = usd("Deals not yet won; counted nowhere.", added_later=True)
    recent_deals: tuple[Deal, ...] = kept_deals("deals")


CLASSIC_FIGURES: Mapping[SourceName, type[Any]] = {
    KALSHI: KalshiFigures,
    ANTHROPIC: AnthropicFigures,
    JOHNS: JohnsFigures,
}


def kalshi_lines(realized: Decimal, unrealized: Decimal, fees: Decimal) -> tuple[Line, ...]:
    return (
        Line("revenue", "Realized P&L", realized),
        Line("revenue", "Unrealized P&L", unrealized),
        Line("expense", TRADING_FEES, fees),
    )


def anthropic_lines(
    total: Decimal, families: Mapping[str, Decimal] | None = None, agents: Mapping[str, Decimal] | None = None
) -> tuple[Line, ...]:
    return (Line("expense", "API spend", total, families, agents),)


def johns_lines(collected: Decimal) -> tuple[Line, ...]:
    return (Line("revenue", "Collected", collected),)


def lines_of(source: SourceName, shown: Any) -> tuple[Line, ...]:
    """The lines of a classic source by its figures, for snapshots that did not keep their lines."""
    if isinstance(shown, KalshiFigures):
        return kalshi_lines(shown.realized_pnl, shown.unrealized_pnl, shown.fees)
    if isinstance(shown, AnthropicFigures):
        return anthropic_lines(shown.total_spend)
    if isinstance(shown, JohnsFigures):
        return johns_lines(shown.collected)
    raise TypeError(f"{source} is not one of {', '.join(CLASSIC)}")
