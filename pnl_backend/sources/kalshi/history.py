"""Reads what happened on a Kalshi account: fills, settlements, deposits and withdrawals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from decimal import Decimal
from functools import partial

from pnl_backend.domain.ledger_facts import DatedKind, FactList, FactPage, Settlement, Transfer
from pnl_backend.domain.money import HUNDRED, ZERO
from pnl_backend.errors import UpstreamNotFound
from pnl_backend.sources.fields import text, whole
from pnl_backend.sources.kalshi.api import HISTORICAL_MARKETS, MARKETS, KalshiApi, Page, ticker_batches
from pnl_backend.sources.kalshi.facts import read_fills, read_settlements, read_transfers
from pnl_backend.sources.kalshi.positions import settlement_value
from pnl_backend.sources.kalshi.subaccounts import Subaccounts

FILLS, ARCHIVED_FILLS, SETTLEMENTS = "/portfolio/fills", "/historical/fills", "/portfolio/settlements"
MOVES = "/portfolio/subaccounts/transfers"
LIVE: tuple[DatedKind, ...] = ("fill", "settlement")
DEPOSITS, WITHDRAWALS = "/portfolio/deposits", "/portfolio/withdrawals"


class KalshiHistory:
    """The history of the account's `subaccounts`; every method raises FetchError. `clock` gives s since the epoch."""

    def __init__(
        self, api: KalshiApi, *, subaccounts: Subaccounts | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._subaccounts = subaccounts or Subaccounts(api)
        self._clock = clock

    async def lists(self) -> Sequence[FactList]:
        """Every list of dated facts. The archive comes last: what leaves a live list meanwhile is found there.

        Kalshi has no list of archived settlements.
        """
        numbers = await self._subaccounts.read()
        live = [FactList(kind, number) for number in numbers for kind in LIVE]
        return [*live, *(FactList("fill", number, archived=True) for number in numbers)]

    async def pages(
        self, listed: FactList, *, since: int | None = None, until: int | None = None
    ) -> AsyncIterator[FactPage]:
        """The pages of a list, newest first, from `until` back to `since` (ms, both to the second and included).

        A page is parsed on another thread: a thousand rows take longer than the event loop may wait.
        """
        fills = listed.kind == "fill"
        path = (ARCHIVED_FILLS if listed.archived else FILLS) if fills else SETTLEMENTS
        bounds = [("min_ts", since and since // 1000), ("max_ts", until and until // 1000 + 1)]
        # Positions are those of subaccount 0, while fills and settlements are of all of them unless one is named.
        params = [("subaccount", str(listed.subaccount)), *((name, str(at)) for name, at in bounds if at is not None)]
        read: Callable[..., FactPage] = partial(_read, listed, read_at=int(self._clock() * 1000))
        async for page in self._api.pages(path, f"{listed.kind}s", params):
            yield await asyncio.to_thread(read, page)

    async def settlements_of(self, ticker: str, subaccount: int) -> tuple[Settlement, ...]:
        """The settlements of one market as they are listed now: an outcome may have been corrected."""
        rows = await self._api.rows(SETTLEMENTS, "settlements", [("ticker", ticker), ("subaccount", str(subaccount))])
        return tuple(one for one in read_settlements(rows, subaccount=subaccount) if one.ticker == ticker)

    async def outcomes(self, tickers: Collection[str]) -> dict[str, Decimal]:
        """What a YES contract was worth, in USD, of those of the markets that have been settled."""
        found: dict[str, Decimal] = {}
        for path in (HISTORICAL_MARKETS, MARKETS):
            for batch in ticker_batches(sorted(set(tickers) - found.keys())):
                for row, at in await self._api.rows(path, "markets", [("tickers", batch)]):
                    value = settlement_value(row, at)
                    if value is not None:
                        found[text(row, "ticker", at)] = value
        return found

    async def moved(self) -> Decimal:
        """USD that came from subaccounts that do not count into those that do, less what went there."""
        if self._subaccounts.named is None:
            return ZERO
        counted = set(self._subaccounts.named)
        try:
            rows = await self._api.rows(MOVES, "transfers")
        except UpstreamNotFound:
            return ZERO
        total = 0
        for row, path in rows:
            source, target = (whole(row, f"{end}_subaccount", path, least=0) for end in ("from", "to"))
            amount = whole(row, "amount_cents", path, least=0)
            total += amount * ((target in counted) - (source in counted))
        return total / HUNDRED

    async def deposits(self) -> tuple[Transfer, ...]:
        """Every deposit, whatever became of it."""
        return read_transfers(await self._api.rows(DEPOSITS, "deposits", limit=None), "deposit")

    async def withdrawals(self) -> tuple[Transfer, ...]:
        """Every withdrawal, whatever became of it."""
        return read_transfers(await self._api.rows(WITHDRAWALS, "withdrawals", limit=None), "withdrawal")


def _read(listed: FactList, page: Page, *, read_at: int) -> FactPage:
    more = bool(page.cursor)
    if listed.kind == "fill":
        return FactPage(read_fills(page.rows, subaccount=listed.subaccount, read_at=read_at), more)
    return FactPage(read_settlements(page.rows, subaccount=listed.subaccount), more)
