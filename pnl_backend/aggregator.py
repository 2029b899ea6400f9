"""The loop: read all sources at once, compute, commit, publish; ticks that do not drift.

Committed before published: what any client has seen is in the ledger. While the ledger cannot be written, snapshots
are still published, marked `stored: false`; they are written first as soon as the ledger can be written again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.domain.classic import CLASSIC, KALSHI
from pnl_backend.domain.day_baseline import DayBaseline
from pnl_backend.domain.lines import Accounting, Memo
from pnl_backend.domain.readings import KalshiPortfolio, Position, Reading, Readings, SourceName
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot, Verified, compute
from pnl_backend.errors import StoreError
from pnl_backend.wire.views import from_record, to_record

BACKLOG = 20_000
"""Snapshots kept in memory while the ledger cannot be written: a day of five-second ticks."""


class Source(Protocol):
    """A guarded fetcher: never raises, never waits longer than `patience` seconds."""

    async def read(self, patience: float | None = None) -> Reading[Any]: ...


class Ledger(Protocol):
    """What the loop uses of the store."""

    @property
    def epoch(self) -> str: ...

    @property
    def last_seq(self) -> int: ...

    async def append(self, record: Record, *, positions: Iterable[Position] = ()) -> None: ...

    async def latest(self) -> Record | None: ...

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None: ...

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None: ...

    @property
    def restated_to(self) -> int: ...


class Publisher(Protocol):
    """What the loop uses of the hub."""

    def restore(self, record: Record) -> None: ...

    async def publish(self, snapshot: Snapshot, record: Record) -> None: ...

    async def stream_error(self) -> None: ...


class Observer(Protocol):
    """Receives what happens in a tick; stages are `fetch`, `compute`, `commit`, `publish`, in seconds."""

    def stage(self, name: str, seconds: float) -> None: ...

    def tick(self, snapshot: Snapshot, seconds: float) -> None: ...

    def tick_failed(self) -> None: ...

    def unstored(self, waiting: int) -> None: ...


class Aggregator:
    """One P&L every `interval` seconds. `patience` is how long a tick waits for a slow source, in seconds.

    `sources` are read at each tick and counted by their `accounting`, in its order; both have the same names.
    `verified()` says by source whether its figures were derived a second time. A day is measured against a complete
    snapshot, one with a reading of each of the `configured` sources. `restates` is given each new snapshot and the last
    complete one before, and returns whether the ledger was restated by it.
    """

    def __init__(
        self,
        *,
        sources: Mapping[SourceName, Source],
        accounting: Mapping[SourceName, Accounting[Any, Any]],
        ledger: Ledger,
        publisher: Publisher,
        interval: float,
        patience: float,
        zone: ZoneInfo,
        configured: Set[SourceName] = frozenset(CLASSIC),
        rules: AgentRules | None = None,
        simulated: bool = False,
        verified: Callable[[], Mapping[SourceName, Verified]] = dict,
        observer: Observer | None = None,
        restates: Callable[[Snapshot, Snapshot | None], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._accounting = accounting
        self._memo = Memo()
        self._ledger = ledger
        self._publisher = publisher
        self._interval = interval
        self._patience = patience
        self._configured = configured
        self._day = DayBaseline(zone, configured)
        self._restates = restates
        self._rules = rules or AgentRules()
        self._simulated = simulated
        self._verified = verified
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._seq = 0
        self._backlog: deque[tuple[Record, tuple[Position, ...]]] = deque(maxlen=BACKLOG)
        self._dropped = 0
        self._failures = 0
        self._ticked = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def previous_day(self) -> Snapshot | None:
        """The last complete snapshot before the business day began; None where there is none."""
        return self._day.previous

    @property
    def baseline(self) -> Snapshot | None:
        """What the business day is measured against: `previous_day`, else the day's first complete snapshot."""
        return self._day.base

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def failures(self) -> int:
        """Ticks that failed since the last good one."""
        return self._failures

    @property
    def unstored(self) -> int:
        """Published snapshots that are not in the ledger: those that wait to be written, and those given up."""
        return len(self._backlog) + self._dropped

    async def restore(self) -> bool:
        """Continue where the last run stopped and publish its last snapshot; False when there is none."""
        self._seq = self._ledger.last_seq
        start = self._day.begin(int(self._clock() * 1000))
        previous = await self._ledger.last_complete_before(start, self._configured)
        first = None if previous else await self._ledger.first_complete(start, self._configured)
        latest = await self._ledger.latest()
        last = await self._ledger.last_complete_before(latest.at + 1, self._configured) if latest else None
        self._day.restore(previous=_snapshot(previous), first=_snapshot(first), latest=_snapshot(last))
        if latest is None:
            return False
        self._publisher.restore(latest)
        return True

    def start(self) -> None:
        """Begin ticking: at once after a restored snapshot, one interval later when `tick` has run already."""
        self._task = asyncio.create_task(self._run(), name="aggregator")

    async def stop(self) -> None:
        """Let the current tick commit, then end."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def tick(self) -> Snapshot:
        """Read, compute, commit and publish once; raises any error of these steps."""
        began = self._monotonic()
        with self._stage("fetch"):
            readings = await self._read()
        at = int(self._clock() * 1000)
        self._day.advance(at)
        self._day.drop(self._ledger.restated_to)
        with self._stage("compute"):
            snapshot = self._compute(readings, at)
        if self._restates is not None and await self._restates(snapshot, self._day.latest):
            self._day.drop(self._ledger.restated_to)
            snapshot = self._compute(readings, at)
        record = to_record(snapshot)
        with self._stage("commit"):
            snapshot, record = await self._commit(snapshot, record, readings[KALSHI])
        self._seq = snapshot.seq
        self._ticked = True
        self._day.add(snapshot)
        with self._stage("publish"):
            await self._publisher.publish(snapshot, record)
        if self._observer:
            self._observer.tick(snapshot, self._monotonic() - began)
        return snapshot

    def _compute(self, readings: Readings, at: int) -> Snapshot:
        return compute(
            readings,
            self._accounting,
            epoch=self._ledger.epoch,
            seq=self._seq + 1,
            at=at,
            baseline=self._day.net_pnl,
            rules=self._rules,
            memo=self._memo,
            simulated=self._simulated,
            configured=self._configured,
            verified=self._verified(),
        )

    async def _run(self) -> None:
        """Tick on a grid of whole intervals from the start; a tick that overran skips the points that it missed."""
        origin = self._monotonic()
        fresh = self._ticked
        while not self._stopping.is_set():
            if not fresh:
                await self._guarded_tick()
            fresh = False
            wait = self._interval - (self._monotonic() - origin) % self._interval
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

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
                logger.info("updates resumed after {} failed ticks", self._failures)
                self._failures = 0

    async def _read(self) -> Readings:
        taken = await asyncio.gather(*(source.read(self._patience) for source in self._sources.values()))
        return dict(zip(self._sources, taken, strict=True))

    async def _commit(
        self, snapshot: Snapshot, record: Record, reading: Reading[KalshiPortfolio]
    ) -> tuple[Snapshot, Record]:
        # A kept reading would set markets back that have settled since.
        positions = reading.value.positions if reading.value is not None and reading.status == "live" else ()
        try:
            while self._backlog:
                waiting, held = self._backlog[0]
                await self._ledger.append(waiting, positions=held)
                self._backlog.popleft()
                if not self._backlog:
                    logger.info("the ledger can be written again; all waiting snapshots are stored")
                    self._report_unstored()
            await self._ledger.append(record, positions=positions)
        except StoreError as error:
            if not self._backlog:
                logger.error("the ledger cannot be written, updates go on without being stored: {}", error)
            snapshot = replace(snapshot, stored=False)
            record = to_record(snapshot)
            self._dropped += len(self._backlog) == BACKLOG
            self._backlog.append((record, positions))
            self._report_unstored()
        return snapshot, record

    def _report_unstored(self) -> None:
        if self._observer:
            self._observer.unstored(self.unstored)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Report how long the block takes, unless it fails."""
        began = self._monotonic()
        yield
        if self._observer:
            self._observer.stage(name, self._monotonic() - began)


def _snapshot(record: Record | None) -> Snapshot | None:
    return from_record(record) if record else None
