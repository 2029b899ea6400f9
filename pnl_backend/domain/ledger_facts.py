"""What happened on the Kalshi account, as facts that never change: fills, settlements, deposits and withdrawals.

Money is exact USD, times are ms since the epoch (UTC). `key` is the same for the same fact however often, and in
whatever order, it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Side = Literal["yes", "no"]
TransferKind = Literal["deposit", "withdrawal"]


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of `count` > 0 contracts; `side` is the one gained, so selling YES is a fill of NO."""

    fill_id: str
    order_id: str
    ticker: str
    side: Side
    count: Decimal
    yes_price: Decimal
    fee: Decimal
    is_taker: bool
    at: int

    @property
    def key(self) -> str:
        return self.fill_id

    @property
    def price(self) -> Decimal:
        """USD paid for one contract of the side gained."""
        return self.yes_price if self.side == "yes" else 1 - self.yes_price

    @property
    def position_change(self) -> Decimal:
        """Contracts by which the position moved: YES up, NO down."""
        return self.count if self.side == "yes" else -self.count


@dataclass(frozen=True, slots=True)
class Settlement:
    """One market's pay-out. `revenue` is what was received, `value` what one YES contract was worth (None: unknown).

    `result` is yes, no or scalar; counts and costs are of the position held on each side.
    """

    ticker: str
    result: str
    yes_count: Decimal
    yes_cost: Decimal
    no_count: Decimal
    no_cost: Decimal
    revenue: Decimal
    value: Decimal | None
    fee: Decimal
    at: int

    @property
    def key(self) -> str:
        return f"{self.ticker}@{self.at}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money in or out of the account; `amount` and `fee` >= 0. `finalized_at` is None while it is under way."""

    kind: TransferKind
    id: str | None
    amount: Decimal
    fee: Decimal
    status: str
    created_at: int | None
    finalized_at: int | None

    @property
    def key(self) -> str:
        """Kalshi's id; where it gives none, what stays the same from the transfer's beginning to its end."""
        begun = self.finalized_at if self.created_at is None else self.created_at
        return f"{self.kind}:{self.id}" if self.id else f"{self.kind}:{begun}:{self.amount}"

    @property
    def is_applied(self) -> bool:
        """Whether it moved money."""
        return self.status == "applied"
