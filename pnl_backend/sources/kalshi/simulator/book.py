"""The account that a simulation starts from: the one shipped here, dated relative to now, or a recorded one."""

from __future__ import annotations

import json
import random
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pnl_backend.sources.simulated.units import CENT, HOUR, ZERO, dated

from .account import Account
from .exchange import LIVE_DAYS
from .large import large_account
from .records import ONE, Fill, Market, Position, Transfer, date_code


@dataclass
class KalshiBook:
    """The initial state of Kalshi; a simulation copies it, so one book can be used by many."""

    markets: dict[str, Market] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    live_days: int | None = LIVE_DAYS
    """How long Kalshi keeps settled markets in its live data set; None archives by command alone."""

    def copy(self) -> Self:
        """A book of its own; what happens to the one changes nothing in the other."""
        return replace(
            self,
            markets={ticker: copy(market) for ticker, market in self.markets.items()},
            account=self.account.copy(),
        )

    @classmethod
    def shipped(cls, now: float) -> Self:
        """The book shipped here, its dates counted from `now` (UTC seconds)."""
        text = resources.files(__package__).joinpath("book.json").read_text("utf-8")
        return cls.from_json(json.loads(text), now)

    @classmethod
    def from_json(cls, data: dict[str, Any], now: float) -> Self:
        """A book in the shape of book.json: `{+3}` in a name or date is three days from `now`."""
        book = cls()
        # Fills and settlements are replayed in their order, so positions, fees and cash follow from them.
        rng = random.Random(0)  # noqa: S311 - identifiers of a simulation, not secrets
        for row in data.get("markets", []):
            market = _market(row, now)
            book.markets[market.ticker] = market
        book.account.funding = {int(key): Decimal(text) for key, text in data.get("funding", {}).items()}
        _replay(book, data, now, rng)
        for kind, name, amount, fee, status, created, finalized in data.get("transfers", []):
            done = None if finalized is None else now - finalized * HOUR
            row = Transfer(book.account.next_seq(), name, kind, amount, fee, status, now - created * HOUR, done)
            book.account.transfers.append(row)
        return book

    @classmethod
    def sized(cls, positions: int, now: float) -> Self:
        """The shipped book with exactly so many open positions, for measuring; some YES, some NO."""
        book = cls.shipped(now)
        rng = random.Random(positions)  # noqa: S311 - a reproducible load, not a secret
        book.account = Account(transfers=book.account.transfers)
        book.markets = {}
        for index in range(positions):
            ticker = f"KXSIZED-{date_code(now, 1 + index % 30)}-T{index}"
            bid = Decimal(rng.randint(10, 85)) / 100
            book.markets[ticker] = Market(ticker, f"Market {index}", bid, bid + CENT, bid, bid)
            outcome: Literal["yes", "no"] = "yes" if index % 3 else "no"
            count = Decimal(rng.randint(50, 400)) / 100
            book.account.trade(ticker, outcome, count, bid, is_taker=bool(index % 2), ts=now - HOUR, rng=rng)
        return book

    @classmethod
    def large(
        cls, now: float, *, settled: int = 20_000, still_open: int = 500, fills: int = 300_000, seed: int = 1
    ) -> Self:
        """An account of so many settled and open markets and fills over the last 400 days, for measuring."""
        book = cls.shipped(now)
        book.markets, book.account = large_account(now, settled=settled, still_open=still_open, fills=fills, seed=seed)
        return book

    @classmethod
    def from_recorded(cls, directory: str | Path, *, now: float | None = None) -> Self:
        """A recorded account: balance.json, positions.json and fills.json as Kalshi sent them.

        No quotes were recorded, so each open market is quoted a cent around what the position cost; one deposit
        replaces the account's deposits, so that its cash is the recorded balance.
        Times are the recorded ones; `now` is needed only if the simulation is stepped. Nothing is archived
        for its age, since a recorded account is older than the live window.
        """
        folder = Path(directory)
        balance = _read(folder / "balance.json")
        book = cls(live_days=None)
        for row in _read(folder / "positions.json")["market_positions"]:
            _recorded_position(book, row)
        fills = _read(folder / "fills.json")["fills"]
        for row in reversed(fills):
            book.account.fills.append(_recorded_fill(book.account.next_seq(), row))
        book.account.fills.sort(key=lambda fill: (fill.ts, fill.seq))
        cash = Decimal(str(balance.get("balance_dollars") or Decimal(balance["balance"]) / 100))
        opening = cash - book.account.balance()
        at = now if now is not None else float(balance["updated_ts"])
        book.account.transfers.append(
            Transfer(book.account.next_seq(), "opening", "deposit", int(opening * 100), 0, "applied", at, at)
        )
        return book


def _ticker(text: str, now: float) -> str:
    return dated(text, now, "%y%b%d").upper()


def _market(row: dict[str, Any], now: float) -> Market:
    settled = row.get("settled_hours_ago")
    value = row.get("settlement_value")
    market = Market(
        ticker=_ticker(row["ticker"], now),
        title=row["title"],
        yes_bid=Decimal(row["yes_bid"]),
        yes_ask=Decimal(row["yes_ask"]),
        last_price=Decimal(row["last"]),
        anchor=Decimal(row["anchor"]),
        tick=Decimal(row.get("tick", "0.01")),
        status=row.get("status", "active"),
        result=row.get("result", ""),
        settlement_value=None if value is None else Decimal(value),
        frozen=row.get("frozen", False),
        pays_in=row.get("pays_in"),
    )
    if value is not None:
        market.settlement_ts = now - (settled or 1) * HOUR
    return market


def _replay(book: KalshiBook, data: dict[str, Any], now: float, rng: random.Random) -> None:
    events: list[tuple[float, int, Any]] = [(now - row[1] * HOUR, 0, row) for row in data.get("fills", [])]
    events += [
        (market.settlement_ts, 1, market)
        for market in book.markets.values()
        if market.settlement_ts is not None and market.pays_in is None
    ]
    for ts, kind, what in sorted(events, key=lambda event: event[:2]):
        if kind:
            book.account.settle(what, ts)
            continue
        ticker, _, outcome, count, price, taker, *rest = what
        book.account.trade(
            _ticker(ticker, now),
            outcome,
            Decimal(count),
            Decimal(price),
            is_taker=bool(taker),
            ts=ts,
            rng=rng,
            subaccount=rest[0] if rest else 0,
        )


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"), parse_float=Decimal)


def _recorded_position(book: KalshiBook, row: dict[str, Any]) -> None:
    held = Position(
        seq=book.account.next_seq(),
        ticker=row["ticker"],
        quantity=Decimal(row["position_fp"]),
        exposure=Decimal(row["market_exposure_dollars"]),
        realized_pnl=Decimal(row["realized_pnl_dollars"]),
        fees_paid=Decimal(row["fees_paid_dollars"]),
        total_traded=Decimal(row["total_traded_dollars"]),
        updated_ts=datetime.fromisoformat(row["last_updated_ts"]).timestamp(),
    )
    held.volume = abs(held.quantity)
    book.account.positions[(0, held.ticker)] = held
    cost = held.exposure / abs(held.quantity) if held.quantity else CENT
    price = (cost if held.quantity >= 0 else ONE - cost).quantize(CENT)
    bid = min(max(price, ZERO), ONE - CENT) if held.quantity >= 0 else max(price - CENT, ZERO)
    book.markets[held.ticker] = Market(
        ticker=held.ticker,
        title=held.ticker,
        yes_bid=bid,
        yes_ask=min(bid + CENT, ONE),
        last_price=price,
        anchor=price,
    )


def _recorded_fill(seq: int, row: dict[str, Any]) -> Fill:
    side: Literal["yes", "no"] = "yes" if (row["side"] == "yes") == (row["action"] == "buy") else "no"
    return Fill(
        seq=seq,
        fill_id=row["fill_id"],
        order_id=row["order_id"],
        ticker=row["ticker"],
        outcome=side,
        count=Decimal(row["count_fp"]),
        yes_price=Decimal(row["yes_price_fixed"]),
        fee=Decimal(row["fee_cost"]),
        is_taker=row["is_taker"],
        ts=datetime.fromisoformat(row["created_time"]).timestamp(),
        subaccount=row.get("subaccount_number", 0),
    )
