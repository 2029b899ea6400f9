"""What a Kalshi account adds to the P&L: its trades before fees, and its fees."""

from __future__ import annotations

from pnl_backend.domain.classic import KalshiFigures, kalshi_lines
from pnl_backend.domain.lines import Contribution, Moment
from pnl_backend.domain.money import ZERO, cents
from pnl_backend.domain.readings import KalshiPortfolio


def contribute(portfolio: KalshiPortfolio, moment: Moment) -> Contribution[KalshiFigures]:
    """Every market that the account lists, and what is remembered of those that it lists no longer."""
    positions, aged_out = portfolio.positions, moment.aged_out
    held = [position for position in positions if position.is_open]
    closed = portfolio.closed
    realized = sum((position.realized_pnl for position in positions), aged_out.realized_pnl + closed.realized_pnl)
    unrealized = sum((position.unrealized_pnl for position in held), ZERO)
    fees = sum((position.fees for position in positions), aged_out.fees + closed.fees)
    marks: dict[str, int] = {}
    for position in held:
        source = position.mark_source or "cost"
        marks[source] = marks.get(source, 0) + 1
    worth = portfolio.portfolio_value
    figures = KalshiFigures(
        balance=cents(portfolio.balance),
        positions=len(held),
        realized_pnl=cents(realized),
        unrealized_pnl=cents(unrealized),
        fees=cents(fees),
        marks=dict(sorted(marks.items())),
        closed_positions=len(positions) - len(held) + closed.count,
        portfolio_value=None if worth is None else cents(worth),
    )
    return Contribution(figures, kalshi_lines(realized, unrealized, fees), importing=portfolio.importing)
