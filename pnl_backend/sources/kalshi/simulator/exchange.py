"""The exchange behind the simulated Kalshi: its markets, the accounts that trade there, and what is archived."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pnl_backend.sources.simulated.units import DAY, ZERO

from .account import Account
from .corrections import resettle
from .records import ONE, Fill, Market, Outcome, Position

LIVE_DAYS = 90
"""Days after which settled markets, their positions and fills leave the live data set."""

Lifecycle = Literal["determined", "settled"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a feed may send: a quote, a fill with its position, a position that was paid out, a lifecycle.

    Fills and positions are of one account, `user_id`; quotes and lifecycles go to all.
    """

    kind: Literal["ticker", "fill", "market_position", "market_lifecycle_v2"]
    market: Market
    fill: Fill | None = None
    position: Position | None = None
    user_id: str = ""
    lifecycle: Lifecycle | None = None


class Exchange:
    """Markets and accounts; `live_days=None` archives by command alone."""

    def __init__(
        self,
        markets: dict[str, Market],
        accounts: list[Account],
        *,
        clock: Callable[[], float],
        live_days: int | None = LIVE_DAYS,
    ) -> None:
        self.markets = markets
        self.archived_markets: dict[str, Market] = {}
        self.accounts = accounts
        self.listeners: list[Callable[[Event], None]] = []
        self.live_days = live_days
        self._clock = clock
        self._handed_over: float = 0.0
        for market in markets.values():
            market.opened_ts = market.opened_ts or clock() - 30 * DAY

    def publish(self, event: Event) -> None:
        """Call every listener."""
        for listener in self.listeners:
            listener(event)

    def account_of(self, user_id: str) -> Account:
        """The account of a user; ValueError if there is none."""
        for account in self.accounts:
            if account.user_id == user_id:
                return account
        raise ValueError(f"no account {user_id!r}")

    def market(self, ticker: str) -> Market:
        """A market of the live data set; ValueError if there is none."""
        if ticker not in self.markets:
            raise ValueError(f"no live market {ticker!r}")
        return self.markets[ticker]

    def cutoff(self) -> float:
        """Where the live data begins, UTC seconds, at a day's start; 0 without a live window; it never goes back."""
        begins = 0 if self.live_days is None else (int(self._clock()) // DAY - self.live_days) * DAY
        return max(float(begins), self._handed_over)

    def hand_over(self) -> None:
        """Archive what the cutoff has passed since it was last looked at."""
        cutoff = self.cutoff()
        if cutoff <= self._handed_over:
            return
        self._handed_over = cutoff
        for account in self.accounts:
            account.hand_over(cutoff)
        held = {ticker for account in self.accounts for _, ticker in account.positions}
        self._archive_markets(
            market.ticker
            for market in list(self.markets.values())
            if market.settlement_ts is not None
            and market.settlement_ts < cutoff
            and market.pays_in is None
            and market.ticker not in held
        )

    def archive(self, tickers: Iterable[str] | None = None, *, settlements_stay: bool = False) -> list[str]:
        """Archive settled markets now, with every account's positions, settlements and fills in them.

        All settled markets without `tickers`; ValueError, with nothing archived, for a market that is not settled.
        With `settlements_stay` their settlements are still in the live list.
        """
        wanted = self._settled_tickers() if tickers is None else set(tickers)
        unsettled = wanted - self._settled_tickers()
        if unsettled:
            raise ValueError(f"not settled: {', '.join(sorted(unsettled))}")
        for account in self.accounts:
            keys = [key for key in account.positions if key[1] in wanted]
            account.archive(keys, settlements_stay=settlements_stay)
            account.archived_fills |= wanted
        self._archive_markets(wanted)
        return sorted(wanted)

    def age_out(self, keep: int | None = None) -> list[str]:
        """Archive old settled markets (those beyond what is usually kept, or beyond `keep`), but not their fills."""
        gone: list[str] = []
        for account in self.accounts:
            gone += account.age_out(keep)
        held = {ticker for account in self.accounts for _, ticker in account.positions}
        self._archive_markets(ticker for ticker in gone if ticker not in held)
        return gone

    def trade(
        self,
        account: Account,
        market: Market,
        outcome: Literal["yes", "no"],
        count: Decimal,
        yes_price: Decimal,
        *,
        is_taker: bool,
        rng: random.Random,
        subaccount: int = 0,
    ) -> Fill:
        """Fill an account's order, and publish the fill and the position that it leads to."""
        fill = account.trade(
            market.ticker,
            outcome,
            count,
            yes_price,
            is_taker=is_taker,
            ts=self._clock(),
            rng=rng,
            subaccount=subaccount,
        )
        market.last_price = yes_price
        held = account.position(market.ticker, subaccount)
        self.publish(Event("fill", market, fill=fill, position=held, user_id=account.user_id))
        self.publish(Event("market_position", market, position=held, user_id=account.user_id))
        return fill

    def open_market(self, market: Market) -> None:
        """List a market; ValueError for a ticker that there is or was, and for prices that cannot be."""
        _check_prices(market.yes_bid, market.yes_ask, market.last_price)
        if market.ticker in self.markets or market.ticker in self.archived_markets:
            raise ValueError(f"there is a market {market.ticker!r} already")
        market.opened_ts = market.opened_ts or self._clock()
        self.markets[market.ticker] = market
        self.publish(Event("ticker", market))

    def quote(self, ticker: str, bid: Decimal, ask: Decimal, last: Decimal | None = None) -> None:
        """Set the prices of an active market, USD per YES contract; a bid of 0 or an ask of 1 is an empty side.

        ValueError for a market that is not active, and for prices that cannot be.
        """
        market = self.market(ticker)
        shown = market.last_price if last is None else last
        if market.status != "active":
            raise ValueError(f"{ticker} is {market.status}")
        _check_prices(bid, ask, shown)
        market.yes_bid, market.yes_ask, market.last_price = bid, ask, shown
        self.publish(Event("ticker", market))

    def determine(self, ticker: str, result: Outcome, value: Decimal | None = None) -> Market:
        """Fix a market's outcome without paying it out yet: status `determined`, trading has ended.

        `value` is USD per YES contract, needed for a scalar result alone. ValueError for a market that is not active,
        or for a value that does not fit.
        """
        market = self.market(ticker)
        if market.status not in ("active", "closed"):
            raise ValueError(f"{ticker} is {market.status}")
        due = settlement_value(result, value)
        market.status, market.result, market.settlement_value = "determined", result, due
        self.publish(Event("market_lifecycle_v2", market, lifecycle="determined"))
        return market

    def finalize(self, market: Market) -> None:
        """Close a market whose outcome is known; its positions are paid out by `pay_out`."""
        market.status, market.settlement_ts = "finalized", self._clock()
        market.yes_bid, market.yes_ask = ZERO, ONE

    def pay_out(self, market: Market) -> None:
        """Settle every account's holding of a finalized market."""
        market.pays_in = None
        for account in self.accounts:
            for held in account.settle(market, self._clock()):
                self.publish(Event("market_position", market, position=held, user_id=account.user_id))
        self.publish(Event("market_lifecycle_v2", market, lifecycle="settled"))

    def settle(self, ticker: str) -> Market:
        """Finalize a determined market and pay it out at once; ValueError for any other market."""
        market = self.market(ticker)
        if market.status != "determined":
            raise ValueError(f"{ticker} is {market.status}, not determined")
        self.finalize(market)
        self.pay_out(market)
        return market

    def revise(self, ticker: str, result: Outcome, value: Decimal | None = None) -> Market:
        """Correct the outcome of a settled market, live or archived, and what every account was paid for it.

        ValueError for a market that is not settled, or for a value that does not fit.
        """
        market = self.markets.get(ticker) or self.archived_markets.get(ticker)
        if market is None or market.settlement_ts is None or market.pays_in is not None:
            raise ValueError(f"{ticker} is not settled")
        market.result, market.settlement_value = result, settlement_value(result, value)
        for account in self.accounts:
            for held in resettle(account, market, self._clock()):
                self.publish(Event("market_position", market, position=held, user_id=account.user_id))
        return market

    def _settled_tickers(self) -> set[str]:
        open_ = {held.ticker for account in self.accounts for held in account.positions.values() if not held.settled}
        known = {held.ticker for account in self.accounts for held in account.positions.values() if held.settled}
        done = {
            market.ticker
            for market in self.markets.values()
            if market.settlement_ts is not None and market.pays_in is None
        }
        return (known | done) - open_

    def _archive_markets(self, tickers: Iterable[str]) -> None:
        for ticker in tickers:
            market = self.markets.pop(ticker, None)
            if market is not None:
                self.archived_markets[ticker] = market


def _check_prices(bid: Decimal, ask: Decimal, last: Decimal) -> None:
    if not ZERO <= bid < ask <= ONE or not ZERO <= last <= ONE:
        raise ValueError("a market needs a bid below its ask, and prices from 0 to 1")


def settlement_value(result: Outcome, value: Decimal | None) -> Decimal:
    """USD per YES contract of a result; ValueError for a value that does not fit, or a scalar one without any."""
    due = {"yes": ONE, "no": ZERO}.get(result, value)
    if due is None or not ZERO <= due <= ONE or (value is not None and value != due):
        raise ValueError(f"{value} is no settlement value of a {result} result")
    return due
