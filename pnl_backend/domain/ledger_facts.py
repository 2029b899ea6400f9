"""What happened on the Kalshi account, as facts that never change: fills, settlements, deposits and withdrawals.

Money is exact USD, times are ms since the epoch (UTC). `key` is the same for the same fact however often, and in
whatever order, it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Side = Literal["yes", "no"]
FactKind = Literal["fill", "settlement", "transfer", "cost", "deal"]
"""What the ledger books of its sources; each kind is of one source."""

DatedKind = Literal["fill", "settlement"]
TransferKind = Literal["deposit", "withdrawal"]


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of `count` > 0 contracts; `side` is the one gained, so selling YES is a fill of NO.

    `time_estimated` marks an `at` that the upstream did not give: it is that of a neighbour in the list.
    """

    fill_id: str
    order_id: str
    ticker: str
    side: Side
    count: Decimal
    yes_price: Decimal
    fee: Decimal
    is_taker: bool
    at: int
    subaccount: int = 0
    time_estimated: bool = False

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
    subaccount: int = 0

    @property
    def key(self) -> str:
        """A market settles once in each subaccount that holds it."""
        return f"{self.ticker}@{self.at}" + (f"#{self.subaccount}" if self.subaccount else "")


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
        """Whether it moved money: not yet while it is pending, and not after all if it failed or was returned."""
        return self.status == "applied"

    @property
    def moved(self) -> Decimal:
        """USD that it changed the balance by: a deposit arrives whole, a withdrawal costs its fee besides."""
        if not self.is_applied:
            return Decimal(0)
        return self.amount if self.kind == "deposit" else -self.amount - self.fee


AdjustmentKind = Literal["interest", "incentive", "bonus", "other"]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Cash of `account` that no transfer and no trade explains, booked by a person; below 0 it left the account.

    `at` is when it happened, `noted_at` when it was booked.
    """

    account: str
    amount: Decimal
    kind: AdjustmentKind
    reason: str
    at: int
    noted_at: int
    id: int | None = None


@dataclass(frozen=True, slots=True)
class FactList:
    """One list of an upstream's history, of one subaccount; `archived` ones only grow by what leaves the live ones."""

    kind: DatedKind
    subaccount: int = 0
    archived: bool = False

    @property
    def name(self) -> str:
        """The list's name in the ledger, stable for ever."""
        return f"{'archived ' if self.archived else ''}{self.kind}s/{self.subaccount}"


@dataclass(frozen=True, slots=True)
class FactPage:
    """One page of a list: `facts` newest first, and whether another page follows."""

    facts: Sequence[Fill] | Sequence[Settlement]
    more: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """How far one list was read; each pass goes from the newest fact to the oldest. Times in ms.

    Everything up to `complete_to` is known, back to the beginning; None before the first walk has ended. A walk that
    is not finished has begun at `top` and come down to `bottom`; `rows` counts what it has read. `finished_at` is when
    the last one ended.
    """

    name: str
    complete_to: int | None = None
    top: int | None = None
    bottom: int | None = None
    rows: int = 0
    finished_at: int | None = None
