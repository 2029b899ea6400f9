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
from typing import Literal, Protocol

from loguru import logger

from pnl_backend.domain.ledger_facts import Fill, Settlement
from pnl_backend.domain.money import ZERO, cents
from pnl_backend.domain.readings import KalshiPortfolio, MarketKey, Reading
from pnl_backend.domain.snapshot import Verified
from pnl_backend.domain.verification import Derived, MarketFigures, derive
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.ledger.market_differences import Differences, named
from pnl_backend.ledger.sqlite.trades import Trades

MARKETS_AT_ONCE = 100
ASK_EVERY = 60.0
"""Seconds between two requests for what is not known yet."""

READ_AGAIN_EVERY = 5.0
"""Seconds between two looks at whether the markets that differ were corrected."""

OUTCOMES_AT_ONCE = 1000
"""Markets whose outcomes are asked for together, in some ten requests: a basic account may make 20 a second."""

NEXT_OUTCOMES = 2.0
"""Seconds until the outcomes of the next markets are asked for."""

ASK_AGAIN = 3600.0
"""Seconds after which an outcome that the upstream did not know is asked for again."""

ASKED_AT_ONCE = 10
"""Markets whose settlements are asked for again in one request each."""


class Upstream(Protocol):
    """What is asked for again; both methods raise FetchError."""

    async def outcomes(self, tickers: Collection[str]) -> Mapping[str, Decimal]:
        """What a YES contract was worth, in USD, of those of the markets that have been settled."""

    async def settlements_of(self, ticker: str, subaccount: int) -> Sequence[Settlement]:
        """The settlements of one market as they are listed now."""


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
        self._upstream = upstream
        self._monotonic = monotonic
        self._outcomes: dict[str, Decimal] = {}
        self._ask_after = self._read_again_after = float("-inf")
        self._asked: dict[str, float] = {}
        """When the outcome of a market was asked for, by the monotonic clock."""
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
        if self._differences.wrong:
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
            await self._learn_outcomes(account.as_of)
        except StoreError as error:
            if not self._failed:
                logger.warning("The account cannot be verified while the ledger cannot be read: {}", error)
            self._failed = True
            return
        self._failed = False
        self._conclude()

    async def _derive(self) -> set[MarketKey]:
        """Derive the markets of which there are new facts, all of them the first time; returns those."""
        if self._stale is None:
            self._outcomes = await self._trades.outcomes()
        stale = await self._trades.tickers() if self._stale is None else sorted(self._stale)
        waiting, self._stale = set(stale), set()
        touched: set[MarketKey] = set()
        try:
            for start in range(0, len(stale), MARKETS_AT_ONCE):
                batch = stale[start : start + MARKETS_AT_ONCE]
                fills = await self._trades.fills_of(batch)
                settlements = await self._trades.settlements_of(batch)
                derived = await asyncio.to_thread(_derived, fills, settlements, self._outcomes)
                self._differences.derived.update(derived)
                touched |= derived.keys()
                waiting.difference_update(batch)
        finally:
            self._stale |= waiting
        return touched

    async def _learn_outcomes(self, as_of: int) -> None:
        """Ask for the outcomes of markets that were paid out unseen, and whether settlements were corrected.

        What is learned is derived again at the next reading.
        """
        now = self._monotonic()
        if self._upstream is None:
            return
        unknown = await asyncio.to_thread(self._to_ask, now) if now >= self._ask_after else []
        unseen = unknown[:OUTCOMES_AT_ONCE]
        paid: list[MarketKey] = []
        known: list[str] = []
        if now >= self._read_again_after:
            wrong = self._differences.wrong
            paid = [key for key in wrong if self._differences.is_paid(key)][:ASKED_AT_ONCE]
            known = [ticker for ticker, _ in wrong if ticker in self._outcomes][:ASKED_AT_ONCE]  # corrected perhaps
        if not (unseen or paid or known):
            return
        if unseen:
            self._ask_after = now + (NEXT_OUTCOMES if len(unknown) > len(unseen) else ASK_EVERY)
        if paid or known:
            self._read_again_after = now + READ_AGAIN_EVERY
        try:
            found = await self._upstream.outcomes({*unseen, *known}) if unseen or known else {}
            listed = [one for key in paid for one in await self._upstream.settlements_of(*key)]
        except FetchError as error:
            self._ask_after = self._read_again_after = now + ASK_EVERY
            logger.warning("The outcomes of {} settled markets could not be read: {}", len(unseen) + len(paid), error)
            return
        self._asked.update(dict.fromkeys(unseen, now))
        corrected = await self._trades.correct(listed, as_of) if listed else []
        if found:
            await self._trades.add_outcomes(found)
            self._outcomes.update(found)
        if self._stale is not None:
            self._stale.update(found, corrected)

    def _to_ask(self, now: float) -> list[str]:
        """The markets whose outcome is unknown and was not asked for lately."""
        never = float("-inf")
        return sorted(
            {ticker for ticker, _ in self._differences.unseen if now >= self._asked.get(ticker, never) + ASK_AGAIN}
        )

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
