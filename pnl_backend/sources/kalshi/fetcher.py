"""Reads a Kalshi account: balance, every position, and the markets that mark the open ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from urllib.parse import quote

from pnl_backend.domain.readings import Fetched, KalshiPortfolio
from pnl_backend.sources.account import AccountIdentity, AnyAccount
from pnl_backend.sources.base import UpstreamClient, both, together
from pnl_backend.sources.fields import dollars, optional_dollars
from pnl_backend.sources.kalshi.api import KalshiApi, where
from pnl_backend.sources.kalshi.history import KalshiHistory
from pnl_backend.sources.kalshi.identity import KnownFacts
from pnl_backend.sources.kalshi.positions import Row, mark_positions, read_positions
from pnl_backend.sources.kalshi.signing import Signer

BALANCE, POSITIONS, MARKETS = "/portfolio/balance", "/portfolio/positions", "/markets"

# Servers commonly refuse a request line over 8 KiB; a Basic account may make 20 requests a second.
_TICKERS_LENGTH = 6000
_TICKERS_COUNT = 1000
_CALLS_AT_ONCE = 5


class KalshiFetcher:
    """The whole account (subaccount 0), settled markets included.

    `as_of` is the moment the fetch began by `clock` (s): Kalshi's own `updated_ts` tells when the balance last
    moved, which on a quiet day is hours before the answer was true. `history` reads what happened on the account.
    """

    def __init__(
        self,
        client: UpstreamClient,
        *,
        base_url: str,
        signer: Signer,
        identity: AccountIdentity | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = KalshiApi(client, base_url=base_url, signer=signer)
        self._identity = identity or AnyAccount()
        self._known = KnownFacts(self._api)
        self.history = KalshiHistory(self._api)
        self._clock = clock

    async def fetch(self) -> Fetched[KalshiPortfolio]:
        """One account, exact to the digit; raises FetchError."""
        await self._identity.confirm(recognise=self._known.recognise)
        as_of = int(self._clock() * 1000)
        (balance, portfolio_value), rows = await both(
            self._balance(),
            self._api.rows(POSITIONS, "market_positions", [("settlement_status", "all"), ("subaccount", "0")]),
        )
        positions = read_positions(rows)
        open_tickers = [position.ticker for position in positions.values() if position.is_open]
        marked = mark_positions(positions.values(), await self._markets(open_tickers))
        return Fetched(KalshiPortfolio(balance, marked, portfolio_value), as_of)

    async def _balance(self) -> tuple[Decimal, Decimal | None]:
        """Cash, and what Kalshi says the positions are worth where it says so."""
        answer = await self._api.get(BALANCE, [("subaccount", "0")])
        path = where(BALANCE)
        return dollars(answer, "balance", path), optional_dollars(answer, "portfolio_value", path)

    async def _markets(self, tickers: Iterable[str]) -> list[Row]:
        """The markets of the tickers, asked for in batches, a few at a time."""
        places = asyncio.Semaphore(_CALLS_AT_ONCE)

        async def ask(batch: str) -> list[Row]:
            async with places:
                return await self._api.rows(MARKETS, "markets", [("tickers", batch)])

        batches = await together(*map(ask, _batches(sorted(tickers))))
        return [row for batch in batches for row in batch]


def _batches(tickers: Iterable[str]) -> Iterator[str]:
    """Comma-separated tickers, as many to a batch as fit into a request line."""
    batch: list[str] = []
    length = 0
    for ticker in tickers:
        cost = len(quote(ticker, safe="")) + 3
        if batch and (length + cost > _TICKERS_LENGTH or len(batch) == _TICKERS_COUNT):
            yield ",".join(batch)
            batch, length = [], 0
        batch.append(ticker)
        length += cost
    if batch:
        yield ",".join(batch)
