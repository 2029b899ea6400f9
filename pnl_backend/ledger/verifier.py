"""Verifies the account: each market's figures against its fills and settlements, its equity against its deposits.

Positions and facts come by separate calls, so a market that has just moved differs for a moment. It counts only when
a later reading shows the same difference and the facts were fetched in between.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

from loguru import logger

from pnl_backend.domain.ledger_facts import Fill, Settlement
from pnl_backend.domain.money import ZERO, cents
from pnl_backend.domain.readings import KalshiPortfolio, MarketKey, Reading
from pnl_backend.domain.snapshot import Verified
from pnl_backend.domain.verification import Derived, MarketFigures, derive
from pnl_backend.errors import StoreError
from pnl_backend.ledger.inquiries import Inquiries, Upstream
from pnl_backend.ledger.market_differences import Differences, named
from pnl_backend.ledger.sql.trades import Trades

MARKETS_AT_ONCE = 100


class Verifier:
    """One of the bookkeeper's watchers.

    `is_imported()` says whether all facts of the account are in the ledger, `equity()` whether the equity reconciles
    and the gap in USD, `fetch_soon` is called when a market differs. `upstream` is asked for
    outcomes and corrected settlements of markets that differ. `in_scope()` are the subaccounts that count.
    """

    def __init__(
        self,
        *,
        trades: Trades,
        is_imported: Callable[[], bool],
        equity: Callable[[], tuple[bool | None, Decimal]],
        fetch_soon: Callable[[], None],
        upstream: Upstream | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        in_scope: Callable[[], Collection[int]] = lambda: (0,),
    ) -> None:
        self._trades = trades
        self._is_imported = is_imported
        self._equity = equity
        self._fetch_soon = fetch_soon
        self._in_scope = in_scope
        self._inquiries = None if upstream is None else Inquiries(trades, upstream, monotonic=monotonic)
        self._reported_to = 0
        self._closed: object = None
        self._stale: set[str] | None = None
        self._differences = Differences()
        self._had_incomplete = False
        self._realized: bool | None = None
        self._failed = False

    @property
    def verified(self) -> Verified:
        """The result as of the last reading; its gap is rounded to cents."""
        equity, gap = self._equity()
        return Verified(self._realized, equity, cents(max(abs(gap), sum(self._differences.wrong.values(), ZERO))))

    @property
    def state(self) -> Literal["unknown", "verified", "different"]:
        if self._realized is False:
            return "different"
        return "unknown" if self._realized is None else "verified"

    def problem(self) -> str | None:
        """Which markets differ and by how much, in a sentence; None if none does."""
        if not self._differences.wrong:
            return None
        return f"fills and settlements do not give the reported figures of {named(self._differences.wrong)}"

    async def on_recorded(self, kind: str, names: Sequence[str]) -> None:
        """Facts of these markets are new: they are derived again at the next reading."""
        if kind in ("fill", "settlement") and self._stale is not None:
            self._stale.update(names)

    async def on_reading(self, account: Reading[KalshiPortfolio] | None, fetched_at: int | None) -> None:
        """Compare the markets that have moved."""
        portfolio = None if account is None else account.value
        if account is None or portfolio is None:
            return
        if not self._is_imported() or portfolio.importing is not None or fetched_at is None:
            self._realized = None
            return
        try:
            touched = await self._derive() | await self._report(portfolio)
            await asyncio.to_thread(
                self._differences.judge, touched, self._in_scope(), as_of=account.as_of, fetched_at=fetched_at
            )
            await self._inquire(account.as_of)
        except StoreError as error:
            if not self._failed:
                logger.warning("The account cannot be verified while the ledger cannot be read: {}", error)
            self._failed = True
            return
        self._failed = False
        self._conclude()

    async def _derive(self) -> set[MarketKey]:
        """Derive the markets of which there are new facts, all of them the first time; returns those."""
        if self._stale is None and self._inquiries is not None:
            await self._inquiries.load()
        outcomes = {} if self._inquiries is None else self._inquiries.outcomes
        stale = await self._trades.tickers() if self._stale is None else sorted(self._stale)
        waiting, self._stale = set(stale), set()
        touched: set[MarketKey] = set()
        try:
            for start in range(0, len(stale), MARKETS_AT_ONCE):
                batch = stale[start : start + MARKETS_AT_ONCE]
                fills = await self._trades.fills_of(batch)
                settlements = await self._trades.settlements_of(batch)
                derived = await asyncio.to_thread(_derived, fills, settlements, outcomes)
                self._differences.derived.update(derived)
                touched |= derived.keys()
                waiting.difference_update(batch)
        finally:
            self._stale |= waiting
        return touched

    async def _inquire(self, as_of: int) -> None:
        """Ask the upstream about what differs; what is learned is derived again at the next reading."""
        if self._inquiries is not None and self._stale is not None:
            self._stale |= await self._inquiries.ask(self._differences, as_of)

    async def _report(self, portfolio: KalshiPortfolio) -> set[MarketKey]:
        """Take over what is reported; returns the markets that have changed."""
        rows: list[tuple[MarketKey, MarketFigures, int]] = []
        if portfolio.closed != self._closed:
            rows = await self._trades.reported(self._reported_to)
            self._closed = portfolio.closed
        return await asyncio.to_thread(self._take, portfolio, rows)

    def _take(self, portfolio: KalshiPortfolio, rows: Sequence[tuple[MarketKey, MarketFigures, int]]) -> set[MarketKey]:
        found = {key: figures for key, figures, _at in rows}
        self._reported_to = max((at for *_, at in rows), default=self._reported_to)
        for p in portfolio.positions:
            found[p.key] = MarketFigures(p.realized_pnl, p.fees, p.quantity, p.cost)
        return self._differences.take(found, {p.key for p in portfolio.positions if not p.settled})

    def _conclude(self) -> None:
        """The verdict over all markets."""
        before, incomplete = self._realized, self._differences.has_incomplete
        if self._differences.wrong:
            self._realized = False
        elif incomplete:
            self._realized = None
        elif not self._differences.suspects:
            self._realized = True
        if self._differences.suspects:
            self._fetch_soon()
        if self._realized is not before or incomplete is not self._had_incomplete:
            self._log(before)
        self._had_incomplete = incomplete

    def _log(self, before: bool | None) -> None:
        if self._realized is False:
            logger.warning("The account is not verified: {}", self.problem())
        elif before is False:
            logger.info("Fills and settlements give the reported figures of all markets again")
        elif incomplete := self._differences.incomplete:
            missing = "fills" if self._differences.lacks_fills else "outcomes"
            logger.info("Realized P&L cannot be verified: {} are missing of {}", missing, named(incomplete))


def _derived(
    fills: Iterable[Fill], settlements: Iterable[Settlement], outcomes: Mapping[str, Decimal]
) -> dict[MarketKey, Derived]:
    facts: defaultdict[MarketKey, tuple[list[Fill], list[Settlement]]] = defaultdict(lambda: ([], []))
    for fill in fills:
        facts[fill.ticker, fill.subaccount][0].append(fill)
    for paid in settlements:
        facts[paid.ticker, paid.subaccount][1].append(paid)
    return {key: derive(*both, outcomes.get(key[0])) for key, both in facts.items()}
