"""A Kalshi account that trades, settles and pays fees, and whose cash always follows from what it did."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from .records import MICRO, ONE, ZERO, Fill, Market, Position, Settlement, Transfer

_FEE_RATE = Decimal("0.07")
_FEE_STEP = Decimal("0.0001")
KEPT_FILLS = 2_000
KEPT_SETTLED = 500


def taker_fee(count: Decimal, price: Decimal) -> Decimal:
    """Kalshi's fee schedule: 7 % of count x p x (1 - p), rounded up to a hundredth of a cent."""
    return (_FEE_RATE * count * price * (ONE - price)).quantize(_FEE_STEP, ROUND_CEILING)


@dataclass
class Account:
    """Positions, fills, settlements and transfers of all subaccounts, oldest first."""

    positions: dict[tuple[int, str], Position] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    funding: dict[int, Decimal] = field(default_factory=dict)
    """USD that was moved into numbered subaccounts from outside this book."""
    aged_realized: Decimal = ZERO
    aged_fees: Decimal = ZERO
    seq: int = 0

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def position(self, ticker: str, subaccount: int = 0) -> Position:
        """The position in a market, opened empty at the first touch."""
        key = (subaccount, ticker)
        if key not in self.positions:
            self.positions[key] = Position(seq=self.next_seq(), ticker=ticker, subaccount=subaccount)
        return self.positions[key]

    def trade(
        self,
        ticker: str,
        outcome: Literal["yes", "no"],
        count: Decimal,
        yes_price: Decimal,
        *,
        is_taker: bool,
        ts: float,
        rng: random.Random,
        subaccount: int = 0,
    ) -> Fill:
        """Buy `count` contracts of one outcome; the opposite holding is closed first, at average cost."""
        price = yes_price if outcome == "yes" else ONE - yes_price
        fee = taker_fee(count, price) if is_taker else ZERO
        held = self.position(ticker, subaccount)
        sign = 1 if outcome == "yes" else -1
        opposite = abs(held.quantity) if held.quantity * sign < 0 else ZERO
        closing = min(count, opposite)
        if closing:
            cost = (held.exposure * closing / opposite).quantize(MICRO) if closing < opposite else held.exposure
            held.realized_pnl += closing * (ONE - price) - cost
            held.exposure -= cost
        held.exposure += (count - closing) * price
        held.quantity += sign * count
        held.fees_paid += fee
        held.total_traded += count * price
        held.volume += count
        held.updated_ts = ts
        fill = Fill(
            seq=self.next_seq(),
            fill_id=_identifier(rng),
            order_id=_identifier(rng),
            ticker=ticker,
            outcome=outcome,
            count=count,
            yes_price=yes_price,
            fee=fee,
            is_taker=is_taker,
            ts=ts,
            subaccount=subaccount,
        )
        self.fills.append(fill)
        del self.fills[:-KEPT_FILLS]
        return fill

    def settle(self, market: Market, ts: float) -> list[Position]:
        """Pay out every holding of a finalized market and mark it settled."""
        value = market.settlement_value
        if value is None:
            raise ValueError(f"{market.ticker} has no settlement value")
        paid = [held for held in self.positions.values() if held.ticker == market.ticker and not held.settled]
        for held in paid:
            yes, no = max(held.quantity, ZERO), max(-held.quantity, ZERO)
            revenue = yes * value + no * (ONE - value)
            self.settlements.append(
                Settlement(
                    seq=self.next_seq(),
                    ticker=market.ticker,
                    result=market.result,
                    value=value,
                    yes_count=yes,
                    yes_cost=held.exposure if yes else ZERO,
                    no_count=no,
                    no_cost=held.exposure if no else ZERO,
                    revenue=revenue,
                    fee=held.fees_paid,
                    ts=ts,
                    subaccount=held.subaccount,
                )
            )
            held.realized_pnl += revenue - held.exposure
            held.quantity = held.exposure = ZERO
            held.settled = True
            held.updated_ts = ts
        return paid

    def age_out(self, keep: int = KEPT_SETTLED) -> list[str]:
        """Archive the oldest settled positions and settlements beyond `keep`, as Kalshi does; tickers that went."""
        settled = [key for key, held in self.positions.items() if held.settled]
        gone = settled[: max(0, len(settled) - keep)]
        for key in gone:
            held = self.positions.pop(key)
            if held.subaccount == 0:
                self.aged_realized += held.realized_pnl
                self.aged_fees += held.fees_paid
        archived = {ticker for _, ticker in gone}
        self.settlements = [row for row in self.settlements if row.ticker not in archived]
        return sorted(archived)

    def net_deposits(self) -> Decimal:
        """USD in minus USD out, applied transfers alone; a fee is taken from the account too."""
        total = 0
        for row in self.transfers:
            if row.status == "applied":
                sign = 1 if row.kind == "deposit" else -1
                total += sign * row.amount_cents - row.fee_cents
        return Decimal(total) / 100

    def balance(self, subaccount: int = 0) -> Decimal:
        """Cash in USD: what was paid in, plus what was made, less fees, less the cost of what is still open."""
        if subaccount == 0:
            cash = self.net_deposits() + self.aged_realized - self.aged_fees
        else:
            cash = self.funding.get(subaccount, ZERO)
        for held in self.positions.values():
            if held.subaccount == subaccount:
                cash += held.realized_pnl - held.fees_paid - held.exposure
        return cash


MarkSource = Literal["settlement", "bid", "last", "cost"]
Shown = Callable[[Decimal], Decimal]


def mark(held: Position, market: Market | None, *, shown: Shown) -> tuple[Decimal, MarkSource]:
    """USD that a position is worth: settlement value, else the bid, else the last price, else what it cost."""
    quantity, yes = abs(held.quantity), held.quantity > 0
    if market is None:
        return shown(held.exposure), "cost"
    if market.settlement_value is not None:
        value = shown(market.settlement_value)
        return quantity * (value if yes else ONE - value), "settlement"
    bid = shown(market.yes_bid if yes else market.no_bid)
    if bid > 0:
        return quantity * bid, "bid"
    last = shown(market.last_price)
    if last > 0:
        return quantity * (last if yes else ONE - last), "last"
    return shown(held.exposure), "cost"


def _identifier(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
