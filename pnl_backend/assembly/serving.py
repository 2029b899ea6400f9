"""The serving part of a node: the ledger that it reads, the cache, the hub and the caches in front of REST."""

from __future__ import annotations

from collections.abc import Set
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pnl_backend.assembly.adapters import TimedLedger
from pnl_backend.cache.current import Current
from pnl_backend.cache.recent import Recent
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.domain.readings import SourceName
from pnl_backend.ledger.protocol import ReadLedger
from pnl_backend.ops.metrics import Metrics
from pnl_backend.settings.model import Settings
from pnl_backend.stream.hub import Hub

STALE_TICKS, LEAST_STALE = 3, 5.0
"""After this many intervals without an update, and this many seconds at least, no figure is shown as live."""


def stale_after(settings: Settings) -> float:
    """Seconds without an update after which nothing is shown as live, and a node of a cluster is not ready."""
    return max(LEAST_STALE, STALE_TICKS * settings.update_interval_ms / 1000)


@dataclass(frozen=True, slots=True)
class Serving:
    """What transports and REST read from. `configured` are the sources that are set up, where the figures are made."""

    settings: Settings
    ledger: ReadLedger
    cache: TieredCache
    current: Current
    recent: Recent
    hub: Hub
    metrics: Metrics
    configured: Set[SourceName]


async def open_serving(
    stack: AsyncExitStack, settings: Settings, metrics: Metrics, ledger: ReadLedger, configured: Set[SourceName]
) -> Serving:
    """Open the cache and build what reads; `stack` closes it."""
    cache = await open_cache(
        redis_url=settings.redis,
        sqlite_path=settings.database.with_name(f"{settings.database.stem}-cache.db"),
        default_ttl=settings.cache_ttl / 1000,
        namespace="demo" if settings.demo_mode else "live",
        on_call=metrics.cache_call,
    )
    stack.push_async_callback(cache.close)
    hub = Hub(ledger, stale_after=stale_after(settings), burst_within=settings.update_interval_ms / 2000)
    recent = Recent(cache, TimedLedger(ledger, metrics.ledger_query))
    current = Current(cache, hub)
    for sink in (current, recent):
        hub.attach(sink)
        stack.push_async_callback(sink.close)
    return Serving(settings, ledger, cache, current, recent, hub, metrics, configured)
