"""A Kalshi account that trades, settles and pays fees, and whose cash always follows from what it did."""

from __future__ import annotations

import random
import uuid
from bisect import insort
from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from pnl_backend.sources.simulated.units import ZERO

from .records import MICRO, ONE, Fill, Market, Position, Settlement, SubaccountTransfer, Transfer

_FEE_RATE = Decimal("0.07")
_FEE_STEP = Decimal("0.0001")
KEPT_FILLS = 20_000
KEPT_SETTLED = 500
FIRST_USER = str(uuid.UUID(int=0x5EED, version=4))


def taker_fee(count: Decimal, price: Decimal) -> Decimal:
    """Kalshi's fee schedule: 7 % of count x p x (1 - p), rounded up to a hundredth of a cent."""
    return (_FEE_RATE * count * price * (ONE - price)).quantize(_FEE_STEP, ROUND_CEILING)


@dataclass
class Account:
    """Positions, fills, settlements and transfers of all subaccounts, oldest first.

    `positions` and `settlements` are those of the live data set; a position that was archived is in `archived`,
    its settlement is in no list any more, and its fills are historical once they are older than the cutoff or their
    market is in `archived_fills`. `older_fills` come before `fills`.
    """

    user_id: str = FIRST_USER
    positions: dict[tuple[int, str], Position] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    older_fills: Sequence[Fill] = ()
    settlements: list[Settlement] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    moves: list[SubaccountTransfer] = field(default_factory=list)
    archived: dict[tuple[int, str], Position] = field(default_factory=dict)
    archived_fills: set[str] = field(default_factory=set)
    archived_settlements: dict[tuple[int, str], Settlement] = field(default_factory=dict)
    """What archived positions were paid; in no list, kept so that an outcome can be corrected."""
    funding: dict[int, Decimal] = field(default_factory=dict)
    """USD that was moved into numbered subaccounts from outside this book."""
    adjustments: Decimal = ZERO
    """USD of interest and incentives that Kalshi credited to the primary subaccount; no list shows them."""
    aged_realized: Decimal = ZERO
    """Realized P&L in USD of the primary subaccount's archived positions; `aged_fees` likewise."""
    aged_fees: Decimal = ZERO
    kept_settled: int | None = KEPT_SETTLED
    """How many settled positions stay live, whatever their age; None sets no limit."""
    seq: int = 0

    def copy(self) -> Account:
        """A copy of the account; changes of the one do not affect the other."""
        return replace(
            self,
            positions={key: copy(held) for key, held in self.positions.items()},
            fills=self.fills[:],
            settlements=self.settlements[:],
            transfers=self.transfers[:],
            moves=self.moves[:],
            archived=dict(self.archived),
            archived_fills=set(self.archived_fills),
            archived_settlements=dict(self.archived_settlements),
            funding=dict(self.funding),
        )

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
        _take(held, count if outcome == "yes" else -count, price)
        held.fees_paid += fee
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
        insort(self.fills, fill, key=_by_time)
        del self.fills[:-KEPT_FILLS]
        return fill

    def settle(self, market: Market, ts: float) -> list[Position]:
        """Pay out every holding of a finalized market and mark it settled."""
        if market.settlement_value is None:
            raise ValueError(f"{market.ticker} has no settlement value")
        paid = [held for held in self.positions.values() if held.ticker == market.ticker and not held.settled]
        for held in paid:
            insort(self.settlements, self.pay(held, market, market.settlement_value, ts), key=_by_time)
        return paid

    def pay(self, held: Position, market: Market, value: Decimal, ts: float) -> Settlement:
        """Pay out one holding at USD `value` per YES contract; the row that says so, which is in no list yet."""
        yes, no = max(held.quantity, ZERO), max(-held.quantity, ZERO)
        row = Settlement(
            seq=self.next_seq(),
            ticker=market.ticker,
            result=market.result,
            value=value,
            yes_count=yes,
            yes_cost=held.exposure if yes else ZERO,
            no_count=no,
            no_cost=held.exposure if no else ZERO,
            revenue=yes * value + no * (ONE - value),
            fee=held.fees_paid,
            ts=ts,
            subaccount=held.subaccount,
        )
        held.realized_pnl += row.revenue - held.exposure
        held.quantity = held.exposure = ZERO
        held.settled, held.updated_ts = True, ts
        return row

    def age_out(self, keep: int | None = None) -> list[str]:
        """Archive the oldest settled positions beyond `keep`, or beyond what is usually kept; tickers that went."""
        keep = self.kept_settled if keep is None else keep
        if keep is None:
            return []
        settled = [key for key, held in self.positions.items() if held.settled]
        return self.archive(settled[: max(0, len(settled) - keep)])

    def hand_over(self, cutoff: float) -> list[str]:
        """Archive the positions of each event that is settled whole and was last touched before `cutoff`."""
        staying = {
            held.event_ticker for held in self.positions.values() if not held.settled or held.updated_ts >= cutoff
        }
        return self.archive([key for key, held in self.positions.items() if held.event_ticker not in staying])

    def archive(self, keys: Collection[tuple[int, str]], *, settlements_stay: bool = False) -> list[str]:
        """Move settled positions to the archive, and drop their settlements from the list; tickers that went."""
        for key in keys:
            held = self.archived[key] = self.positions.pop(key)
            if held.subaccount == 0:
                self.aged_realized += held.realized_pnl
                self.aged_fees += held.fees_paid
        gone = {ticker for _, ticker in keys}
        if not settlements_stay:
            dropped = [row for row in self.settlements if row.ticker in gone]
            self.archived_settlements.update({(row.subaccount, row.ticker): row for row in dropped})
            self.settlements = [row for row in self.settlements if row.ticker not in gone]
        return sorted(gone)

    def net_deposits(self) -> Decimal:
        """USD in minus USD out, of applied transfers: a deposit arrives whole, a withdrawal costs its fee besides."""
        total = 0
        for row in self.transfers:
            if row.status == "applied":
                total += row.amount_cents if row.kind == "deposit" else -row.amount_cents - row.fee_cents
        return Decimal(total) / 100

    def balance(self, subaccount: int = 0) -> Decimal:
        """Cash in USD: what was paid in, plus what was made, less fees, less the cost of what is still open."""
        if subaccount == 0:
            cash = self.net_deposits() + self.adjustments + self.aged_realized - self.aged_fees
        else:
            cash = self.funding.get(subaccount, ZERO)
            for held in self.archived.values():
                if held.subaccount == subaccount:
                    cash += held.realized_pnl - held.fees_paid
        for held in self.positions.values():
            if held.subaccount == subaccount:
                cash += held.realized_pnl - held.fees_paid - held.exposure
        moved = sum(
            move.amount_cents * ((move.target == subaccount) - (move.source == subaccount)) for move in self.moves
        )
        return cash + Decimal(moved) / 100

    def subaccounts(self) -> list[int]:
        """Every subaccount that was ever used, the primary one (0) first."""
        used = {0, *self.funding}
        used |= {held.subaccount for held in (*self.positions.values(), *self.archived.values())}
        for move in self.moves:
            used |= {move.source, move.target}
        return sorted(used)

    def move_cash(self, source: int, target: int, amount_cents: int, ts: float) -> SubaccountTransfer:
        """Move cash between two subaccounts; ValueError where there is not so much."""
        if amount_cents <= 0 or source == target:
            raise ValueError("a transfer needs an amount above 0 and two subaccounts")
        if self.balance(source) * 100 < amount_cents:
            raise ValueError(f"subaccount {source} holds less than that")
        seq = self.next_seq()
        move = SubaccountTransfer(seq, f"move-{seq}", source, target, amount_cents, ts)
        self.moves.append(move)
        return move

    def put_transfer(self, row: Transfer) -> None:
        """Add a deposit or a withdrawal, or replace the one of the same kind and id."""
        for index, known in enumerate(self.transfers):
            if (known.kind, known.id) == (row.kind, row.id):
                self.transfers[index] = replace(row, seq=known.seq)
                return
        self.transfers.append(row)


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


def _take(held: Position, gained: Decimal, price: Decimal) -> None:
    """Add contracts bought at USD `price` each, YES above 0, NO below; the opposite holding is closed first."""
    count = abs(gained)
    opposite = abs(held.quantity) if held.quantity * gained < 0 else ZERO
    closing = min(count, opposite)
    if closing:
        cost = (held.exposure * closing / opposite).quantize(MICRO) if closing < opposite else held.exposure
        held.realized_pnl += closing * (ONE - price) - cost
        held.exposure -= cost
    held.exposure += (count - closing) * price
    held.quantity += gained
    held.total_traded += count * price
    held.volume += count


def _by_time(row: Fill | Settlement) -> tuple[float, int]:
    return row.ts, row.seq


def _identifier(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
