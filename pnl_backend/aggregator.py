"""The loop: read all sources at once, compute, commit, publish; ticks that do not drift.

Committed before published: what any client has seen is in the ledger. While the ledger cannot be written the feed goes
on, each such snapshot says so (`stored: false`), and what waits is written first as soon as the ledger works again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend.domain.attribution import AgentRules, SpendSums, summarise
from pnl_backend.domain.readings import (
    SOURCES,
    AnthropicSpend,
    KalshiPortfolio,
    Position,
    Reading,
    Readings,
    Revenue,
    SourceName,
)
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import AgedOut, Snapshot, compute
from pnl_backend.domain.times import business_date, day_start
from pnl_backend.errors import StoreError
from pnl_backend.wire.views import from_record, to_record

BACKLOG = 20_000  # a day of five-second ticks that could not be stored


class Source(Protocol):
    """A guarded fetcher: never raises, never waits longer than `patience` seconds."""

    async def read(self, patience: float | None = None) -> Reading[Any]: ...


class Ledger(Protocol):
    """What the loop asks of the store."""

    @property
    def epoch(self) -> str: ...

    @property
    def last_seq(self) -> int: ...

    async def append(self, record: Record, *, positions: Iterable[Position] = ()) -> None: ...

    async def latest(self) -> Record | None: ...

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None: ...

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None: ...

    def aged_out(self, tickers: Collection[str]) -> tuple[Decimal, Decimal]: ...


class Publisher(Protocol):
    """What the loop asks of the hub."""

    def restore(self, record: Record) -> None: ...

    async def publish(self, snapshot: Snapshot, record: Record) -> None: ...

    async def stream_error(self) -> None: ...


class Observer(Protocol):
    """What operators want to know of a tick; stages are `fetch`, `compute`, `commit`, `publish`, in seconds."""

    def stage(self, name: str, seconds: float) -> None: ...

    def tick(self, snapshot: Snapshot, seconds: float) -> None: ...

    def tick_failed(self) -> None: ...

    def unstored(self, waiting: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Sources:
    kalshi: Source
    anthropic: Source
    johns: Source


class Aggregator:
    """One P&L every `interval` seconds. `patience` is how long a tick waits for a slow source, in seconds.

    What a day is measured against is a complete snapshot: each of the `configured` sources has given a reading.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        ledger: Ledger,
        publisher: Publisher,
        interval: float,
        patience: float,
        zone: ZoneInfo,
        configured: Set[SourceName] = frozenset(SOURCES),
        rules: AgentRules | None = None,
        simulated: bool = False,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._ledger = ledger
        self._publisher = publisher
        self._interval = interval
        self._patience = patience
        self._zone = zone
        self._configured = configured
        self._rules = rules or AgentRules()
        self._simulated = simulated
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._seq = 0
        self._day: date | None = None
        self._latest: Snapshot | None = None
        self._complete: Snapshot | None = None
        self._previous: Snapshot | None = None
        self._baseline: Decimal | None = None
        self._backlog: deque[tuple[Record, tuple[Position, ...]]] = deque(maxlen=BACKLOG)
        self._dropped = 0
        self._failures = 0
        self._ticked = False
        self._summed: AnthropicSpend | None = None
        self._sums: SpendSums | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def previous_day(self) -> Snapshot | None:
        """The last complete snapshot before the business day began; None where there is none."""
        return self._previous

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def failures(self) -> int:
        """Ticks that failed since the last good one."""
        return self._failures

    @property
    def unstored(self) -> int:
        """Snapshots that were published and wait for the ledger to be writable, lost ones included."""
        return len(self._backlog) + self._dropped

    async def restore(self) -> bool:
        """Take up where the last run stopped and serve its last snapshot; False when there is none."""
        self._seq = self._ledger.last_seq
        now = self._now()
        self._day = business_date(now, self._zone)
        start = day_start(self._day, self._zone)
        before = await self._ledger.last_complete_before(start, self._configured)
        first = before or await self._ledger.first_complete(start, self._configured)
        self._previous = from_record(before) if before else None
        self._baseline = from_record(first).net_pnl if first else None
        latest = await self._ledger.latest()
        if latest is None:
            return False
        self._latest = from_record(latest)
        last = await self._ledger.last_complete_before(latest.at + 1, self._configured)
        self._complete = from_record(last) if last else None
        self._publisher.restore(latest)
        return True

    def start(self) -> None:
        """Begin ticking: at once when the newest snapshot is an old run's, else one interval after our own."""
        self._task = asyncio.create_task(self._run(), name="aggregator")

    async def stop(self) -> None:
        """Let the tick in hand commit, then end."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def tick(self) -> Snapshot:
        """Read, compute, commit, publish once; raises what went wrong."""
        began = self._monotonic()
        readings = await self._read()
        self._stage("fetch", began)
        at = self._now()
        await self._turn_day(at)
        mark = self._monotonic()
        snapshot = compute(
            readings,
            epoch=self._ledger.epoch,
            seq=self._seq + 1,
            at=at,
            baseline=self._baseline,
            aged_out=self._aged_out(readings.kalshi.value),
            rules=self._rules,
            sums=self._spend_sums(readings.anthropic.value),
            simulated=self._simulated,
        )
        record = to_record(snapshot)
        self._stage("compute", mark)
        mark = self._monotonic()
        snapshot, record = await self._commit(snapshot, record, readings.kalshi)
        self._stage("commit", mark)
        self._seq = snapshot.seq
        self._latest = snapshot
        self._ticked = True
        if snapshot.is_complete(self._configured):
            self._complete = snapshot
            if self._baseline is None:
                self._baseline = snapshot.net_pnl
        mark = self._monotonic()
        await self._publisher.publish(snapshot, record)
        self._stage("publish", mark)
        if self._observer:
            self._observer.tick(snapshot, self._monotonic() - began)
        return snapshot

    async def _run(self) -> None:
        """Tick on a grid of whole intervals from the start; a tick that overran skips the points that it missed."""
        origin = self._monotonic()
        fresh = self._ticked
        while not self._stopping.is_set():
            if not fresh:
                await self._guarded_tick()
            fresh = False
            elapsed = self._monotonic() - origin
            wait = self._interval - elapsed % self._interval
            try:
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _guarded_tick(self) -> None:
        try:
            await self.tick()
        except Exception as error:
            self._failures += 1
            if self._observer:
                self._observer.tick_failed()
            if self._failures == 1:
                logger.exception("updates have stopped: {}", error)
                await self._publisher.stream_error()
        else:
            if self._failures:
                logger.info("updates go on after {} failed ticks", self._failures)
                self._failures = 0

    async def _read(self) -> Readings:
        kalshi: Reading[KalshiPortfolio]
        anthropic: Reading[AnthropicSpend]
        johns: Reading[Revenue]
        kalshi, anthropic, johns = await asyncio.gather(
            self._sources.kalshi.read(self._patience),
            self._sources.anthropic.read(self._patience),
            self._sources.johns.read(self._patience),
        )
        return Readings(kalshi, anthropic, johns)

    async def _turn_day(self, at: int) -> None:
        """At the first tick of a business day, the last complete snapshot becomes what the day is measured against."""
        today = business_date(at, self._zone)
        if self._day is not None and today > self._day and self._complete is not None:
            self._previous = self._complete
            self._baseline = self._complete.net_pnl
        self._day = today if self._day is None else max(self._day, today)

    def _spend_sums(self, spend: AnthropicSpend | None) -> SpendSums | None:
        """Summed again only when the reading is a new one."""
        if spend is not self._summed:
            self._summed = spend
            self._sums = None if spend is None else summarise(spend.rows, self._rules)
        return self._sums

    def _aged_out(self, portfolio: KalshiPortfolio | None) -> AgedOut:
        if portfolio is None:
            return AgedOut()
        return AgedOut(*self._ledger.aged_out({position.ticker for position in portfolio.positions}))

    async def _commit(
        self, snapshot: Snapshot, record: Record, reading: Reading[KalshiPortfolio]
    ) -> tuple[Snapshot, Record]:
        positions = reading.value.positions if reading.value is not None else ()
        try:
            while self._backlog:
                waiting, held = self._backlog[0]
                await self._ledger.append(waiting, positions=held)
                self._backlog.popleft()
                if not self._backlog:
                    logger.info("the ledger can be written again; everything that waited is stored")
                    self._tell_unstored()
            await self._ledger.append(record, positions=positions)
        except StoreError as error:
            if not self._backlog:
                logger.error("the ledger cannot be written, the feed goes on unstored: {}", error)
            snapshot = replace(snapshot, stored=False)
            record = to_record(snapshot)
            self._dropped += len(self._backlog) == BACKLOG
            self._backlog.append((record, positions))
            self._tell_unstored()
        return snapshot, record

    def _tell_unstored(self) -> None:
        if self._observer:
            self._observer.unstored(self.unstored)

    def _stage(self, name: str, since: float) -> None:
        if self._observer:
            self._observer.stage(name, self._monotonic() - since)

    def _now(self) -> int:
        return int(self._clock() * 1000)
