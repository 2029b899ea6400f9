"""Reads a Kalshi account: balance, every market that may still change, and the quotes that mark the open ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import Fetched, KalshiPortfolio, MarketKey, Position
from pnl_backend.domain.times import MINUTE_MS
from pnl_backend.errors import FetchError, StoreError, UpstreamNotFound
from pnl_backend.sources.account import AccountIdentity, AnyAccount
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.concurrent import both, in_worker, together
from pnl_backend.sources.fields import dollars, moment, optional_dollars, text
from pnl_backend.sources.kalshi.api import MARKETS, POSITIONS, KalshiApi, ticker_batches, where
from pnl_backend.sources.kalshi.history import SETTLEMENTS, KalshiHistory
from pnl_backend.sources.kalshi.identity import KnownFacts
from pnl_backend.sources.kalshi.importer import MarketImporter
from pnl_backend.sources.kalshi.positions import Row, mark_positions, read_positions
from pnl_backend.sources.kalshi.settling import CALLS_AT_ONCE, MOST_AT_ONCE, Settling
from pnl_backend.sources.kalshi.signing import Signer
from pnl_backend.sources.kalshi.subaccounts import PRIMARY, Subaccounts
from pnl_backend.sources.markets import MarketStore, MemoryMarkets

BALANCE, AS_OF = "/portfolio/balance", "/exchange/user_data_timestamp"

# A Basic account may make 20 requests a second.

_OVERLAP_MS = 5 * MINUTE_MS
"""Each fetch requests settlements from this time before the last fetch: one may be listed late."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Subaccount:
    """The answers for one subaccount: USD, its unsettled markets, and those that settled lately."""

    balance: Decimal
    portfolio_value: Decimal | None
    positions: Mapping[MarketKey, Position]
    paid: frozenset[MarketKey]


class KalshiFetcher:
    """The account's `subaccounts` (None: all), each position exact to the digit; `clock` in s.

    Unsettled markets are read at every fetch. Settled ones are in `markets`, where the `importer` writes them; without
    `markets` they are kept in memory, and the first fetch reads them all. With them it reads as many as it can within
    `first_import` seconds, so that the first figure of a small account is complete. `history` reads what happened on
    the account.

    `as_of` is Kalshi's own time up to which its REST API is complete, and never later than the request for it.
    """

    def __init__(
        self,
        client: UpstreamClient,
        *,
        base_url: str,
        signer: Signer,
        identity: AccountIdentity | None = None,
        markets: MarketStore | None = None,
        subaccounts: Sequence[int] | None = PRIMARY,
        first_import: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = KalshiApi(client, base_url=base_url, signer=signer)
        self._store = MemoryMarkets() if markets is None else markets
        self._at_once = markets is None
        self._first_import = first_import
        self._subaccounts = Subaccounts(self._api, subaccounts)
        self._identity = identity or AnyAccount()
        self._known = KnownFacts(self._api)
        self._clock = clock
        self.history = KalshiHistory(self._api, subaccounts=self._subaccounts)
        self.importer = MarketImporter(self._api, self._store, self._subaccounts, clock)
        self._settling = Settling(self._api)
        self._last: Mapping[MarketKey, Position] = {}
        self._settled: dict[MarketKey, Position] = {}
        self._left_to_importer: set[MarketKey] = set()
        self._complete_until: int | None = None
        self._unexplained_cash: Decimal | None = None

    async def fetch(self) -> Fetched[KalshiPortfolio]:
        """One account; raises FetchError."""
        await self._identity.confirm(recognise=self._known.recognise)
        as_of = await self._as_of()
        numbers = await self._subaccounts.read()
        await self._import()
        parts = await self._parts(numbers, as_of)
        listed = {key: position for part in parts for key, position in part.positions.items()}
        paid = frozenset().union(*(part.paid for part in parts))
        importing = self.importer.progress()
        await self._drop_unknown(listed.keys() | paid)
        unpaid, unexplained = await self._settle(listed, paid)
        current = {**unexplained, **unpaid, **self._settled, **listed}
        tickers = {position.ticker for position in current.values() if position.is_open}
        marked = await in_worker(mark_positions, current.values(), await self._markets(tickers))
        values = [part.portfolio_value for part in parts]
        portfolio = KalshiPortfolio(
            sum((part.balance for part in parts), ZERO),
            marked,
            None if None in values else sum((value for value in values if value is not None), ZERO),
            self._store.closed_except(current.keys(), numbers),
            self.importer.progress() or importing,  # what an import found meanwhile was not looked through here
            _notes(unexplained.values()),
        )
        self._last, self._complete_until = unexplained | unpaid | listed, as_of
        self._look_for_corrections(portfolio)
        return Fetched(portfolio, as_of)

    async def _drop_unknown(self, listed: Collection[MarketKey]) -> None:
        """Leave out the markets that the ledger has of another account, as soon as every list was read."""
        if self.importer.known_until() is None:
            return
        with suppress(StoreError):  # it is tried again at the next fetch
            dropped = set(await self._store.drop_unknown(listed))
            self._last = {key: position for key, position in self._last.items() if key not in dropped}

    async def _import(self) -> None:
        """Read the settled markets: all that are due, or what the first fetch may wait for."""
        if self._at_once:
            await self.importer.read_due()
            return
        patience, self._first_import = self._first_import, 0.0
        if patience and self.importer.progress() is not None:
            with suppress(TimeoutError, FetchError):  # the importer's own task continues, and logs what fails
                async with asyncio.timeout(patience):
                    await self.importer.read_due()

    async def _settle(
        self, listed: Mapping[MarketKey, Position], paid: frozenset[MarketKey]
    ) -> tuple[dict[MarketKey, Position], dict[MarketKey, Position]]:
        """Find the markets that were unsettled and are not `listed` now.

        Settled ones are in the reading until they are stored. Returned are those that are not paid out yet, and
        the last known rows of those that were not found. More than are worth single calls are left to the importer, and
        the reading is marked until it has read every list.
        """
        store = self._store
        numbers = self._subaccounts.current
        known = {position.key: position for position in store.unsettled() if position.subaccount in numbers}
        known.update(self._last)
        self._settled = {
            key: position for key, position in self._settled.items() if key not in listed and not store.is_settled(key)
        }
        missing = {
            key: known.get(key)
            for key in {*known, *paid}
            if key not in listed and key not in self._settled and not store.is_settled(key)
        }
        found: dict[MarketKey, Position] = {}
        try:
            await self._settling.find(self._worth_a_call(missing), known, found)
        finally:
            self._settled.update((key, position) for key, position in found.items() if position.settled)
        unpaid = {key: position for key, position in found.items() if not position.settled}
        unexplained = {
            key: position
            for key, position in missing.items()
            if position is not None and key not in found and not store.is_settled(key)
        }
        return unpaid, unexplained

    def _worth_a_call(self, missing: Collection[MarketKey]) -> Sequence[MarketKey]:
        """The missing markets that are fetched one by one now; the importer is to find them if they are many."""
        due = self._settling.due(missing)
        if len(due) <= MOST_AT_ONCE:
            return due
        self._left_to_importer &= set(missing)
        if not self._left_to_importer.issuperset(due):
            self._left_to_importer.update(due)
            if self.importer.progress() is None:
                self.importer.request()
        return due[:MOST_AT_ONCE] if self.importer.progress() is None else ()

    def _look_for_corrections(self, portfolio: KalshiPortfolio) -> None:
        """Have settled markets read again when cash moved as no market did: a transfer, or a corrected outcome.

        What moved while no fetch was made is not known, so the first fetch has them read again too.
        """
        if portfolio.importing is not None:
            return
        spent = sum((position.cost for position in portfolio.positions), ZERO)
        unexplained = portfolio.balance + spent + portfolio.fees - portfolio.realized_pnl
        if unexplained != self._unexplained_cash:
            self.importer.doubt()
        self._unexplained_cash = unexplained

    async def _as_of(self) -> int:
        """Up to when Kalshi's data is complete, ms; where that is not served, the moment of this request."""
        now = int(self._clock() * 1000)
        try:
            answer = await self._api.get(AS_OF)
        except UpstreamNotFound:
            return now
        return min(moment(answer, "as_of_time", where(AS_OF)), now)

    async def _parts(self, numbers: Sequence[int], as_of: int) -> list[_Subaccount]:
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def ask(number: int) -> _Subaccount:
            async with places:
                return await self._subaccount(number, as_of)

        return await together(*map(ask, numbers))

    async def _subaccount(self, number: int, as_of: int) -> _Subaccount:
        of = [("subaccount", str(number))]
        (balance, value), (rows, paid) = await both(
            self._balance(number),
            both(
                self._api.rows(POSITIONS, "market_positions", [("settlement_status", "unsettled"), *of]),
                self._api.rows(SETTLEMENTS, "settlements", [*of, ("min_ts", str(self._paid_since(as_of) // 1000))]),
            ),
        )
        positions = await in_worker(read_positions, rows, number)
        tickers = {text(row, "ticker", path) for row, path in paid}
        return _Subaccount(
            balance,
            value,
            {position.key: position for position in positions.values()},
            frozenset((ticker, number) for ticker in tickers),
        )

    def _paid_since(self, as_of: int) -> int:
        """The time (ms) from which on settlements are fetched: a market may open and settle between two fetches."""
        known_until = self._complete_until or self.importer.known_until() or as_of
        return max(0, min(known_until, as_of) - _OVERLAP_MS)

    async def _balance(self, subaccount: int) -> tuple[Decimal, Decimal | None]:
        """Cash, and Kalshi's value of the positions where it gives one."""
        answer = await self._api.get(BALANCE, [("subaccount", str(subaccount))])
        path = where(BALANCE)
        return dollars(answer, "balance", path), optional_dollars(answer, "portfolio_value", path)

    async def _markets(self, tickers: Iterable[str]) -> list[Row]:
        """The markets of the tickers, fetched in batches, a few at a time."""
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def ask(batch: str) -> list[Row]:
            async with places:
                return await self._api.rows(MARKETS, "markets", [("tickers", batch)])

        batches = await together(*map(ask, ticker_batches(sorted(tickers))))
        return [row for batch in batches for row in batch]


def _notes(unexplained: Iterable[Position]) -> tuple[str, ...]:
    """Which markets keep their last known figures, the first few by name."""
    tickers = sorted({position.ticker for position in unexplained})
    if not tickers:
        return ()
    more = f" and {len(tickers) - _NAMED} more" if len(tickers) > _NAMED else ""
    named = ", ".join(tickers[:_NAMED])
    return (f"last known figures of {named}{more}: no longer listed as unsettled, and not yet found as settled",)
