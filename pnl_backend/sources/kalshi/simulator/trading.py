"""How the simulated Kalshi changes: prices move by ticks, fills happen, markets settle and others open."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from pnl_backend.sources.simulated.simulation import RandomInterval, chance
from pnl_backend.sources.simulated.units import CENT

from .account import mark
from .book import KalshiBook
from .exchange import Event, Exchange
from .records import ONE, Market, Position, date_code

# The target of the controller: a trading result of some hundred dollars. Without it a day of steps would lead to
# implausible figures.
_TARGET = Decimal(600)
_BAND = Decimal(1500)
_MOST_HELD = 160
_SETTLEMENT_LAG = 8

_FILL_EVERY = (12, 28)
_SETTLE_EVERY = (1500, 2100)

_NEW_MARKETS = (
    ("KXRAINBER", "T6", "Bergen rain above 6 mm"),
    ("KXHIGHVLC", "T21", "Valencia high above 21 C"),
    ("KXWHEAT", "6.10", "Wheat above $6.10"),
    ("KXTRAINZRH", "T98", "Zurich trains on time above 98 %"),
    ("KXAQIDEL", "T200", "Delhi air quality index above 200"),
    ("KXSTARTS", "1.40", "Housing starts above 1.40 million"),
    ("KXREGATTA", "WIN", "The home crew wins the regatta"),
    ("KXPODCAST", "TOP10", "The new podcast enters the top ten"),
)


class Trading:
    """The exchange of a book, and its first account, which trades without commands; it changes in steps only."""

    def __init__(self, book: KalshiBook, *, rng: random.Random, clock: Callable[[], float]) -> None:
        started = book.copy()
        self.exchange = Exchange(started.markets, [started.account], clock=clock, live_days=started.live_days)
        self.markets = started.markets
        self.account = started.account
        self._clock = clock
        self._rng = rng
        self._steps = 0
        self._fills = RandomInterval(rng, _FILL_EVERY)
        self._settlements = RandomInterval(rng, _SETTLE_EVERY)

    def step(self) -> None:
        """One step: about a second of life."""
        self._steps += 1
        self._walk()
        self._pay_out()
        if self._fills.is_due():
            self._trade()
        if self._settlements.is_due():
            self._finalize()

    def result(self) -> Decimal:
        """USD made by trading after fees, open positions at their marks."""
        total = self.account.aged_realized - self.account.aged_fees
        for held in self.account.positions.values():
            if held.subaccount == 0:
                value, _ = mark(held, self.markets.get(held.ticker), shown=lambda price: price)
                total += held.realized_pnl - held.fees_paid + value - held.exposure
        return total

    def _walk(self) -> None:
        rng = self._rng
        for market in self.markets.values():
            if market.status != "active" or market.frozen or rng.random() > 0.35:
                continue
            middle = (market.yes_bid + market.yes_ask) / 2
            # The further from its anchor, the likelier a step back.
            pull = float((market.anchor - middle) / (market.tick * 16))
            direction = 1 if rng.random() < 0.5 + max(-0.45, min(0.45, pull)) else -1
            spread = market.yes_ask - market.yes_bid
            bid = market.yes_bid + direction * market.tick
            market.yes_bid = min(max(bid, CENT), ONE - CENT - spread)
            market.yes_ask = market.yes_bid + spread
            market.last_price = market.yes_ask if direction > 0 else market.yes_bid
            self.exchange.publish(Event("ticker", market))

    def _trade(self) -> None:
        rng = self._rng
        liquid = [m for m in self.markets.values() if m.status == "active" and not m.frozen and m.yes_bid > 0]
        if not liquid:
            return
        market = rng.choice(liquid)
        held = self.account.position(market.ticker)
        wanted = self._wanted_side(market, held)
        whole = rng.random() < 0.7
        count = Decimal(rng.randint(1, 12)) if whole else Decimal(rng.randint(25, 900)) / 100
        is_taker = rng.random() < 0.25
        # A taker crosses the spread, a maker is met at his own price.
        crosses = is_taker == (wanted == "yes")
        price = market.yes_ask if crosses else market.yes_bid
        self.exchange.trade(self.account, market, wanted, count, price, is_taker=is_taker, rng=rng)

    def _wanted_side(self, market: Market, held: Position) -> Literal["yes", "no"]:
        if abs(held.quantity) > _MOST_HELD or self.account.balance() < 400:
            return "no" if held.quantity > 0 else "yes"
        cheap = (market.yes_bid + market.yes_ask) / 2 < market.anchor
        good = self._rng.random() < self._favour()
        return "yes" if cheap == good else "no"

    def _favour(self) -> float:
        """Chance that luck is on the account's side, pulling the trading result to its target."""
        return chance((_TARGET - self.result()) / _BAND)

    def _finalize(self) -> None:
        """The oldest market that trades finds its result; another opens in its place."""
        market = next((m for m in self.markets.values() if m.status == "active" and not m.frozen), None)
        if market is None:
            return
        held = self.account.position(market.ticker)
        good = self._rng.random() < self._favour()
        won = (held.quantity >= 0) == good
        self.exchange.determine(market.ticker, "yes" if won else "no")
        self.exchange.finalize(market)
        market.pays_in = _SETTLEMENT_LAG
        self.exchange.publish(Event("ticker", market))
        self._open_market()

    def _pay_out(self) -> None:
        for market in list(self.markets.values()):
            if market.pays_in is None:
                continue
            market.pays_in -= 1
            if market.pays_in <= 0:
                self.exchange.pay_out(market)
        self.exchange.hand_over()
        self.exchange.age_out()

    def _open_market(self) -> None:
        rng = self._rng
        for _ in range(50):
            series, strike, title = rng.choice(_NEW_MARKETS)
            ticker = f"{series}-{date_code(self._clock(), rng.randint(1, 30))}-{strike}"
            if ticker not in self.markets:
                break
        else:
            ticker = f"{series}-{date_code(self._clock(), 31)}-{self._steps}"
        anchor = Decimal(rng.randint(12, 85)) / 100
        bid = anchor + Decimal(rng.randint(-4, 4)) / 100
        ask = bid + Decimal(rng.choice((1, 2, 2, 3))) / 100
        self.markets[ticker] = Market(ticker, title, bid, ask, bid, anchor, opened_ts=self._clock())
