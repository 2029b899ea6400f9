"""A served API with simple, real collaborators: one computed snapshot, a ledger in a list, breakers in a dict."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestClient

from pnl_backend.access.keys import Keys
from pnl_backend.access.wrongkeys import Authenticator
from pnl_backend.domain.readings import (
    AnthropicSpend,
    CostRow,
    Deal,
    KalshiPortfolio,
    Position,
    Reading,
    Revenue,
)
from pnl_backend.domain.record import Record, Restatement
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import iso
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports, Upgrade
from pnl_backend.http.runner import ApiRunner
from pnl_backend.wire import operations
from pnl_backend.wire.history import HistoryRow, Resolution
from pnl_backend.wire.ledger_feed import ledger_figures
from pnl_backend.wire.message import encode
from pnl_backend.wire.refusals import NotFound
from pnl_backend.wire.views import breakdown_json, period_view, to_record
from tests.support.snapshots import computed, taken
from tests.waiting import PATIENCE

STEP_MS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}
NOW = 1_772_058_240_000
STEP = 5000
READ_KEY = "read-key-for-tests-0123456789abcdef"
ADMIN_KEY = "admin-key-for-tests-0123456789abcde"
READ = {"X-API-Key": READ_KEY}
ADMIN = {"X-API-Key": ADMIN_KEY}


def snapshot_at(seq: int, at: int) -> Snapshot:
    """A snapshot whose net P&L rises by a dollar with each number."""
    position = Position(
        "KXTEST-1", Decimal(10), Decimal("4.00"), Decimal(500 + seq), Decimal("20.25"), Decimal("0.50"), "bid"
    )
    spend = AnthropicSpend(
        since=date(2026, 2, 1),
        today=date(2026, 2, 25),
        rows=(
            CostRow(date(2026, 2, 24), "claude-opus-4-1", None, Decimal(100)),
            CostRow(date(2026, 2, 25), "claude-sonnet-4-5", "wrkspc_1", Decimal("5.25")),
        ),
    )
    deal = Deal("d1", "Website", Decimal(1000), "recognized", at - 1000)
    readings = taken(
        Reading("kalshi", KalshiPortfolio(Decimal(10_000), (position,)), at, at, "live"),
        Reading("anthropic", spend, at - 40_000, at - 40_000, "redis", "the source timed out"),
        Reading("johns", Revenue(Decimal(2000), Decimal(1000), Decimal(50), (deal,)), at, at, "live"),
    )
    return computed(readings, epoch="k3v9", seq=seq, at=at)


@dataclass
class Ledger:
    """Records in a list, and the rows that follow from them; `fails` is raised by every read."""

    records: list[Record] = field(default_factory=list)
    fails: Exception | None = None
    breaks_after: int | None = None

    restatements: Sequence[Restatement] = ()

    async def newest(self, limit: int) -> Sequence[Record]:
        self._check()
        return self.records[-limit:]

    async def history(
        self, start: int, end: int, resolution: Resolution, *, limit: int | None = None
    ) -> Sequence[HistoryRow]:
        self._check()
        rows = self._rows(start, end, resolution)
        return rows if limit is None else rows[-limit:]

    async def export(self, start: int, end: int, resolution: Resolution) -> AsyncIterator[Sequence[HistoryRow]]:
        self._check()
        rows = self._rows(start, end, resolution)
        for sent, i in enumerate(range(0, len(rows), 7)):
            if sent == self.breaks_after:
                raise OSError("the disk went away")
            yield rows[i : i + 7]

    def _check(self) -> None:
        if self.fails is not None:
            raise self.fails

    def _rows(self, start: int, end: int, resolution: Resolution) -> list[HistoryRow]:
        step = STEP_MS.get(resolution, 1)
        rows: dict[int, list[Record]] = {}
        for record in self.records:
            if start <= record.at <= end:
                rows.setdefault(record.at - record.at % step, []).append(record)
        return [self._row(at, held) for at, held in rows.items()]

    @staticmethod
    def _row(at: int, held: list[Record]) -> HistoryRow:
        nets = [record.net_cents / 100 for record in held]
        last = held[-1]
        return HistoryRow(
            timestamp=at,
            netPnL=nets[-1],
            kalshiPnL=last.kalshi_cents / 100,
            costs=last.costs_cents / 100,
            revenue=last.revenue_cents / 100,
            open=nets[0],
            high=max(nets),
            low=min(nets),
            close=nets[-1],
            count=len(nets),
        )


@dataclass
class Breakers:
    state: dict[str, Any] = field(
        default_factory=lambda: {"kalshi": "OPEN", "anthropic": "CLOSED", "johns_revenue": "OPEN"}
    )

    def status(self) -> operations.Breakers:
        services = {
            name: operations.BreakerState(
                state=state,
                failureCount=5 if state == "OPEN" else 0,
                lastFailureTime=NOW - 1000 if state == "OPEN" else None,
                lastSuccessTime=NOW - 60_000,
                nextAttemptTime=NOW + 59_000 if state == "OPEN" else None,
            )
            for name, state in self.state.items()
        }
        return operations.Breakers(iso(NOW), services, operations.BreakerConfig(5, 60_000))

    async def reset(self, service: str | None = None) -> Sequence[str]:
        if service is not None and service not in self.state:
            raise NotFound(f"no service named {service!r}")
        names = list(self.state) if service is None else [service]
        self.state.update(dict.fromkeys(names, "CLOSED"))
        return names


@dataclass
class Cache:
    entries: int = 3

    def stats(self) -> operations.CacheStats:
        counts: dict[str, Any] = {"hits": 80, "misses": 20, "sets": 5, "deletes": 1, "errors": 0}
        tier = operations.TierStats(**counts, p50Ms=0.01, p99Ms=0.2, size=self.entries, status="connected")
        return operations.CacheStats(
            **counts,
            total=100,
            hitRate="80.00%",
            processCacheSize=self.entries,
            timestamp=iso(NOW),
            tiers=operations.TiersStats(tier, tier, tier, tier),
            keys={},
        )

    async def clear(self) -> None:
        self.entries = 0


@dataclass
class Health:
    healthy: bool = True
    state: operations.Readiness = "ready"

    def report(self, *, keyed: bool) -> operations.Health:
        cache = operations.CacheServices("healthy", "disabled", "connected" if self.healthy else "down")
        return operations.Health(
            status="healthy" if self.healthy else "unhealthy",
            timestamp=iso(NOW),
            uptime=12.5,
            environment="test",
            services=operations.HealthServices(cache, "running"),
            demo=False,
            degraded=[],
            parts={},
        )

    def brief(self, *, keyed: bool) -> operations.BriefHealth:
        return operations.BriefHealth(
            status="ok",
            timestamp=NOW,
            connectedClients=2,
            cacheStats=operations.BriefCacheStats(hits=80, misses=20, total=100, hitRate="80.00%"),
            uptime=12.5,
            businessTimezone="UTC",
            updateIntervalMs=STEP,
        )

    def readiness(self) -> operations.Probe:
        return operations.Probe(self.state)


class Metrics:
    def render(self) -> tuple[bytes, str]:
        return b"pnl_ticks_total 1\n", "text/plain; version=1.0.0; charset=utf-8"


class House:
    """The collaborators of one served API, at hand for a test to bend."""

    def __init__(self, *, records: int = 20, upgrade: Upgrade | None = None) -> None:
        self.snapshots = [snapshot_at(i + 1, NOW - (records - 1 - i) * STEP) for i in range(records)]
        self.ledger = Ledger([to_record(snapshot) for snapshot in self.snapshots])
        self.breakers, self.cache, self.health = Breakers(), Cache(), Health()
        self.fails: Exception | None = None
        self.ports = Ports(
            latest=self,
            periods=self,
            history=self.ledger,
            breakers=self.breakers,
            cache=self.cache,
            health=self.health,
            metrics=Metrics(),
            upgrade=upgrade,
        )

    def describe_feeds(self, asyncapi: Mapping[str, Any]) -> None:
        self.ports = dataclasses.replace(self.ports, asyncapi=lambda: asyncapi)

    def json(self, view: str) -> bytes | None:
        if self.fails is not None:
            raise self.fails
        if not self.snapshots:
            return None
        newest = self.snapshots[-1]
        return {
            "snapshot": self.ledger.records[-1].data,
            "breakdown": breakdown_json(newest),
            "figures": encode(ledger_figures(newest)),
        }[view]

    async def snapshot(self, period: Any) -> tuple[bytes, bytes] | None:
        if not self.snapshots:
            return None
        newest, base = self.snapshots[-1], self.snapshots[0]
        return encode(period_view(newest, base, period)), encode(ledger_figures(newest, base))


def options(**changes: Any) -> HttpOptions:
    given: dict[str, Any] = {
        "now_ms": lambda: NOW,
        "rate_limit_per_minute": 0,
        **changes,
    }
    keys = given.pop("keys", None) or Keys(read=[READ_KEY], admin=[ADMIN_KEY])
    given.setdefault("authenticator", Authenticator(keys))
    return HttpOptions(**given)


Mount = Callable[[web.Application], None]
Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]
"""`tests/http/conftest.py::serve`."""


class ApiServer(BaseTestServer):
    """aiohttp's test server on the runner that production uses: it answers what is not HTTP, too."""

    def __init__(self, app: web.Application) -> None:
        super().__init__()
        self.app = app

    async def _make_runner(self, **_options: Any) -> ApiRunner:
        return ApiRunner(self.app, shutdown_timeout=1, now_ms=lambda: NOW)


async def exchange(port: int, request: bytes, *, until: bytes | None = None) -> bytes:
    """Send bytes and read until the server closes, or until some bytes were seen."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read() if until is None else reader.readuntil(until), PATIENCE)
    finally:
        writer.close()
