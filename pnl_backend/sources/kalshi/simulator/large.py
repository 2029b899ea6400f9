"""A Kalshi account of any size: every row follows from its number, so fills cost no memory until they are read."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, overload

from pnl_backend.sources.simulated.units import CENT, DAY, HOUR, ZERO

from .account import Account
from .records import ONE, Fill, Market, Position, Transfer, date_code

_SPAN = 400 * DAY
_SETTLES_AFTER = HOUR
_PER_EVENT = 10
_FINAL_CASH = Decimal(50_000)
_MASK = (1 << 64) - 1

_PRICES = [Decimal(price) / 100 for price in range(101)]
Side = Literal["yes", "no"]


@dataclass(frozen=True, slots=True)
class _Trade:
    """One fill in whole contracts and cents; the fee is in ten-thousandths of a dollar."""

    outcome: Side
    count: int
    yes_cents: int
    is_taker: bool

    @property
    def own_cents(self) -> int:
        return self.yes_cents if self.outcome == "yes" else 100 - self.yes_cents

    @property
    def fee(self) -> int:
        # 7 % of count x p x (1 - p), rounded up.
        return -(-7 * self.count * self.yes_cents * (100 - self.yes_cents) // 100) if self.is_taker else 0


class GeneratedFills(Sequence[Fill]):
    """The fills of a large account, oldest first, each made when it is asked for and always the same."""

    def __init__(self, tickers: Sequence[str], count: int, *, settled: int, began: float, seed: int) -> None:
        self._tickers = tickers
        self._settled = settled
        self._count = count
        self._began = began
        self._every = (_SPAN - 2 * _SETTLES_AFTER) / count
        self._seed = seed
        self._starts = [count * index // len(tickers) for index in range(len(tickers) + 1)]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Fill: ...

    @overload
    def __getitem__(self, index: slice) -> list[Fill]: ...

    def __getitem__(self, index: int | slice) -> Fill | list[Fill]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(index)
        market = bisect_right(self._starts, number) - 1
        trade = self.trades(market)[-1] if self._closes(market, number) else self._trade(number, _side(market))
        return Fill(
            seq=number + 1,
            fill_id=str(uuid.UUID(int=_mixed(self._seed, number) << 64 | number, version=4)),
            order_id=str(uuid.UUID(int=_mixed(self._seed + 1, number) << 64 | number, version=4)),
            ticker=self._tickers[market],
            outcome=trade.outcome,
            count=Decimal(trade.count),
            yes_price=_PRICES[trade.yes_cents],
            fee=Decimal(trade.fee) / 10_000,
            is_taker=trade.is_taker,
            ts=self.at(number),
        )

    def at(self, number: int) -> float:
        """When the fill of that number happened, UTC seconds."""
        return self._began + number * self._every

    def last_at(self, market: int) -> float:
        """When the last fill of a market happened."""
        return self.at(max(self._starts[market], self._starts[market + 1] - 1))

    def trades(self, market: int) -> list[_Trade]:
        """A market's fills: all on one side, and in every fifth settled one the last fill closes the position."""
        start, end = self._starts[market], self._starts[market + 1]
        side = _side(market)
        made = [self._trade(number, side) for number in range(start, end)]
        if self._closes(market, end - 1):
            held = sum(trade.count for trade in made[:-1])
            closed: Side = "no" if side == "yes" else "yes"
            made[-1] = _Trade(closed, held, made[-1].yes_cents, made[-1].is_taker)
        return made

    def _closes(self, market: int, number: int) -> bool:
        only = self._starts[market] == self._starts[market + 1] - 1
        return market < self._settled and market % 5 == 0 and number == self._starts[market + 1] - 1 and not only

    def _trade(self, number: int, side: Side) -> _Trade:
        mixed = _mixed(self._seed, number)
        return _Trade(side, 1 + (mixed >> 8) % 20, 5 + (mixed >> 16) % 90, (mixed >> 32) % 4 == 0)


def large_account(
    now: float, *, settled: int, still_open: int, fills: int, seed: int
) -> tuple[dict[str, Market], Account]:
    """Markets and an account: the oldest `settled` markets are settled, the rest are open.

    ValueError for fewer fills than markets.
    """
    total = settled + still_open
    if not 0 < total <= fills:
        raise ValueError("a large account needs markets, and a fill for each of them")
    began = now - _SPAN
    tickers = [_ticker(began, index, total) for index in range(total)]
    generated = GeneratedFills(tickers, fills, settled=settled, began=began, seed=seed)
    account = Account(older_fills=generated, seq=fills, kept_settled=None)
    markets: dict[str, Market] = {}
    for index, ticker in enumerate(tickers):
        market = markets[ticker] = _market(index, ticker, began)
        _hold(account, market, generated, index)
        if index < settled:
            _settle(account, market, generated.last_at(index) + _SETTLES_AFTER, yes=_mixed(seed, index) % 2 == 0)
    opening = int((_FINAL_CASH - account.balance()) * 100)
    account.transfers.append(
        Transfer(account.next_seq(), "opening", "deposit", opening, 0, "applied", began - DAY, began - DAY)
    )
    return markets, account


def _side(market: int) -> Side:
    return "yes" if market % 3 else "no"


def _hold(account: Account, market: Market, generated: GeneratedFills, index: int) -> None:
    exposure = quantity = realized = fees = traded = volume = 0
    for trade in generated.trades(index):
        sign = 1 if trade.outcome == "yes" else -1
        if quantity * sign < 0:
            realized += trade.count * (100 - trade.own_cents) - exposure
            exposure = 0
        else:
            exposure += trade.count * trade.own_cents
        quantity += sign * trade.count
        fees += trade.fee
        traded += trade.count * trade.own_cents
        volume += trade.count
    account.positions[0, market.ticker] = Position(
        seq=account.next_seq(),
        ticker=market.ticker,
        quantity=Decimal(quantity),
        exposure=Decimal(exposure) / 100,
        realized_pnl=Decimal(realized) / 100,
        fees_paid=Decimal(fees) / 10_000,
        total_traded=Decimal(traded) / 100,
        volume=Decimal(volume),
        updated_ts=generated.last_at(index),
    )


def _settle(account: Account, market: Market, ts: float, *, yes: bool) -> None:
    value = ONE if yes else ZERO
    market.status, market.result = "finalized", "yes" if yes else "no"
    market.settlement_value, market.settlement_ts = value, ts
    market.yes_bid, market.yes_ask = ZERO, ONE
    account.settlements.append(account.pay(account.positions[0, market.ticker], market, value, ts))


def _market(index: int, ticker: str, began: float) -> Market:
    bid = _PRICES[10 + index % 80]
    return Market(ticker, f"Market {index}", bid, bid + CENT, bid, bid, opened_ts=began)


def _ticker(began: float, index: int, total: int) -> str:
    event = index // _PER_EVENT
    return f"KXLARGE{event}-{date_code(began, 400 * event * _PER_EVENT // total)}-T{index % _PER_EVENT}"


def _mixed(seed: int, number: int) -> int:
    """64 bits that look random and are the same for the same seed and number (the finalizer of SplitMix64)."""
    mixed = (number * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)
