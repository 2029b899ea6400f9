"""A set-up for tests of the feeds: a real ledger, hub, engine and port, on which a test publishes any snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pnl_backend import engine
from pnl_backend.access.keys import Keys
from pnl_backend.access.wrongkeys import Authenticator
from pnl_backend.assembly.feeds import Feeds
from pnl_backend.assembly.socket_keys import SocketAuthenticator
from pnl_backend.domain.readings import AnthropicSpend, CostRow, KalshiPortfolio, Reading, Revenue
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.http.api import create_api
from pnl_backend.http.runner import ApiRunner
from pnl_backend.ledger.sqlite import Store
from pnl_backend.stream.dashboard import Dashboard
from pnl_backend.stream.hub import Hub
from pnl_backend.wire.views import to_record
from tests.http.support import House, options
from tests.support.snapshots import computed, taken

NOON = 1_772_020_800_000
"""2026-02-25T12:00:00Z"""
STEP = 5000


@dataclass
class Stage:
    """`publish` commits a snapshot and hands it to the hub, as the loop does."""

    path: Path
    store: Store
    hub: Hub
    feeds: Feeds
    port: int = 0
    now: int = NOON
    previous: Snapshot | None = None
    waiting: list[Record] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def newest(self) -> Snapshot:
        return self.hub.latest.snapshot

    async def publish(
        self, collected: int | str | Decimal, *, stored: bool = True, at: int | None = None, degraded: bool = False
    ) -> Snapshot:
        """One snapshot in which John collected this much (USD).

        `stored` False: the ledger could not be written; `degraded`: Kalshi has told nothing yet.
        """
        self.now = self.now + STEP if at is None else at
        seq = self.hub.latest.seq + 1 if self.hub.json("snapshot") is not None else 1
        snapshot = snapshot_of(self.store.epoch, seq, self.now, Decimal(collected), degraded=degraded)
        record = to_record(snapshot)
        self.waiting.append(record)
        if stored:
            for held in self.waiting:
                await self.store.append(held)
            self.waiting.clear()
        if self.hub.json("snapshot") is not None:
            await self.hub.publish(snapshot, record)
        else:
            self.hub.restore(record)
        return snapshot


def snapshot_of(epoch: str, seq: int, at: int, collected: Decimal, *, degraded: bool = False) -> Snapshot:
    row = CostRow(date(2026, 2, 25), "claude-sonnet-4-5", None, Decimal("5.25"))
    spend = AnthropicSpend(since=date(2026, 2, 1), today=date(2026, 2, 25), rows=(row,))
    readings = taken(
        Reading("kalshi", None, at, at, "fallback", "nothing yet")
        if degraded
        else Reading("kalshi", KalshiPortfolio(Decimal(10_000), ()), at, at, "live"),
        Reading("anthropic", spend, at, at, "live"),
        Reading("johns", Revenue(Decimal(9000), collected), at, at, "live"),
    )
    return computed(readings, epoch=epoch, seq=seq, at=at)


@asynccontextmanager
async def staged(path: Path, *, ring: int = 1000, degraded: bool = False, **config: Any) -> AsyncIterator[Stage]:
    """The feeds on a port of their own, over the ledger at `path`; its newest snapshot is shown, or a first one."""
    stage: Stage | None = None
    store = await Store.open(path, origin="live", clock=lambda: stage.now / 1000 if stage else NOON / 1000)
    hub = Hub(store, ring=ring)
    authenticator = Authenticator(Keys(open_read=True))
    dashboard = Dashboard(store, previous_day=lambda: stage.previous if stage else None, zone=ZoneInfo("UTC"))
    feeds = Feeds(
        hub,
        engine.EngineConfig(**config),
        authenticate=SocketAuthenticator(authenticator),
        dashboard=dashboard,
        secret=await store.secret(),
        recovery_window=120.0,
    )
    stage = Stage(path, store, hub, feeds)
    latest = await store.latest()
    if latest is not None:
        hub.restore(latest)
        stage.now = latest.at
    else:
        await stage.publish(1000, degraded=degraded)
    await dashboard.prepare(hub.latest)
    app = create_api(House().ports, options=options(authenticator=authenticator), extra=[feeds.route()])
    engine.attach(feeds.server, app)
    runner = ApiRunner(app, shutdown_timeout=1)
    await runner.setup()
    listener = await engine.listen(feeds.server, runner, host="127.0.0.1", port=0)
    stage.port = listener.port
    try:
        yield stage
    finally:
        await feeds.server.shutdown(1.0)
        await listener.close()
        await runner.cleanup()
        await store.close()
