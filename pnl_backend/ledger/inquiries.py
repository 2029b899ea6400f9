"""Asks the upstream about markets that differ: outcomes that no settlement tells, and what was corrected.

Kalshi lists no settlement of an archived market, so what its contracts were worth is asked for, a batch at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from loguru import logger

from pnl_backend.domain.ledger_facts import Settlement
from pnl_backend.domain.readings import MarketKey
from pnl_backend.errors import FetchError
from pnl_backend.ledger.market_differences import Differences
from pnl_backend.ledger.sql.trades import Trades

ASK_EVERY = 60.0
"""Seconds until a request is repeated after a failure, and the longest pause between two looks for corrections."""

READ_AGAIN_AFTER = 5.0
"""Seconds until a market that differs is read again; doubled each time while the same markets differ."""

READ_AT_ONCE = 10
"""Markets that are read again together, in one request each."""

OUTCOMES_AT_ONCE = 1000
"""Markets whose outcomes are asked for together, in some ten requests: a basic account may make 20 a second."""

NEXT_OUTCOMES = 2.0
"""Seconds until the outcomes of the next markets are asked for."""

ASK_AGAIN = 3600.0
"""Seconds after which an outcome that the upstream did not know is asked for again."""


class Upstream(Protocol):
    """What is asked for again; both methods raise FetchError."""

    async def outcomes(self, tickers: Collection[str]) -> Mapping[str, Decimal]:
        """What a YES contract was worth, in USD, of those of the markets that have been settled."""

    async def settlements_of(self, ticker: str, subaccount: int) -> Sequence[Settlement]:
        """The settlements of one market as they are listed now."""


class Inquiries:
    """`outcomes` are those that were asked for, by market, in USD for one YES contract."""

    def __init__(self, trades: Trades, upstream: Upstream, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._trades = trades
        self._upstream = upstream
        self._monotonic = monotonic
        self.outcomes: dict[str, Decimal] = {}
        self._asked: dict[str, float] = {}
        """When the outcome of a market was asked for, by the monotonic clock."""
        self._ask_after = self._read_after = float("-inf")
        self._pause = READ_AGAIN_AFTER
        self._wrong: frozenset[MarketKey] = frozenset()

    async def load(self) -> None:
        """Read the outcomes that are known; raises StoreError."""
        self.outcomes = await self._trades.outcomes()

    async def ask(self, differences: Differences, as_of: int) -> set[str]:
        """Ask what is due; returns the markets of which something new was learned, as of `as_of` (ms).

        A failure is logged, and what was learned before it is kept. Raises StoreError.
        """
        try:
            return await self._ask_outcomes(differences, as_of) | await self._read_again(differences, as_of)
        except FetchError as error:
            self._ask_after = self._read_after = self._monotonic() + ASK_EVERY
            logger.warning("Settled markets that differ could not be read again: {}", error)
            return set()

    async def _ask_outcomes(self, differences: Differences, as_of: int) -> set[str]:
        """Ask for outcomes that are unknown, some at a time."""
        now = self._monotonic()
        if now < self._ask_after:
            return set()
        unknown = await asyncio.to_thread(self._unknown, differences.unseen, now)
        batch = unknown[:OUTCOMES_AT_ONCE]
        if not batch:
            return set()
        self._ask_after = now + (NEXT_OUTCOMES if len(unknown) > len(batch) else ASK_EVERY)
        learned = await self._learn(await self._upstream.outcomes(batch), as_of)
        self._asked.update(dict.fromkeys(batch, now))
        return learned

    async def _read_again(self, differences: Differences, as_of: int) -> set[str]:
        """Read settlements and outcomes of markets that differ: they were corrected perhaps."""
        now, wrong = self._monotonic(), frozenset(differences.wrong)
        if wrong != self._wrong:
            self._wrong, self._pause = wrong, READ_AGAIN_AFTER
            self._read_after = min(self._read_after, now + READ_AGAIN_AFTER)
        if now < self._read_after:
            return set()
        paid = [key for key in differences.wrong if differences.is_paid(key)][:READ_AT_ONCE]
        known = [ticker for ticker, _ in differences.wrong if ticker in self.outcomes][:READ_AT_ONCE]
        if not (paid or known):
            return set()
        self._read_after, self._pause = now + self._pause, min(ASK_EVERY, 2 * self._pause)
        learned = await self._learn(await self._upstream.outcomes(known), as_of) if known else set()
        listed = [one for key in paid for one in await self._upstream.settlements_of(*key)]
        return learned.union(await self._trades.correct(listed, as_of) if listed else ())

    async def _learn(self, found: Mapping[str, Decimal], as_of: int) -> set[str]:
        """Keep the outcomes that are new or were corrected; returns their markets."""
        new = {ticker: value for ticker, value in found.items() if self.outcomes.get(ticker) != value}
        if new:
            await self._trades.add_outcomes(new, as_of)
            self.outcomes.update(new)
        return set(new)

    def _unknown(self, unseen: Collection[MarketKey], now: float) -> list[str]:
        """The markets whose outcome was not asked for lately."""
        never = float("-inf")
        return sorted({ticker for ticker, _ in unseen if now >= self._asked.get(ticker, never) + ASK_AGAIN})
