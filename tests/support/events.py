"""What happens to an account, to an organisation's spend and to a company's deals, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True)
class Transfer:
    """A deposit or withdrawal appears, or the one of this id changes."""

    kind: Literal["deposit", "withdrawal"]
    id: str
    cents: int
    fee_cents: int
    status: str


@dataclass(frozen=True)
class CashMove:
    """Cash from one subaccount to another."""

    source: int
    target: int
    cents: int


@dataclass(frozen=True)
class Interest:
    """USD that Kalshi credits, without a row in any list."""

    usd: Decimal


@dataclass(frozen=True)
class Quote:
    """Prices of a market in USD per YES contract; a bid of 0 or an ask of 1 is an empty side."""

    market: str
    bid: Decimal
    ask: Decimal
    last: Decimal


@dataclass(frozen=True)
class Trade:
    """So many contracts of one outcome are bought; a holding of the other outcome is closed first."""

    market: str
    outcome: Literal["yes", "no"]
    count: Decimal
    yes_price: Decimal
    is_taker: bool
    subaccount: int = 0


@dataclass(frozen=True)
class Determine:
    """The outcome is known, in USD per YES contract, and not paid yet."""

    market: str
    value: Decimal


@dataclass(frozen=True)
class Settle:
    """The outcome is paid."""

    market: str


@dataclass(frozen=True)
class Revise:
    """The outcome of a settled market is corrected."""

    market: str
    value: Decimal


@dataclass(frozen=True)
class Archive:
    """A settled market moves to another list; no figure changes."""

    market: str


@dataclass(frozen=True)
class Usage:
    """Tokens of a model on a UTC day."""

    day: date
    model: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Credit:
    """USD that Anthropic takes off a day's cost."""

    day: date
    model: str | None
    usd: Decimal


@dataclass(frozen=True)
class UsageGone:
    """The cost rows of a model on a day are no longer reported."""

    day: date
    model: str


@dataclass(frozen=True)
class DealSet:
    """A deal appears or changes."""

    id: str
    usd: Decimal
    status: Literal["recognized", "pending", "pipeline"]


@dataclass(frozen=True)
class DealGone:
    """A deal is no longer reported."""

    id: str


Event = (
    Transfer | CashMove | Interest | Quote | Trade | Determine | Settle | Revise | Archive | Usage | Credit | UsageGone
    | DealSet | DealGone
)  # fmt: skip
