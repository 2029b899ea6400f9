"""What the simulated Kalshi holds: markets, positions, fills, settlements and transfers, in exact Decimals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Literal

from pnl_backend.sources.simulated.units import CENT, ZERO

Generation = Literal["strings", "both", "cents"]
Outcome = Literal["yes", "no", "scalar"]

ONE = Decimal(1)
MICRO = Decimal("0.000001")
EXCHANGE_INDEX = 0
"""The exchange shard that everything simulated here is on."""
LAST_SUBACCOUNT = 63


@dataclass(slots=True)
class Market:
    """One market; prices are USD per YES contract, and a bid of 0 or an ask of 1 means that side is empty."""

    ticker: str
    title: str
    yes_bid: Decimal
    yes_ask: Decimal
    last_price: Decimal
    anchor: Decimal
    tick: Decimal = CENT
    status: str = "active"
    result: str = ""
    settlement_value: Decimal | None = None
    settlement_ts: float | None = None
    frozen: bool = False
    pays_in: int | None = None
    """Steps until a finalized market's positions are paid out; None while it trades or once it is done."""
    opened_ts: float = 0.0

    @property
    def event_ticker(self) -> str:
        return event_of(self.ticker)

    @property
    def no_bid(self) -> Decimal:
        return ONE - self.yes_ask

    @property
    def no_ask(self) -> Decimal:
        return ONE - self.yes_bid


@dataclass(slots=True)
class Position:
    """One market's holding in one subaccount; quantity > 0 is YES, < 0 is NO; exposure is what the open part cost."""

    seq: int
    ticker: str
    subaccount: int = 0
    quantity: Decimal = ZERO
    exposure: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fees_paid: Decimal = ZERO
    total_traded: Decimal = ZERO
    volume: Decimal = ZERO
    updated_ts: float = 0.0
    settled: bool = False

    @property
    def event_ticker(self) -> str:
        return event_of(self.ticker)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; count is positive, outcome is the side of the market that was bought."""

    seq: int
    fill_id: str
    order_id: str
    ticker: str
    outcome: Literal["yes", "no"]
    count: Decimal
    yes_price: Decimal
    fee: Decimal
    is_taker: bool
    ts: float
    subaccount: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """One market's pay-out; revenue is USD received, value is USD per YES contract."""

    seq: int
    ticker: str
    result: str
    value: Decimal
    yes_count: Decimal
    yes_cost: Decimal
    no_count: Decimal
    no_cost: Decimal
    revenue: Decimal
    fee: Decimal
    ts: float
    subaccount: int = 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """A deposit or a withdrawal in whole cents; only a status of `applied` has moved money."""

    seq: int
    id: str
    kind: Literal["deposit", "withdrawal"]
    amount_cents: int
    fee_cents: int
    status: str
    created_ts: float
    finalized_ts: float | None


@dataclass(frozen=True, slots=True)
class SubaccountTransfer:
    """Cash moved between two subaccounts of one account, in whole cents; no deposit and no withdrawal."""

    seq: int
    id: str
    source: int
    target: int
    amount_cents: int
    ts: float


def event_of(ticker: str) -> str:
    """The event that a market belongs to."""
    return ticker.rpartition("-")[0]


def date_code(now: float, days: int) -> str:
    """Kalshi's date in a ticker, so many days from `now`: 26FEB25."""
    return (datetime.fromtimestamp(now, UTC) + timedelta(days=days)).strftime("%y%b%d").upper()


def cents(value: Decimal) -> int:
    """USD to whole cents, half up, as the integer fields of 2026 had them."""
    return int((value * 100).quantize(ONE, ROUND_HALF_UP))


def truncated_cents(value: Decimal) -> int:
    """USD to whole cents towards zero: how `balance` is rounded."""
    return int((value * 100).to_integral_value(ROUND_DOWN))


def dollars(value: Decimal) -> str:
    """USD as Kalshi writes it: four decimals, six where four would lose something."""
    four = value.quantize(Decimal("0.0001"))
    return format(four if four == value else value.quantize(MICRO), "f")


def contracts(value: Decimal) -> str:
    """A contract count with its two decimals."""
    return format(value.quantize(CENT), "f")
