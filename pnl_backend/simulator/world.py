"""What moves, all from one seed: prices walk, fills happen, spend grows, markets settle, deals close."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from .account import Account, mark
from .book import Book
from .exchange import Event, Exchange
from .records import CENT, ONE, ZERO, Deal, Market, Position, date_code
from .spend import DAY, HOUR, Counters, Spend, Stream, models

# Where the two controllers pull: a trading result of some hundred dollars, a few thousand in all. Without them a
# day of steps would wander off to figures that nobody believes.
_TRADING_TARGET = Decimal(600)
_TRADING_BAND = Decimal(1500)
_NET_TARGET = Decimal(6000)
_NET_BAND = Decimal(4000)
_MOST_PENDING = Decimal(3500)
_MOST_HELD = 160
_SETTLEMENT_LAG = 8

_FILL_EVERY = (12, 28)
_DEAL_EVERY = (150, 330)
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
_CLIENTS = ("Bluff Creek", "Ledgerline", "Ostara Foods", "Pale Harbour", "Rowan Mills", "Sundial Freight", "Tamarack")
_WORK = ("retainer", "data feed", "forecast review", "dashboard", "model audit")

# One step's request by model: input, 5m and 1h cache writes, cache reads, output; the weight is how often.
_REQUESTS: dict[str, tuple[int, Counters]] = {
    "claude-haiku-5-5": (60, [900, 0, 0, 6000, 180]),
    "claude-sonnet-5-5": (30, [800, 120, 0, 6000, 170]),
    "claude-opus-5-5": (10, [700, 100, 40, 5200, 160]),
}


class World:
    """The state behind the three upstreams; it stands still between steps."""

    def __init__(self, book: Book, *, seed: int, clock: Callable[[], float]) -> None:
        started = book.copy()
        self.exchange = Exchange(started.markets, [started.account], clock=clock, live_days=started.live_days)
        self.markets: dict[str, Market] = started.markets
        self.account: Account = started.account
        self.spend: Spend = started.spend
        self.deals: list[Deal] = started.deals
        self.listeners = self.exchange.listeners
        self.steps = 0
        self._clock = clock
        self._rng = random.Random(seed)  # noqa: S311 - a predictable simulation is the point
        self._since = int(clock()) // DAY * DAY
        self._streams = self._weighted_streams()
        self._next_fill = self._in(_FILL_EVERY)
        self._next_deal = self._in(_DEAL_EVERY)
        self._next_settlement = self._in(_SETTLE_EVERY)

    def step(self) -> None:
        """One step: about a second of life."""
        self.steps += 1
        self._walk()
        self._use_models()
        self._pay_out()
        if self.steps >= self._next_fill:
            self._next_fill = self._in(_FILL_EVERY)
            self._trade()
        if self.steps >= self._next_deal:
            self._next_deal = self._in(_DEAL_EVERY)
            self._move_deal()
        if self.steps >= self._next_settlement:
            self._next_settlement = self._in(_SETTLE_EVERY)
            self._finalize()

    def trading_result(self) -> Decimal:
        """USD made by trading after fees, open positions at their marks."""
        total = self.account.aged_realized - self.account.aged_fees
        for held in self.account.positions.values():
            if held.subaccount == 0:
                value, _ = mark(held, self.markets.get(held.ticker), shown=lambda price: price)
                total += held.realized_pnl - held.fees_paid + value - held.exposure
        return total

    def collected(self) -> Decimal:
        return sum((deal.amount for deal in self.deals if deal.status == "recognized"), ZERO)

    def remove_deal(self, deal_id: str) -> None:
        """Take a deal away as if it had never been; ValueError if there is none."""
        if all(deal.id != deal_id for deal in self.deals):
            raise ValueError(f"no deal {deal_id!r}")
        self.deals[:] = [deal for deal in self.deals if deal.id != deal_id]

    def use_model(self, model: str, *, input_tokens: int, output_tokens: int, days_ago: int, workspace_id: str) -> None:
        """Book usage of a model at this time of an earlier day, or of today; below 0 takes back what was booked.

        ValueError for a model that there is not, and for more taken back than was booked in that hour.
        """
        if model not in models():
            raise ValueError(f"no such model: {model}; there are {', '.join(models())}")
        counters = [input_tokens, 0, 0, 0, output_tokens, 0, 0, 1 if input_tokens >= 0 and output_tokens >= 0 else 0]
        at, stream = self._clock() - days_ago * DAY, Stream(model, workspace_id, "apikey_01Cliff")
        held = self.spend.hours.get(int(at) // HOUR * HOUR, {}).get(stream, [0] * len(counters))
        if any(count + more < 0 for count, more in zip(held, counters, strict=True)):
            raise ValueError("less than that was booked in that hour")
        self.spend.add(at, stream, counters)

    def forget_usage(self, *, days_ago: int, model: str | None = None) -> None:
        """Take away an earlier day's cost rows, or those of one model."""
        self.spend.forget((int(self._clock()) // DAY - days_ago) * DAY, model)

    def credit_usage(self, amount: Decimal, *, model: str | None, days_ago: int, workspace_id: str) -> None:
        """Credit USD at this time of an earlier day, or of today; without a model it is the organisation's."""
        at = self._clock() - days_ago * DAY
        self.spend.credit(at, Stream(model, workspace_id, "apikey_01Cliff"), amount * 100)

    def set_deal(self, deal_id: str, *, amount: Decimal | None, status: str | None, name: str | None) -> None:
        """Change a deal or add it; ValueError for a status that deals do not have."""
        if status is not None and status not in ("recognized", "pending", "pipeline"):
            raise ValueError(f"no such status: {status}")
        deal = next((held for held in self.deals if held.id == deal_id), None)
        if deal is None:
            deal = Deal(deal_id, deal_id, iso_date(self._clock()), ZERO, "recognized")
            self.deals.append(deal)
        deal.amount = deal.amount if amount is None else amount
        deal.status = status or deal.status
        deal.name = name or deal.name

    def _in(self, span: tuple[int, int]) -> int:
        return self.steps + self._rng.randint(*span)

    def _weighted_streams(self) -> list[tuple[Stream, Counters, int]]:
        known = {stream for hour in self.spend.hours.values() for stream in hour}
        picked = []
        for stream in sorted(known, key=repr):
            if stream.model in _REQUESTS and stream.service_tier == "standard":
                weight, counters = _REQUESTS[stream.model]
                picked.append((stream, counters, weight))
        if not picked:
            for model, (weight, counters) in _REQUESTS.items():
                picked.append((Stream(model, "wrkspc_01Default", "apikey_01Cliff"), counters, weight))
        return picked

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

    def _use_models(self) -> None:
        rng = self._rng
        stream, counters, _ = rng.choices(self._streams, [weight for *_, weight in self._streams])[0]
        factor = rng.uniform(0.6, 1.4)
        used = [int(count * factor) for count in counters]
        search = 1 if rng.random() < 0.004 else 0
        self.spend.add(self._clock(), stream, [*used, search, 0, 1])

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
        return self._chance((_TRADING_TARGET - self.trading_result()) / _TRADING_BAND)

    @staticmethod
    def _chance(pull: Decimal) -> float:
        return max(0.02, min(0.98, 0.5 + float(pull)))

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
        self.age_out()

    def age_out(self, keep: int | None = None) -> list[str]:
        """Archive old settled markets (those beyond what is usually kept, or beyond `keep`), but not their fills."""
        return self.exchange.age_out(keep)

    def _open_market(self) -> None:
        rng = self._rng
        for _ in range(50):
            series, strike, title = rng.choice(_NEW_MARKETS)
            ticker = f"{series}-{date_code(self._clock(), rng.randint(1, 30))}-{strike}"
            if ticker not in self.markets:
                break
        else:
            ticker = f"{series}-{date_code(self._clock(), 31)}-{self.steps}"
        anchor = Decimal(rng.randint(12, 85)) / 100
        bid = anchor + Decimal(rng.randint(-4, 4)) / 100
        ask = bid + Decimal(rng.choice((1, 2, 2, 3))) / 100
        self.markets[ticker] = Market(ticker, title, bid, ask, bid, anchor, opened_ts=self._clock())

    def _net(self) -> Decimal:
        days = [day for day in self.spend.days() if day >= self._since]
        spent = sum((self.spend.dollars(day) for day in days), ZERO)
        return self.trading_result() + self.collected() - spent

    def _move_deal(self) -> None:
        """A deal closes, or, where the result has run ahead, a payment is returned or an order withdrawn."""
        rng = self._rng
        good = rng.random() < self._chance((_NET_TARGET - self._net()) / _NET_BAND)
        pending, pipeline, paid = (
            [deal for deal in self.deals if deal.status == status] for status in ("pending", "pipeline", "recognized")
        )
        crowded = sum((deal.amount for deal in pending), ZERO) > _MOST_PENDING
        if good and pending and (crowded or not pipeline or rng.random() < 0.6):
            self._turn(rng.choice(pending), "recognized")
        elif good and pipeline:
            self._turn(rng.choice(pipeline), "pending")
        elif pending and (crowded or not paid):
            self._turn(rng.choice(pending), "pipeline")
        elif paid:
            # The newest payment bounces: the invoice stands, the money does not.
            self._turn(max(paid, key=lambda deal: (deal.closed_date, deal.id)), "pending")
        if len(pipeline) < 4 and len(self.deals) < 200:
            self._offer_deal()

    def _turn(self, deal: Deal, status: str) -> None:
        days = 14 if status == "pipeline" else 0
        deal.status, deal.closed_date = status, iso_date(self._clock() + days * DAY)

    def _offer_deal(self) -> None:
        rng = self._rng
        name = f"{rng.choice(_CLIENTS)} {rng.choice(_WORK)}"
        amount = Decimal(rng.randint(180, 1600)) + Decimal(rng.choice((0, 0, 25, 50, 75))) / 100
        when = iso_date(self._clock() + rng.randint(3, 30) * DAY)
        numbers = [int(deal.id[2:]) for deal in self.deals if deal.id[2:].isdigit()]
        self.deals.append(Deal(f"d-{max(numbers, default=100) + 1}", name, when, amount, "pipeline"))


def iso_date(at: float) -> str:
    """A UTC date as YYYY-MM-DD."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
