"""Builds and opens everything that computes and stores figures: ledger, cache, sources, hub, aggregator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast
from zoneinfo import ZoneInfo

import aiohttp

from pnl_backend import __version__
from pnl_backend.aggregator import Aggregator
from pnl_backend.assembly.adapters import Breakers, TickWatch, TimedLedger, fetch_outcome
from pnl_backend.assembly.books import Books
from pnl_backend.assembly.guards import (
    Guards,
    Source,
    account_checks,
    accounting,
    build_guards,
    configured_sources,
    shown_sources,
    simulated,
)
from pnl_backend.assembly.ledger_start import opened_ledger
from pnl_backend.cache.current import Current
from pnl_backend.cache.recent import Recent
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.domain.classic import KALSHI
from pnl_backend.ledger.first_import import FirstImport
from pnl_backend.ledger.protocol import Ledger
from pnl_backend.ledger.upkeep import Upkeep
from pnl_backend.ops.health import Part
from pnl_backend.ops.metrics import Metrics
from pnl_backend.settings.model import Settings
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.source_type import Setup, Unconfigured
from pnl_backend.stream.hub import Hub

DEMO_HISTORY = timedelta(days=30)
"""The demo's Anthropic spend begins this long before the first run, so that a new user sees a month of figures."""

FIRST_PATIENCE = 1.5
"""Seconds that a tick waits for a slow upstream at most, because listeners start after the first tick."""

STALE_TICKS, LEAST_STALE = 3, 5.0
"""After this many intervals without an update, and this many seconds at least, no figure is shown as live."""


@dataclass(frozen=True, slots=True)
class Core:
    """The open parts that computing and storing need; transports read from them."""

    settings: Settings
    store: Ledger
    cache: TieredCache
    guards: Guards
    current: Current
    recent: Recent
    hub: Hub
    books: Books
    aggregator: Aggregator
    breakers: Breakers
    metrics: Metrics
    watch: TickWatch
    integrity: Callable[[], Part]


async def open_core(stack: AsyncExitStack, settings: Settings) -> Core:
    """Open every part; `stack` closes them in reverse order."""
    metrics = Metrics(version=__version__)
    store, integrity = await stack.enter_async_context(
        opened_ledger(
            settings.database,
            backup_dir=settings.backup_dir,
            origin="demo" if settings.demo_mode else "live",
            synchronous=settings.db_synchronous,
            timezone=settings.business_timezone,
        )
    )
    cache = await _open_cache(stack, settings, metrics)
    sources, guards, books = await _guards(stack, settings, store, cache, metrics)
    hub = Hub(store, stale_after=max(LEAST_STALE, STALE_TICKS * settings.update_interval_ms / 1000))
    recent = Recent(cache, TimedLedger(store, metrics.ledger_query))
    current = Current(cache, hub)
    for sink in (current, recent):
        hub.attach(sink)
        stack.push_async_callback(sink.close)

    async def invalidate(fact: str, names: str) -> None:
        recent.invalidate()
        await current.invalidate(f"{fact} {names}")

    books.on_recorded(invalidate)
    watch = TickWatch(metrics, recent.unstored)
    aggregator = _aggregator(settings, sources, books, guards, store=store, hub=hub, watch=watch)
    breakers = Breakers(
        guards,
        threshold=settings.circuit_breaker_failure_threshold,
        reset_timeout_ms=settings.circuit_breaker_reset_timeout,
    )
    return Core(
        settings, store, cache, guards, current, recent, hub, books, aggregator, breakers, metrics, watch, integrity
    )


async def _open_cache(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> TieredCache:
    cache = await open_cache(
        redis_url=settings.redis,
        sqlite_path=settings.database.with_name(f"{settings.database.stem}-cache.db"),
        default_ttl=settings.cache_ttl / 1000,
        namespace="demo" if settings.demo_mode else "live",
        on_call=metrics.cache_call,
    )
    stack.push_async_callback(cache.close)
    return cache


def _aggregator(
    settings: Settings,
    sources: Sequence[Source],
    books: Books,
    guards: Guards,
    *,
    store: Ledger,
    hub: Hub,
    watch: TickWatch,
) -> Aggregator:
    interval = settings.update_interval_ms / 1000
    return Aggregator(
        sources=books.sources(guards),
        accounting=accounting(sources),
        ledger=store,
        publisher=hub,
        interval=interval,
        patience=min(settings.fetch_timeout_ms / 1000, interval / 2, FIRST_PATIENCE),
        zone=ZoneInfo(settings.business_timezone),
        configured=configured_sources(settings),
        rules=settings.agent_rules,
        simulated=settings.demo_mode,
        verified=books.verified,
        observer=watch,
        restates=FirstImport(store).restates,
    )


async def _guards(
    stack: AsyncExitStack, settings: Settings, store: Ledger, cache: TieredCache, metrics: Metrics
) -> tuple[list[Source], Guards, Books]:
    since = settings.pnl_since or store.first_run
    if settings.demo_mode:
        sources = await stack.enter_async_context(simulated(settings))
        since = settings.pnl_since or store.first_run - DEMO_HISTORY
        await store.forget_account()
    else:
        sources = shown_sources(settings)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
    by_api_key = bool(settings.agent_rules.api_keys)
    setup = Setup(client, since=since, closed_days=store, by_api_key=by_api_key, markets=store.markets)
    checks = account_checks(sources, store.accounts)
    fetchers = {source.name: source.build(replace(setup, identity=checks[source.name])) for source in sources}
    guards = build_guards(sources, fetchers, cache, settings, checks=checks, on_outcome=fetch_outcome(metrics))
    for guard in guards:
        stack.push_async_callback(guard.close)
    found = fetchers[KALSHI]  # the ledger's fills, settlements and transfers are those of one trading account
    account = None if isinstance(found, Unconfigured) else cast(KalshiFetcher, found)
    trades, importer = (None, None) if account is None else (account.history, account.importer)
    tolerance = settings.reconciliation_tolerance
    return sources, guards, Books(store, metrics, trades, _upkeep(settings, store), tolerance, importer=importer)


def _upkeep(settings: Settings, store: Ledger) -> Upkeep:
    return Upkeep(
        store,
        path=settings.database,
        retention_days=settings.retention_days,
        backup_dir=settings.backup_dir,
        backup_keep_days=settings.backup_keep_days,
    )
