"""The composition root: builds every part from the settings, opens them in order, closes them in reverse.

Order of start: ledger, cache, upstreams, hub, last snapshot, doors, loop, ready. Order of stop: not ready, clients
told, loop, doors, upstreams, cache, ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
from loguru import logger
from pydantic import SecretStr

from pnl_backend import __version__, engine
from pnl_backend.access.addresses import ClientAddresses, group
from pnl_backend.access.keys import Keys
from pnl_backend.access.wrongkeys import Authenticator
from pnl_backend.aggregator import Aggregator
from pnl_backend.assembly.adapters import (
    Breakers,
    Periods,
    TickWatch,
    TimedLedger,
    fetch_outcome,
    store_part,
)
from pnl_backend.assembly.books import Books
from pnl_backend.assembly.feeds import Feeds
from pnl_backend.assembly.guards import Credentials, Guards, build_fetchers, build_guards, configured_sources
from pnl_backend.assembly.ledger_start import opened_ledger
from pnl_backend.assembly.socket_keys import SocketAuthenticator
from pnl_backend.cache.current import Current
from pnl_backend.cache.recent import Recent
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.http.api import create_api
from pnl_backend.http.dashboard import dashboard_folder
from pnl_backend.http.listening import cannot_listen, url_of
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports
from pnl_backend.http.runner import ApiRunner
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.upkeep import Upkeep
from pnl_backend.ops import loop_lag
from pnl_backend.ops.health import Health, Part
from pnl_backend.ops.logging import logs_part
from pnl_backend.ops.metrics import Live, Metrics
from pnl_backend.settings.model import Settings
from pnl_backend.simulator import Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.stream.dashboard import Dashboard
from pnl_backend.stream.hub import Hub
from pnl_backend.wire.asyncapi import asyncapi

DEMO_HISTORY = timedelta(days=30)
"""The demo's Anthropic spend reaches back a month, so that a newcomer sees figures worth looking at."""

FIRST_PATIENCE = 1.5
"""Seconds that a tick waits for a slow upstream at most, so that the first one does not keep the doors closed."""

STALLED_TICKS = 6
"""So many intervals without an update, and a minute at least, are an outage."""


STALE_TICKS, LEAST_STALE = 3, 5.0
"""So many intervals without an update, and so many seconds at least, and nothing is called live any more."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server whose doors are open. `take_keys` opens and closes them by new settings' keys, live sockets included."""

    port: int
    url: str
    take_keys: Callable[[Settings], None]


@dataclass(frozen=True, slots=True)
class Core:
    """Everything behind the doors."""

    settings: Settings
    store: Store
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


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The server from its first file to its open port; leaving the block drains and closes everything."""
    async with AsyncExitStack() as stack:
        core = await _core(stack, settings)
        keys = _keys(settings)
        authenticator = Authenticator(keys, on_wrong=core.metrics.wrong_key)
        feeds, dashboard = await _feeds(core, authenticator)
        server = feeds.server
        keys.watch(lambda revoked: _close_revoked(server, revoked))
        health = _health(core, server)
        core.watch.health = health
        core.metrics.watch(_live(core, server))
        if not await core.aggregator.restore():
            await core.aggregator.tick()
        await dashboard.prepare(core.hub.latest)
        core.current.warm()
        await core.recent.warm(int(time.time() * 1000))
        url, port = await _open_doors(stack, core, feeds, authenticator, health)
        await stack.enter_async_context(health.watching())
        await stack.enter_async_context(loop_lag.watching(core.metrics.loop_lag))
        core.aggregator.start()
        stack.push_async_callback(core.aggregator.stop)
        await stack.enter_async_context(core.books.kept())
        stack.push_async_callback(server.shutdown)
        engine.prepare_process()
        health.mark("ready")
        yield Running(port, url, lambda fresh: _take_keys(keys, fresh))
        health.mark("draining")
        logger.info("shutting down: clients are disconnected, the current tick is committed")


async def _core(stack: AsyncExitStack, settings: Settings) -> Core:
    demo = settings.demo_mode
    metrics = Metrics(version=__version__)
    store, integrity = await stack.enter_async_context(
        opened_ledger(
            settings.database,
            backup_dir=settings.backup_dir,
            origin="demo" if demo else "live",
            synchronous=settings.db_synchronous,
            timezone=settings.business_timezone,
        )
    )
    cache = await open_cache(
        redis_url=settings.redis,
        sqlite_path=settings.database.with_name(f"{settings.database.stem}-cache.db"),
        default_ttl=settings.cache_ttl / 1000,
        namespace="demo" if demo else "live",
        on_call=metrics.cache_call,
    )
    stack.push_async_callback(cache.close)
    guards, books = await _guards(stack, settings, store, cache, metrics)
    hub = Hub(store, stale_after=max(LEAST_STALE, STALE_TICKS * settings.update_interval_ms / 1000))
    recent = Recent(cache, TimedLedger(store, metrics.ledger_query))
    current = Current(cache, hub)
    for sink in (current, recent):
        hub.attach(sink)
        stack.push_async_callback(sink.close)

    async def observed(fact: str, names: str) -> None:
        recent.invalidate()
        await current.invalidate(f"{fact} {names}")

    books.tell(observed)
    watch = TickWatch(metrics, recent.unstored)
    interval = settings.update_interval_ms / 1000
    aggregator = Aggregator(
        sources=books.sources(guards),
        ledger=store,
        publisher=hub,
        interval=interval,
        patience=min(settings.fetch_timeout_ms / 1000, interval / 2, FIRST_PATIENCE),
        zone=ZoneInfo(settings.business_timezone),
        configured=configured_sources(settings),
        rules=settings.agent_rules,
        simulated=demo,
        observer=watch,
    )
    breakers = Breakers(
        guards,
        threshold=settings.circuit_breaker_failure_threshold,
        reset_timeout_ms=settings.circuit_breaker_reset_timeout,
    )
    return Core(
        settings, store, cache, guards, current, recent, hub, books, aggregator, breakers, metrics, watch, integrity
    )


async def _guards(
    stack: AsyncExitStack, settings: Settings, store: Store, cache: TieredCache, metrics: Metrics
) -> tuple[Guards, Books]:
    credentials, since = Credentials.of(settings), settings.pnl_since or store.first_run
    if settings.demo_mode:
        credentials = _demo(await stack.enter_async_context(Simulator(seed=settings.demo_seed)))
        since = settings.pnl_since or store.first_run - DEMO_HISTORY
        await store.forget_account()
    session = await stack.enter_async_context(aiohttp.ClientSession())
    client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
    fetchers = build_fetchers(
        credentials, client, since=since, closed_days=store, by_api_key=bool(settings.agent_rules.api_keys)
    )
    guards = build_guards(fetchers, cache, settings, on_outcome=fetch_outcome(metrics))
    for guard in guards:
        stack.push_async_callback(guard.close)
    return guards, Books(store, metrics, fetchers.kalshi, _upkeep(settings, store))


def _upkeep(settings: Settings, store: Store) -> Upkeep:
    return Upkeep(
        store,
        path=settings.database,
        retention_days=settings.retention_days,
        backup_dir=settings.backup_dir,
        backup_keep_days=settings.backup_keep_days,
    )


async def _feeds(core: Core, authenticator: Authenticator) -> tuple[Feeds, Dashboard]:
    settings = core.settings
    zone = ZoneInfo(settings.business_timezone)
    dashboard = Dashboard(
        core.store,
        previous_day=lambda: core.aggregator.previous_day,
        zone=zone,
        configured=configured_sources(settings),
    )
    feeds = Feeds(
        core.hub,
        _engine_config(settings),
        authenticate=SocketAuthenticator(authenticator),
        dashboard=dashboard,
        secret=await core.store.secret(),
        recovery_window=settings.recovery_window_ms / 1000,
        dashboard_broadcast=settings.dashboard_broadcast,
    )
    return feeds, dashboard


async def _open_doors(
    stack: AsyncExitStack, core: Core, feeds: Feeds, authenticator: Authenticator, health: Health
) -> tuple[str, int]:
    """Answers the address to show and the port."""
    settings = core.settings
    ports = Ports(
        latest=core.current,
        periods=Periods(
            core.hub,
            core.store,
            ZoneInfo(settings.business_timezone),
            previous_day=lambda: core.aggregator.previous_day,
            configured=configured_sources(settings),
        ),
        history=core.recent,
        breakers=core.breakers,
        cache=core.cache,
        health=health,
        metrics=core.metrics,
        asyncapi=lambda: asyncapi(version=__version__),
    )
    app = create_api(ports, options=_http_options(settings, authenticator, core.metrics), extra=[feeds.route()])
    engine.attach(feeds.server, app)
    runner = ApiRunner(app, shutdown_timeout=2.0, fold_path=engine.fold_path)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        listener = await engine.listen(feeds.server, runner, host=settings.bind_host, port=settings.port)
    except (OSError, UnicodeError) as error:
        raise cannot_listen(settings.bind_host, settings.port, error) from error
    stack.push_async_callback(listener.close)
    return url_of(settings.bind_host, listener.port), listener.port


def _health(core: Core, server: engine.Server) -> Health:
    settings = core.settings
    return Health(
        environment=settings.node_env,
        cache=core.cache,
        connected_clients=lambda: server.stats().clients,
        loop_running=lambda: core.aggregator.running,
        store=lambda: store_part(core.store.health()),
        parts={
            **core.breakers.parts(),
            "reconciliation": core.books.part,
            "upkeep": core.books.upkeep_part,
            "integrity": core.integrity,
            "logs": logs_part,
        },
        figures={"reconciliation": core.books.reconciler.report},
        facts={"businessTimezone": settings.business_timezone, "updateIntervalMs": settings.update_interval_ms},
        stall_after=max(60.0, STALLED_TICKS * settings.update_interval_ms / 1000),
        demo=settings.demo_mode,
    )


def _live(core: Core, server: engine.Server) -> Live:
    def clients() -> dict[str, int]:
        stats = server.stats()
        names = ("websocket", "polling", "feed_websocket", "feed_sse")
        return {name: getattr(stats, name) for name in names}

    return Live(
        clients=clients,
        engine=lambda: asdict(server.stats()),
        cache=core.cache.stats,
        breakers=core.breakers.states,
        tasks=lambda: len(asyncio.all_tasks()),
        lost_snapshots=lambda: core.store.health()["lost"],
        database_bytes=lambda: sum(p.stat().st_size for p in _ledger_files(core.settings.database)),
    )


def _ledger_files(path: Path) -> list[Path]:
    return [file for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]


def _take_keys(keys: Keys, settings: Settings) -> None:
    revoked = keys.replace(read=_texts(settings.api_key), admin=_texts(settings.admin_api_key))
    logger.info("keys were read again: {} revoked", len(revoked))


def _texts(secrets: list[SecretStr]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets]


def _close_revoked(server: engine.Server, revoked: frozenset[bytes]) -> None:
    for digest in revoked:
        server.close_key(digest.hex())


def _demo(simulator: Simulator) -> Credentials:
    given = simulator.credentials()
    return Credentials(
        simulator.kalshi_url,
        given.kalshi_key_id,
        given.kalshi_private_key_pem,
        simulator.anthropic_url,
        given.anthropic_key,
        simulator.revenue_url,
        given.revenue_token,
    )


def _keys(settings: Settings) -> Keys:
    return Keys(
        read=_texts(settings.api_key),
        admin=_texts(settings.admin_api_key),
        open_read=not settings.production and not settings.api_key and settings.is_loopback,
    )


def _engine_config(settings: Settings) -> engine.EngineConfig:
    addresses = ClientAddresses(settings.trusted_proxies)
    return engine.EngineConfig(
        ping_interval=settings.ping_interval_ms / 1000,
        ping_timeout=settings.ping_timeout_ms / 1000,
        connect_timeout=settings.connect_timeout_ms / 1000,
        cors_allowed_origins=settings.origins,
        resolve_client=addresses.resolve,
        is_proxy=addresses.is_trusted,
        group_address=group,
        max_connections=settings.max_connections,
        max_connections_per_ip=settings.max_connections_per_ip,
        slow_client_timeout=settings.slow_client_timeout_ms / 1000,
    )


def _http_options(settings: Settings, authenticator: Authenticator, metrics: Metrics) -> HttpOptions:
    return HttpOptions(
        authenticator=authenticator,
        production=settings.production,
        cors_origins=tuple(settings.origins),
        rate_limit_per_minute=settings.rate_limit_per_minute,
        trusted_proxies=tuple(settings.trusted_proxies),
        metrics_access=settings.metrics_access,
        dist=dashboard_folder(),
        business_zone=ZoneInfo(settings.business_timezone),
        observe=metrics.request,
        version=__version__,
    )
