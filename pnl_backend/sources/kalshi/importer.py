"""Reads the markets of an account that have settled: all once, again daily, and after an unexplained change of cash.

Kalshi lists settled markets under `/portfolio/positions`, and those of completed events some months later under
`/historical/positions` alone. Neither list promises an order, so each pass reads a whole list; what settles between
two passes is found by the fetcher.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from loguru import logger

from pnl_backend.domain.markets import ListRead
from pnl_backend.domain.readings import Position, Progress
from pnl_backend.domain.times import DAY_MS, HOUR_MS
from pnl_backend.errors import StoreError
from pnl_backend.sources.concurrent import in_worker
from pnl_backend.sources.kalshi.api import HISTORICAL_POSITIONS, POSITIONS, KalshiApi, Params
from pnl_backend.sources.kalshi.positions import Row, read_positions
from pnl_backend.sources.kalshi.subaccounts import Subaccounts
from pnl_backend.sources.markets import MarketStore

AGAIN_AFTER_MS = DAY_MS
"""After this time a list is read again."""

SOONEST_AGAIN = 5.0
SHARE = 0.02
"""A list is read again at the earliest after these seconds, and no more than this share of the time is spent on it."""

LAPSED_AFTER_MS = 7 * DAY_MS
"""A list that was last read longer ago than this leaves the account incomplete: settlements go to the archive."""

CURSOR_LASTS_MS = HOUR_MS
"""An older cursor is not used: Kalshi does not refuse one that it no longer has."""

PACE = 0.2
"""Seconds a page takes at least: an account may make 20 requests a second, and the polls need some."""

_LOG_EVERY_MS = 10_000


class MarketImporter:
    """Writes settled and archived markets of the `subaccounts` into `store`, page by page; `clock` in s."""

    def __init__(
        self,
        api: KalshiApi,
        store: MarketStore,
        subaccounts: Subaccounts,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._store = store
        self._subaccounts = subaccounts
        self._clock = clock
        self._monotonic = monotonic
        self._requested_at = 0
        self._doubted_at = 0
        self._next_again = monotonic()
        self._logged_at = 0
        self._unwritten = False
        self._reading = asyncio.Lock()

    def request(self) -> None:
        """Read every list again from now on: more has settled than is worth asking for one by one."""
        self._requested_at = self._now()

    def doubt(self) -> None:
        """Read every list again soon: cash moved as no known market did; an outcome was corrected perhaps."""
        self._doubted_at = self._now()

    def progress(self) -> Progress | None:
        """What is missing until every market is known, and rows so far; None if nothing is."""
        now = self._now()
        for name, _, _ in self._lists():
            read = self._store.list_read(name)
            if read is None or read.complete_at is None:
                return Progress(f"{_words(name)} markets", read.done if read is not None else 0)
            if read.complete_at < max(self._requested_at, now - LAPSED_AFTER_MS):
                return Progress(f"{_words(name)} markets", read.done if read.cursor else 0)
        return None

    def known_until(self) -> int | None:
        """Every market that settled before this time (ms) is known; None before the first whole pass."""
        reads = [self._store.list_read(name) for name, _, _ in self._lists()]
        times = [read.complete_at for read in reads if read is not None and read.complete_at is not None]
        return min(times) if len(times) == len(reads) else None

    async def read_due(self) -> None:
        """Read each list that is due, from where the last pass ended; one caller at a time. Raises FetchError."""
        async with self._reading:
            await self._read_due()

    async def _read_due(self) -> None:
        first = any(self._first(name) for name, _, _ in self._lists())
        began = self._monotonic()
        read = False
        for name, path, params in self._lists():
            while self._is_due(name):
                await self._pass(name, path, params)
                read = True
        if read:
            ended = self._monotonic()
            self._next_again = ended + max(SOONEST_AGAIN, (ended - began) / SHARE)
        if first:
            total = self._store.closed_except((), self._subaccounts.current)
            logger.info("Kalshi: the import is complete, {} markets of the account are known", total.count)

    def _lists(self) -> Iterator[tuple[str, str, Params]]:
        """Settled ones first: what moves to the archive meanwhile is found there."""
        for subaccount in self._subaccounts.current:
            of: list[tuple[str, str]] = [("subaccount", str(subaccount))]
            yield f"settled:{subaccount}", POSITIONS, [("settlement_status", "settled"), *of]
            yield f"archived:{subaccount}", HISTORICAL_POSITIONS, of

    def _first(self, name: str) -> bool:
        read = self._store.list_read(name)
        return read is None or read.complete_at is None

    def _is_due(self, name: str) -> bool:
        read = self._store.list_read(name)
        if read is None or read.complete_at is None or read.cursor:
            return True
        now, doubted_at = self._now(), self._doubted_at if self._monotonic() >= self._next_again else 0
        # A pass of the future was dated by a clock that has been put back since.
        return not max(self._requested_at, doubted_at, now - AGAIN_AFTER_MS) <= read.complete_at <= now

    async def _pass(self, name: str, path: str, params: Params) -> None:
        """Read one list to its end; each page is saved with the cursor of the next one."""
        now, last = self._now(), self._store.list_read(name)
        complete_at = last.complete_at if last else None
        read = ListRead(name, "", 0, now, now, complete_at)
        if last is not None and last.cursor and now - last.saved_at < CURSOR_LASTS_MS:
            read = last
        subaccount = int(name.rpartition(":")[2])
        async for page in self._api.pages(path, "market_positions", params, cursor=read.cursor):
            positions = await in_worker(_settled, page.rows, subaccount)
            ended = not page.cursor
            read = ListRead(
                name,
                page.cursor,
                read.done + len(positions),
                read.began_at,
                self._now(),
                read.began_at if ended else complete_at,
            )
            await self._save(positions, read)
            self._log(read)
            if not ended:
                await asyncio.sleep(PACE)

    async def _save(self, positions: Sequence[Position], read: ListRead) -> None:
        try:
            await self._store.save(positions, read)
        except StoreError as error:
            if not self._unwritten:
                logger.warning("Kalshi: imported markets count, but cannot be written yet: {}", error)
            self._unwritten = True
        else:
            self._unwritten = False

    def _log(self, read: ListRead) -> None:
        if self._first(read.name) and read.saved_at - self._logged_at >= _LOG_EVERY_MS:
            self._logged_at = read.saved_at
            logger.info("Kalshi: importing the account's history, {} {} markets so far", read.done, _words(read.name))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _settled(rows: Sequence[Row], subaccount: int) -> list[Position]:
    return list(read_positions(rows, subaccount, settled=True).values())


def _words(name: str) -> str:
    """`settled` or `archived`, with the subaccount where it is not the primary one."""
    kind, _, subaccount = name.partition(":")
    return kind if subaccount == "0" else f"{kind} (subaccount {subaccount})"
