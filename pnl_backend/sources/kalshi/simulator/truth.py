"""The exact figures that a correct server shows for a simulated Kalshi account's present state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pnl_backend.sources.simulated.units import ZERO

from .account import Account, MarkSource, Shown, mark
from .records import Generation, Market, Position, cents, truncated_cents


@dataclass(frozen=True)
class KalshiTruth:
    """USD, exact; positions, P&L and fees are those of subaccount 0. `marks` has how each open market is valued."""

    balance: Decimal
    positions: int
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    portfolio_value: Decimal
    net_deposits: Decimal
    aged_realized_pnl: Decimal
    """The part of `realized_pnl` of markets that Kalshi no longer lists; `aged_fees` likewise."""
    aged_fees: Decimal
    marks: Mapping[str, MarkSource]
    adjustments: Decimal = ZERO
    """Interest and incentives in the cash that no list shows; `reconciliation` is off by so much."""

    @property
    def pnl(self) -> Decimal:
        return self.realized_pnl + self.unrealized_pnl

    @property
    def equity(self) -> Decimal:
        return self.balance + self.portfolio_value

    @property
    def reconciliation(self) -> Decimal:
        return (self.equity - self.net_deposits) - (self.pnl - self.fees)


def shown_money(generation: Generation) -> Shown:
    """How exact a money field is in a generation of the API: integer cents lose what is below a cent."""
    if generation == "cents":
        return lambda value: Decimal(cents(value)) / 100
    return lambda value: value


def shown_position(held: Position, generation: Generation) -> Position:
    """The position in that generation's fields; integer contract counts lose fractions towards zero."""
    if generation != "cents":
        return held
    shown = shown_money(generation)
    return Position(
        seq=held.seq,
        ticker=held.ticker,
        subaccount=held.subaccount,
        quantity=Decimal(int(held.quantity)),
        exposure=shown(held.exposure),
        realized_pnl=shown(held.realized_pnl),
        fees_paid=shown(held.fees_paid),
        total_traded=shown(held.total_traded),
        volume=held.volume,
        updated_ts=held.updated_ts,
        settled=held.settled,
    )


def kalshi_truth(account: Account, markets: Mapping[str, Market], generation: Generation) -> KalshiTruth:
    """Sum the positions as they are shown."""
    shown = shown_money(generation)
    realized, unrealized, fees, value = account.aged_realized, ZERO, account.aged_fees, ZERO
    marks: dict[str, MarkSource] = {}
    for held in account.positions.values():
        if held.subaccount != 0:
            continue
        seen = shown_position(held, generation)
        realized += seen.realized_pnl
        fees += seen.fees_paid
        if seen.quantity:
            worth, source = mark(seen, markets.get(held.ticker), shown=shown)
            unrealized += worth - seen.exposure
            value += worth
            marks[held.ticker] = source
    balance = account.balance()
    return KalshiTruth(
        balance=Decimal(truncated_cents(balance)) / 100 if generation == "cents" else balance,
        positions=len(marks),
        realized_pnl=realized,
        unrealized_pnl=unrealized,
        fees=fees,
        portfolio_value=Decimal(truncated_cents(value)) / 100,
        net_deposits=account.net_deposits(),
        aged_realized_pnl=account.aged_realized,
        aged_fees=account.aged_fees,
        marks=marks,
        adjustments=account.adjustments,
    )


def portfolio_value_cents(
    account: Account, markets: Mapping[str, Market], subaccount: int, generation: Generation
) -> int:
    """The figure of `portfolio_value`: the value of the open positions, without cash, in whole cents."""
    shown = shown_money(generation)
    value = ZERO
    for held in account.positions.values():
        if held.subaccount == subaccount and held.quantity:
            value += mark(shown_position(held, generation), markets.get(held.ticker), shown=shown)[0]
    return truncated_cents(value)
