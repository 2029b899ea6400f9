"""What a Kalshi account adds to the P&L: its trades before fees, and its fees."""

from __future__ import annotations

from pnl_backend.domain.classic import KalshiFigures, kalshi_lines
from pnl_backend.domain.lines import Contribution, Moment
from pnl_backend.domain.money import ZERO, cents
from pnl_backend.domain.readings import KalshiPortfolio


def contribute(portfolio: KalshiPortfolio, moment: Moment) -> Contribution[KalshiFigures]:
    """Every market of the account: those that may still change, and the sums of the others."""
    del moment
    positions, closed = portfolio.positions, portfolio.closed
    held = [position for position in positions if position.is_open]
    realized, fees = portfolio.realized_pnl, portfolio.fees
    unrealized = sum((position.unrealized_pnl for position in held), ZERO)
    marks: dict[str, int] = {}
    for position in held:
        source = position.mark_source or "cost"
        marks[source] = marks.get(source, 0) + 1
    worth = portfolio.portfolio_value
    figures = KalshiFigures(
        balance=cents(portfolio.balance),
        positions=len({position.ticker for position in held}),
        realized_pnl=cents(realized),
        unrealized_pnl=cents(unrealized),
        fees=cents(fees),
        marks=dict(sorted(marks.items())),
        closed_positions=len(positions) - len(held) + closed.count,
        portfolio_value=None if worth is None else cents(worth),
    )
    lines = kalshi_lines(realized, unrealized, fees)
    return Contribution(figures, lines, notes=portfolio.notes, importing=portfolio.importing)
