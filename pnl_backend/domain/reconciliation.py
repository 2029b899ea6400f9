"""Whether the account's equity explains its P&L, and whether the ledger's facts add up to what the sources reported.

reconciliation = (equity - net deposits - adjustments) - (pnl - fees), with equity = cash + what the open positions are
worth, and adjustments the cash that a person has explained. What is left over is published as it is, never absorbed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pnl_backend.domain.ledger_facts import Transfer
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import KalshiPortfolio, Position


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One account at one moment, in exact USD; `pnl` is before fees.

    `valuation` is the part of the gap that comes from Kalshi valuing the open positions differently than our marks.
    """

    equity: Decimal
    net_deposits: Decimal
    pnl: Decimal
    fees: Decimal
    valuation: Decimal
    adjustments: Decimal = ZERO

    @property
    def gap(self) -> Decimal:
        return (self.equity - self.net_deposits - self.adjustments) - (self.pnl - self.fees)


@dataclass(frozen=True, slots=True)
class Difference:
    """One sum as the ledger's facts have it and as its source reports it, in USD."""

    name: str
    stored: Decimal
    upstream: Decimal

    @property
    def amount(self) -> Decimal:
        return self.stored - self.upstream


def reconcile(portfolio: KalshiPortfolio, *, net_deposits: Decimal, adjustments: Decimal = ZERO) -> Reconciliation:
    """Markets that settled long ago count too: what they brought is still in the cash."""
    held = [position for position in portfolio.positions if position.is_open]
    marked = sum(map(worth, held), ZERO)
    positions_value = _told_value(portfolio, marked)
    return Reconciliation(
        equity=portfolio.balance + positions_value,
        net_deposits=net_deposits,
        pnl=portfolio.realized_pnl + sum((position.unrealized_pnl for position in held), ZERO),
        fees=portfolio.fees,
        valuation=positions_value - marked,
        adjustments=adjustments,
    )


def worth(position: Position) -> Decimal:
    """What an open position would bring at its mark; at cost where there is none."""
    return position.cost + position.unrealized_pnl


def _told_value(portfolio: KalshiPortfolio, marked: Decimal) -> Decimal:
    """Kalshi's value of the positions; our own where it gives none.

    In recorded traffic `portfolio_value` excludes cash, according to a changelog it includes it: whichever of the two
    lies closer to the marked positions is what it must be.
    """
    reported = portfolio.portfolio_value
    if reported is None:
        return marked
    without_cash = reported - portfolio.balance
    return reported if abs(reported - marked) <= abs(without_cash - marked) else without_cash


def net_deposits(transfers: Iterable[Transfer]) -> Decimal:
    """What transfers have changed the balance by; one that is pending, failed or was returned counts nothing."""
    return sum((transfer.moved for transfer in transfers), ZERO)
