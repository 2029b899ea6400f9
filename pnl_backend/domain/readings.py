"""What the upstreams answered: validated values, and the readings that carry them with their provenance.

All money is exact `Decimal` USD, all times are milliseconds since the epoch (UTC) unless a name has another unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from pnl_backend.domain.money import ZERO

SourceName = str
"""A source's name for clients: lower case, digits, dashes; unique in one server."""

SourceStatus = Literal["live", "stale", "degraded"]
Tier = Literal["live", "memory", "redis", "sqlite", "fallback"]
MarkSource = Literal["bid", "last", "cost", "settlement"]
DealStatus = Literal["recognized", "pending", "pipeline"]
MarketKey = tuple[str, int]
"""A position's market and subaccount."""


@dataclass(frozen=True, slots=True)
class Position:
    """One subaccount's position in one Kalshi market. `quantity` in contracts, > 0 YES, < 0 NO; `cost` is the exposure.

    `mark` is the value in USD of one contract of the side held and `mark_source` where it came from; both are
    None for a flat position. A `settled` one was paid out and cannot change any more.
    """

    ticker: str
    quantity: Decimal
    cost: Decimal
    realized_pnl: Decimal
    fees: Decimal
    mark: Decimal | None = None
    mark_source: MarkSource | None = None
    subaccount: int = 0
    settled: bool = False

    @property
    def key(self) -> MarketKey:
        return self.ticker, self.subaccount

    @property
    def is_open(self) -> bool:
        return self.quantity != 0

    @property
    def unrealized_pnl(self) -> Decimal:
        """Mark value minus cost; 0 for a flat position or one that could only be marked at cost."""
        if not self.is_open or self.mark is None:
            return ZERO
        return abs(self.quantity) * self.mark - self.cost


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import of history is: what is being read, and rows so far; `total` is None where it is unknown."""

    what: str
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ClosedMarkets:
    """Markets that can no longer change, summed: settled ones and archived ones; USD."""

    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    count: int = 0


@dataclass(frozen=True, slots=True)
class KalshiPortfolio:
    """Balance (cash), the positions that may still change, and the sums of the markets that no longer do.

    No market is both in `positions` and in `closed`; one that settled a moment ago may be in either.
    `portfolio_value` is Kalshi's value of the positions (USD, cash excluded), None where it gives none.
    `importing` is the progress of the import of the account's history; None when it is done. `notes` name the figures
    that are older than the reading.
    """

    balance: Decimal
    positions: tuple[Position, ...]
    portfolio_value: Decimal | None = None
    closed: ClosedMarkets = ClosedMarkets()
    importing: Progress | None = None
    notes: tuple[str, ...] = ()

    @property
    def realized_pnl(self) -> Decimal:
        """Of every market, before fees."""
        return sum((position.realized_pnl for position in self.positions), self.closed.realized_pnl)

    @property
    def fees(self) -> Decimal:
        """Of every market."""
        return sum((position.fees for position in self.positions), self.closed.fees)


@dataclass(frozen=True, slots=True)
class CostRow:
    """Anthropic's cost of one UTC day for one model and workspace, in USD after discounts.

    `model` is None for what has no model, `workspace_id` None for the default workspace.
    """

    day: date
    model: str | None
    workspace_id: str | None
    amount: Decimal
    api_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class CostSum:
    """Anthropic's cost of several days for one model, workspace and API key, in USD, as `CostRow`."""

    model: str | None
    workspace_id: str | None
    amount: Decimal
    api_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """When the upstream last confirmed the cost of a closed day (ms), and the name of the report that did."""

    at: int
    report: str


@dataclass(frozen=True, slots=True)
class ClosedCosts:
    """What is stored of closed days: which ones, and their rows. A day may be closed without any row.

    `confirmed` lacks the days that older ledgers closed.
    """

    days: frozenset[date]
    rows: tuple[CostRow, ...]
    confirmed: Mapping[date, Confirmed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnthropicSpend:
    """Cost since `since`: a row for each open day, model and workspace; `today` is the UTC day still running.

    `closed` has the sums of the earlier days, which are over; no day is both in it and in `rows`.
    `estimated` marks a figure priced from usage by our own table; `notes` name what that estimate lacks. `importing`
    is the progress of the first import of earlier days; None when it is done.
    """

    since: date
    today: date
    rows: tuple[CostRow, ...]
    estimated: bool = False
    notes: tuple[str, ...] = ()
    importing: Progress | None = None
    closed: tuple[CostSum, ...] = ()

    @property
    def parts(self) -> tuple[CostSum | CostRow, ...]:
        """What the spend consists of: closed days and open ones."""
        return (*self.closed, *self.rows)

    @property
    def total_spend(self) -> Decimal:
        return sum((part.amount for part in self.parts), ZERO)

    @property
    def daily_spend(self) -> Decimal:
        """The cost of `today`, the day that was running when this was read."""
        return self.spent_on(self.today)

    def spent_on(self, day: date) -> Decimal:
        return sum((row.amount for row in self.rows if row.day == day), ZERO)


@dataclass(frozen=True, slots=True)
class Deal:
    """One of John's deals; `closed_at` is ms since the epoch (a bare date means 00:00 UTC), None while it is open."""

    id: str
    name: str
    amount: Decimal
    status: DealStatus
    closed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Revenue:
    """John's figures since the beginning; `pipeline` is separate from them and never counted as revenue.

    `lists_deals` is True where `deals` are all the deals there are; an endpoint that gives totals lists none.
    """

    invoiced: Decimal
    collected: Decimal
    pipeline: Decimal = ZERO
    deals: tuple[Deal, ...] = ()
    lists_deals: bool = False


Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Fetched(Generic[Value_co]):
    """The result of one successful fetch: the value, and the time for which it holds (ms), by the upstream's clock.

    `account` identifies the account that answered, as its upstream does; None where the upstream does not name it.
    """

    value: Value_co
    as_of: int
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Reading(Generic[Value]):
    """What a fetcher last learned.

    `value` is None only when there never was a reading (tier `fallback`): it then counts as zeros and the snapshot
    is marked degraded. `error` is the reason why the reading is not live; it is None when it is. `account_changed` is
    True while the upstream answers for another account than the one whose facts the ledger holds.
    """

    source: SourceName
    value: Value | None
    as_of: int
    fetched_at: int
    tier: Tier
    error: str | None = None
    account_changed: bool = False

    @property
    def status(self) -> SourceStatus:
        if self.value is None:
            return "degraded"
        return "live" if self.tier == "live" else "stale"


Readings = Mapping[SourceName, Reading[Any]]
"""One reading of each source, taken together for one snapshot."""
