"""Reads the account's lists of fills and settlements into the ledger, page by page, in bounded memory.

An upstream lists the newest facts first, so the newest known fact does not mean that those before it are known: a list
is read from its newest row to its oldest, and how far that went is stored with the facts. What was interrupted, by a
failure or a kill, goes on where it stopped; what is newer is read by the next walk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol, cast

from loguru import logger

from pnl_backend.domain.ledger_facts import DatedKind, FactList, FactPage, Fill, Settlement, Walk
from pnl_backend.domain.readings import Progress
from pnl_backend.domain.times import HOUR_MS, iso
from pnl_backend.ledger.sql.facts import Facts

OVERLAP_MS = HOUR_MS
"""A list is read again for this time beyond what is known, because an upstream may publish a fact late."""

ARCHIVE_EVERY_MS = 24 * HOUR_MS
"""Time between two reads of an archived list."""

BATCH = 500
"""Facts a transaction, so that snapshots can be written in between."""

PAUSE = 0.1
"""Seconds between two pages: with the polls beside them they stay below the 20 requests a second of a basic account."""

SLICE = 2.0
"""Seconds of reading, after which other work of the bookkeeping may run."""

LOG_EVERY = 10.0
"""Seconds between two log lines of a long import."""


class History(Protocol):
    """The dated history of the account; both methods raise FetchError."""

    async def lists(self) -> Sequence[FactList]:
        """The lists there are; an archived list after the live one of the same facts."""

    def pages(self, listed: FactList, *, since: int | None = None, until: int | None = None) -> AsyncIterator[FactPage]:
        """The pages of a list, newest first, from `until` back to `since` (ms)."""


OnRecorded = Callable[[DatedKind, Sequence[str]], Awaitable[None]]


class TradeImport:
    """Keeps the ledger's fills and settlements up to date; `run` is called at intervals.

    `on_recorded(kind, tickers)` is called with the markets of facts that are new. `clock` gives s since the epoch.
    """

    def __init__(
        self,
        history: History,
        facts: Facts,
        on_recorded: OnRecorded,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._history = history
        self._facts = facts
        self._on_recorded = on_recorded
        self._clock = clock
        self._monotonic = monotonic
        self._unfinished: dict[str, Walk] = {}
        self._open: dict[str, AsyncGenerator[FactPage, None]] = {}
        self._with_archive = False
        self._logged = float("-inf")
        self.subaccounts: frozenset[int] = frozenset((0,))
        """Those that counted at the last run."""
        self.complete = False
        """Whether each list has been read back to its beginning."""
        self.finished = True
        """Whether the last run read all that there was; if not, another run continues it."""

    @property
    def importing(self) -> Progress | None:
        """The first import of the history while it goes on, with the rows read so far; None when it is done."""
        first = [walk for walk in self._unfinished.values() if walk.complete_to is None]
        if self.complete or not first:
            return None
        return Progress("fills and settlements", sum(walk.rows for walk in first))

    def include_archive(self) -> None:
        """Read the archived lists at the next run too, even if they are not due."""
        self._with_archive = True

    async def run(self) -> None:
        """Continue every list that is due, for `SLICE` seconds at most; raises FetchError and StoreError."""
        end = self._monotonic() + SLICE
        self.finished, with_archive = False, self._with_archive
        complete = True
        lists = await self._history.lists()
        self.subaccounts = frozenset(listed.subaccount for listed in lists)
        for listed in lists:
            walk = await self._facts.walks.load(listed.name)
            if self._is_due(listed, walk) or (listed.archived and with_archive):
                walk, at_end = await self._go_on(listed, walk, end)
                if not at_end:
                    return
            complete = complete and walk.complete_to is not None
        if complete and not self.complete:
            logger.info("All fills and settlements of the account are in the ledger")
        self.complete, self.finished = complete, True
        self._with_archive = self._with_archive and not with_archive

    async def close(self) -> None:
        """End the requests that are open."""
        for name in list(self._open):
            await self._drop(name)

    def _is_due(self, listed: FactList, walk: Walk) -> bool:
        if not listed.archived or walk.finished_at is None or walk.bottom is not None:
            return True
        return self._now() >= walk.finished_at + ARCHIVE_EVERY_MS

    async def _go_on(self, listed: FactList, walk: Walk, end: float) -> tuple[Walk, bool]:
        """Read pages until the list's end (True) or the time `end` (False)."""
        self._unfinished[listed.name] = walk
        new: list[str] = []
        try:
            async for page in self._pages(listed, walk):
                await self._add(listed.kind, page.facts, new)
                walk = _advanced(walk, page.facts)
                if walk.bottom is not None:
                    await self._facts.walks.save(walk)
                self._unfinished[listed.name] = walk
                if page.more and self._monotonic() >= end:
                    self._report(listed, walk)
                    return walk, False
                if page.more:
                    await asyncio.sleep(PAUSE)
        except BaseException:
            await self._drop(listed.name)
            raise
        finally:
            if new:
                await self._on_recorded(listed.kind, list(dict.fromkeys(new)))
        return await self._finish(listed, walk), True

    def _pages(self, listed: FactList, walk: Walk) -> AsyncIterator[FactPage]:
        """The pages that are left; an open request goes on, another begins where the walk stopped."""
        if listed.name not in self._open:
            since = None if walk.complete_to is None else max(0, walk.complete_to - OVERLAP_MS)
            until = None if walk.bottom is None else walk.bottom + OVERLAP_MS
            pages = self._history.pages(listed, since=since, until=until)
            self._open[listed.name] = cast(AsyncGenerator[FactPage, None], pages)
        return self._open[listed.name]

    async def _finish(self, listed: FactList, walk: Walk) -> Walk:
        await self._drop(listed.name)
        if walk.complete_to is None:
            logger.info("Imported {}: {} rows", listed.name, walk.rows)
        known = max(walk.top or 0, walk.complete_to or 0)
        done = Walk(walk.name, complete_to=known, finished_at=self._now())
        await self._facts.walks.save(done)
        self._unfinished.pop(listed.name, None)
        return done

    async def _drop(self, name: str) -> None:
        pages = self._open.pop(name, None)
        if pages is not None:
            await pages.aclose()

    async def _add(self, kind: DatedKind, facts: Sequence[Fill] | Sequence[Settlement], new: list[str]) -> None:
        """Store a page; the tickers of what is new are added to `new`."""
        for start in range(0, len(facts), BATCH):
            batch = facts[start : start + BATCH]
            if kind == "fill":
                added: Sequence[Fill | Settlement] = await self._facts.add_fills(cast(Sequence[Fill], batch))
            else:
                added = await self._facts.add_settlements(cast(Sequence[Settlement], batch))
            new += [fact.ticker for fact in added]

    def _report(self, listed: FactList, walk: Walk) -> None:
        if walk.bottom is not None and self._monotonic() >= self._logged + LOG_EVERY:
            self._logged = self._monotonic()
            logger.info("Importing {}: {} rows, back to {}", listed.name, walk.rows, iso(walk.bottom))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _advanced(walk: Walk, facts: Sequence[Fill] | Sequence[Settlement]) -> Walk:
    """The walk after these facts; times that are estimates do not count."""
    times = [fact.at for fact in facts if not (isinstance(fact, Fill) and fact.time_estimated)]
    tops = [at for at in (walk.top, *times) if at is not None]
    bottoms = [at for at in (walk.bottom, *times) if at is not None]
    return replace(walk, top=max(tops, default=None), bottom=min(bottoms, default=None), rows=walk.rows + len(facts))
