"""Adapters between the parts: small objects that offer the interface one part needs and use another part to do so."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from pnl_backend.aggregator import Source
from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.day_baseline import comparable
from pnl_backend.domain.readings import Reading
from pnl_backend.domain.record import Record, Restatement
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import business_date, day_start, iso, month_start
from pnl_backend.ingest.guard import Outcome
from pnl_backend.ops.health import HealthMonitor, Part
from pnl_backend.ops.metrics import Metrics
from pnl_backend.wire import operations
from pnl_backend.wire.history import History, Resolution, Rows
from pnl_backend.wire.ledger_feed import ledger_figures
from pnl_backend.wire.message import encode
from pnl_backend.wire.models import Period
from pnl_backend.wire.refusals import NotFound
from pnl_backend.wire.views import from_record, period_view


class TimedLedger:
    """The ledger's answers to REST; `observe` is given the name of each query and its seconds, failed ones too."""

    def __init__(self, ledger: History, observe: Callable[[str, float], None]) -> None:
        self._ledger = ledger
        self._observe = observe
        self.export = ledger.export

    @property
    def restatements(self) -> Sequence[Restatement]:
        return self._ledger.restatements

    async def newest(self, limit: int, /) -> Sequence[Record]:
        with self._timed("newest"):
            return await self._ledger.newest(limit)

    async def history(self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None) -> Rows:
        with self._timed("range"):
            return await self._ledger.history(start, end, resolution, limit=limit)

    @contextmanager
    def _timed(self, query: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._observe(query, time.monotonic() - began)


class Guarded(Protocol):
    """What the breaker routes need of a guard."""

    service: str

    @property
    def account_changed(self) -> bool: ...

    def status(self) -> Any: ...

    def reset(self) -> None: ...


class Breakers:
    """The breakers of all sources under their service names, as the wire contract shows them."""

    def __init__(
        self,
        guards: Sequence[Guarded],
        *,
        threshold: int,
        reset_timeout_ms: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._guards = {guard.service: guard for guard in guards}
        self._config = operations.BreakerConfig(threshold, reset_timeout_ms)
        self._clock = clock

    def status(self) -> operations.Breakers:
        services = {name: operations.BreakerState(*astuple(guard.status())) for name, guard in self._guards.items()}
        return operations.Breakers(iso(int(self._clock() * 1000)), services, self._config)

    async def reset(self, service: str | None = None, /) -> list[str]:
        """Close one breaker or all; answers the names of those that were reset."""
        if service is not None and service not in self._guards:
            raise NotFound(f"Unknown service: {service[:64]} (known: {', '.join(self._guards)})")
        chosen = list(self._guards) if service is None else [service]
        for name in chosen:
            self._guards[name].reset()
        return chosen

    def states(self) -> dict[str, str]:
        """CLOSED, HALF_OPEN or OPEN by service."""
        return {name: guard.status().state for name, guard in self._guards.items()}

    def parts(self) -> dict[str, Callable[[], Part]]:
        """Each source as a part of the health report: degraded while its breaker is not closed."""
        return {name: partial(source_part, guard) for name, guard in self._guards.items()}


def source_part(guard: Guarded) -> Part:
    status = guard.status()
    if guard.account_changed:
        return Part("account_changed", ok=False, detail="another account than the ledger's answers, see the log")
    failing = status.state != "CLOSED" or status.failure_count > 0
    return Part("failing" if failing else "live", ok=not failing, detail=f"breaker {status.state}" if failing else None)


def restatements_part(restatements: Sequence[Restatement]) -> Part:
    """The published history as a part of the health report: restated is no fault, and it says since when and why."""
    if not restatements:
        return Part("as published")
    last = restatements[-1]
    return Part("restated", detail=f"up to {iso(last.at)} (snapshot {last.to_seq}): {last.source}: {last.reason}")


def store_part(health: Mapping[str, Any]) -> Part:
    waiting = f", {health['unstored']} snapshots are not stored" if health["unstored"] else ""
    lost = f"{health['lost']} stored snapshots are lost, see gaps in the ledger" if health["lost"] else None
    detail = f"{health['error']}{waiting}" if health["error"] else lost
    return Part(str(health["state"]), ok=health["state"] == "connected", detail=detail)


class TickWatch:
    """Reports each tick to the metrics and to health, and to `on_unstored` how many snapshots wait for the ledger."""

    def __init__(self, metrics: Metrics, on_unstored: Callable[[int], None]) -> None:
        self.health: HealthMonitor | None = None
        self._on_unstored = on_unstored
        self._metrics = metrics

    def stage(self, name: str, seconds: float) -> None:
        self._metrics.stage(name, seconds)

    def tick(self, snapshot: Snapshot, seconds: float) -> None:
        self._metrics.tick(snapshot, seconds)
        if self.health is not None:
            self.health.heartbeat()

    def tick_failed(self) -> None:
        self._metrics.tick_failed()

    def unstored(self, waiting: int) -> None:
        self._metrics.unstored(waiting)
        self._on_unstored(waiting)


def fetch_outcome(metrics: Metrics) -> Callable[[Outcome], None]:
    """What a guard calls after each fetch."""

    def note(outcome: Outcome) -> None:
        metrics.fetched(outcome.source, outcome.seconds, outcome.error.code if outcome.error else None)

    return note


class TappedSource:
    """A source as the loop reads it, with every reading passed on to `on_reading` as well."""

    def __init__(self, source: Source, on_reading: Callable[[Reading[Any]], None]) -> None:
        self._source = source
        self._on_reading = on_reading

    async def read(self, patience: float | None = None) -> Reading[Any]:
        reading = await self._source.read(patience)
        self._on_reading(reading)
        return reading


class Newest(Protocol):
    """What the periods need of the hub."""

    @property
    def latest(self) -> Any: ...


class Past(Protocol):
    """What the periods need of the store."""

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None: ...

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None: ...

    @property
    def restated_to(self) -> int: ...


class Periods:
    """The newest snapshot less the last complete one before a period began: each `configured` source is in both.

    Without one before, the period begins with the first complete snapshot in it. The day's base is the loop's own,
    which `dailyTrend` is measured against too; the month's is read from the ledger and kept for the month, unless
    snapshots are waiting to be written, one of which it may be.
    """

    def __init__(
        self,
        hub: Newest,
        store: Past,
        zone: ZoneInfo,
        *,
        baseline: Callable[[], Snapshot | None],
        configured: Collection[str] = CLASSIC,
    ) -> None:
        """`baseline` is what the business day is measured against; None before anything was complete."""
        self._hub = hub
        self._store = store
        self._zone = zone
        self._baseline = baseline
        self._configured = configured
        self._month: tuple[tuple[int, int], Snapshot | None] | None = None

    async def snapshot(self, period: Period, /) -> tuple[bytes, bytes]:
        """The snapshot and its ledger, both as JSON."""
        newest: Snapshot = self._hub.latest.now
        if period == "all":
            return encode(period_view(newest, None, period)), encode(ledger_figures(newest))
        today = business_date(newest.at, self._zone)
        begins = (day_start if period == "today" else month_start)(today, self._zone)
        found = self._baseline() if period == "today" else await self._of_month(newest, begins)
        base = comparable(found or newest, newest)
        return encode(period_view(newest, base, period, begins)), encode(ledger_figures(newest, base))

    async def _of_month(self, newest: Snapshot, start: int) -> Snapshot | None:
        key = start, self._store.restated_to
        if self._month is not None and self._month[0] == key:
            return self._month[1]
        today = self._baseline()
        if today is None or today.at < start or today.at >= day_start(business_date(newest.at, self._zone), self._zone):
            return today  # nothing complete of this month came before today
        record = await self._store.last_complete_before(start, self._configured)
        record = record or await self._store.first_complete(start, self._configured)
        base = from_record(record) if record else None
        if newest.stored:
            self._month = (key, base)
        return base
