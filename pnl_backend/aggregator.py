"""The loop: read all sources at once, compute, commit, publish; ticks that do not drift.

Committed before published: what any client has seen is in the ledger. While the ledger cannot be written, snapshots
are still published, marked `stored: false`; they are written first as soon as the ledger can be written again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend import backlog
from pnl_backend.domain.attribution import AgentRules
from pnl_backend.domain.classic import CLASSIC, KALSHI
from pnl_backend.domain.day_baseline import DayBaseline
from pnl_backend.domain.lines import Accounting, Memo
from pnl_backend.domain.readings import KalshiPortfolio, Position, Reading, Readings, SourceName
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot, Verified, compute
from pnl_backend.errors import Fenced
from pnl_backend.wire.views import from_record, to_record


class Source(Protocol):
    """A guarded fetcher: never raises, never waits longer than `patience` seconds."""

    async def read(self, patience: float | None = None) -> Reading[Any]: ...


class Days(Protocol):
    """What the measure of a business day is read from."""

    async def latest(self) -> Record | None: ...

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None: ...

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None: ...


class Ledger(Days, backlog.Ledger, Protocol):
    """What the loop uses of the store."""

    @property
    def epoch(self) -> str: ...

    @property
    def last_seq(self) -> int: ...

    @property
    def restated_to(self) -> int: ...


class Publisher(Protocol):
    """What the loop uses of the hub."""

    def restore(self, record: Record) -> None: ...

    async def publish(self, snapshot: Snapshot, record: Record) -> None: ...

    async def stream_error(self) -> None: ...


class Observer(Protocol):
    """Receives what happens in a tick; stages are `fetch`, `compute`, `commit`, `relay`, `publish`, in seconds."""

    def stage(self, name: str, seconds: float) -> None: ...

    def tick(self, snapshot: Snapshot, seconds: float) -> None: ...

    def tick_failed(self) -> None: ...

    def unstored(self, waiting: int) -> None: ...


class Aggregator:
    """One P&L every `interval` seconds. `patience` is how long a tick waits for a slow source, in seconds.

    `sources` are read at each tick and counted by their `accounting`, in its order; both have the same names.
    `verified()` says by source whether its figures were derived a second time. A day is measured against a complete
    snapshot, one with a reading of each of the `configured` sources. `restates` is given each new snapshot and the last
    complete one before, and returns whether the ledger was restated by it. `relay` passes a snapshot on to other nodes
    before it is published; its second argument says whether the ledger has it. `on_fenced` is called with the reason
    when another node leads; no tick follows.
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
        relay: Callable[[Record, bool], Awaitable[None]] | None = None,
        on_fenced: Callable[[str], None] = lambda _: None,
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
        self._relay = relay
        self._on_fenced = on_fenced
        self._rules = rules or AgentRules()
        self._simulated = simulated
        self._verified = verified
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._seq = 0
        self._backlog = backlog.Backlog(ledger, self._report_unstored)
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
        return self._backlog.unstored

    async def restore(self) -> bool:
        """Continue where the last run stopped and publish its last snapshot; False when there is none."""
        self._seq = self._ledger.last_seq
        latest = await restore_day(self._day, self._ledger, self._configured, int(self._clock() * 1000))
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
            snapshot, record = await self._backlog.commit(snapshot, record, _positions(readings[KALSHI]))
        if self._relay is not None:
            await self._pass_on(self._relay, record, stored=snapshot.stored)
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
        except Fenced as error:
            self._stopping.set()
            self._on_fenced(str(error))
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

    async def _pass_on(self, relay: Callable[[Record, bool], Awaitable[None]], record: Record, *, stored: bool) -> None:
        """Raises the relay's error; a snapshot that nobody else has then counts as never made."""
        try:
            with self._stage("relay"):
                await relay(record, stored)
        except Exception:
            if not stored:
                self._backlog.withdraw()
            raise

    def _report_unstored(self, waiting: int) -> None:
        if self._observer:
            self._observer.unstored(waiting)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Report how long the block takes, unless it fails."""
        began = self._monotonic()
        yield
        if self._observer:
            self._observer.stage(name, self._monotonic() - began)


async def restore_day(day: DayBaseline, ledger: Days, configured: Collection[str], now: int) -> Record | None:
    """Let `day` begin at `now` (ms) with what the ledger has of it; the newest record."""
    start = day.begin(now)
    previous = await ledger.last_complete_before(start, configured)
    first = None if previous else await ledger.first_complete(start, configured)
    latest = await ledger.latest()
    last = await ledger.last_complete_before(latest.at + 1, configured) if latest else None
    day.restore(previous=_snapshot(previous), first=_snapshot(first), latest=_snapshot(last))
    return latest


def _positions(reading: Reading[KalshiPortfolio]) -> tuple[Position, ...]:
    """The positions to store; a kept reading would set markets back that have settled since."""
    return reading.value.positions if reading.value is not None and reading.status == "live" else ()


def _snapshot(record: Record | None) -> Snapshot | None:
    return from_record(record) if record else None
