"""Realized P&L derived a second time, from fills and settlements alone, and how it differs from the reported figures.

Cost basis as Kalshi keeps it: a position is long YES or long NO at its average cost; a fill of the other side closes
it first, each pair of a YES and a NO contract being worth one dollar, and what is left of the fill opens the other
side. Fees are separate. All amounts are USD.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from pnl_backend.domain.ledger_facts import Fill, Settlement
from pnl_backend.domain.money import CENT, ZERO

ONE = Decimal(1)
MICRO = Decimal("0.000001")
"""Kalshi's money has six decimals at most."""

ROUNDING = Decimal("0.0001")
"""Kalshi shows most amounts with four decimals."""


@dataclass(frozen=True, slots=True)
class MarketFigures:
    """One market of one subaccount as it is reported; `quantity` > 0 is YES, < 0 NO, `cost` that of the open part."""

    realized: Decimal = ZERO
    fees: Decimal = ZERO
    quantity: Decimal = ZERO
    cost: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Derived:
    """The same from facts alone. `cash` is what its trades and its pay-out have changed the cash by, without fees.

    `has_fills` is False for a market of which no fill is known, `is_paid` for one of which no pay-out is. `ordered` is
    False if fills of both sides happened in one millisecond: then the facts leave open what was opened and what was
    closed, and only `cash` is certain. `tolerance` is what rounding may make of it.
    """

    realized: Decimal = ZERO
    fees: Decimal = ZERO
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    cash: Decimal = ZERO
    has_fills: bool = False
    is_paid: bool = False
    ordered: bool = True
    tolerance: Decimal = ROUNDING


def derive(fills: Iterable[Fill], settlements: Iterable[Settlement] = (), outcome: Decimal | None = None) -> Derived:
    """The figures of one market in one subaccount from all its facts, in any order.

    `outcome` is what a YES contract of a market was worth in the end, for one that was paid out and whose settlement
    the upstream no longer lists.
    """
    executed = sorted(fills, key=lambda fill: fill.at)
    book = _Book()
    for fill in executed:
        book.trade(fill)
    paid_out = list(settlements)
    for paid in paid_out:
        book.pay(paid)
    if outcome is not None and not paid_out:
        book.close(outcome)
    return Derived(
        realized=book.realized,
        fees=sum((fill.fee for fill in executed), ZERO),
        quantity=book.quantity,
        cost=book.cost,
        cash=book.cash,
        has_fills=bool(executed),
        is_paid=bool(paid_out) or outcome is not None,
        ordered=_is_ordered(executed),
        tolerance=book.tolerance,
    )


def difference(derived: Derived, reported: MarketFigures) -> Decimal:
    """The largest difference between two figures of a market, in USD; 0 if all agree within rounding.

    A quantity that differs counts a cent at least, so that it is never overlooked.
    """
    realized, cost = derived.realized, derived.cost
    if not derived.ordered:
        # Realized P&L less the cost of what is open is the cash, whatever the order.
        realized, cost = derived.cash + reported.cost, reported.cost
    pairs = ((realized, reported.realized), (derived.fees, reported.fees), (cost, reported.cost))
    largest = max(abs(ours - theirs) for ours, theirs in pairs)
    if derived.quantity != reported.quantity:
        return max(largest, CENT)
    return largest if largest > derived.tolerance else ZERO


class _Book:
    """One position at its average cost."""

    def __init__(self) -> None:
        self.realized = self.quantity = self.cost = self.cash = ZERO
        self.tolerance = ROUNDING

    def trade(self, fill: Fill) -> None:
        change, price = fill.position_change, fill.price
        held = abs(self.quantity) if self.quantity * change < 0 else ZERO
        closing = min(fill.count, held)
        if closing:
            part = self.cost if closing == held else (self.cost * closing / held).quantize(MICRO)
            self.realized += closing * (ONE - price) - part
            self.cost -= part
            self.tolerance += MICRO
        self.cost += (fill.count - closing) * price
        self.cash += closing - fill.count * price
        self.quantity += change

    def pay(self, paid: Settlement) -> None:
        """All that is held is paid out; `revenue` is in whole cents, which a scalar outcome does not always meet."""
        self.realized += paid.revenue - self.cost
        self.cash += paid.revenue
        self.quantity += paid.no_count - paid.yes_count
        self.cost = ZERO
        if paid.result not in ("yes", "no"):
            self.tolerance += CENT / 2

    def close(self, outcome: Decimal) -> None:
        """All that is held is paid out at USD `outcome` per YES contract."""
        revenue = self.quantity * outcome if self.quantity > 0 else -self.quantity * (ONE - outcome)
        self.realized += revenue - self.cost
        self.cash += revenue
        self.quantity = self.cost = ZERO


def _is_ordered(fills: Sequence[Fill]) -> bool:
    """Whether no two of the fills, given by time, are of different sides and of the same or an uncertain time."""
    if any(fill.time_estimated for fill in fills):
        return len({fill.side for fill in fills}) < 2
    return all(a.at != b.at or a.side == b.side for a, b in pairwise(fills))
