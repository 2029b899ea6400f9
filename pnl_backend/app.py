"""The composition root: builds every part from the settings, opens them in order, closes them in reverse."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp

from pnl_backend import __version__, engine
from pnl_backend.adapters import Breakers, Doorkeeper, Periods
from pnl_backend.aggregator import Aggregator
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.config import Settings
from pnl_backend.fetchers.base import UpstreamClient
from pnl_backend.http.api import create_api
from pnl_backend.http.auth import Keys
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports
from pnl_backend.http.runner import ApiRunner
from pnl_backend.simulator import Simulator
from pnl_backend.sources import Credentials, build_fetchers, build_guards, sources
from pnl_backend.store import Store
from pnl_backend.stream.hub import Hub
from pnl_backend.stream.socketio import SocketFeed

DIST = Path(__file__).resolve().parents[1] / "client" / "dist"
DEMO_HISTORY = timedelta(days=30)
"""The demo's Anthropic spend reaches back a month, so that a newcomer sees figures worth looking at."""

FIRST_PATIENCE = 1.5
"""Seconds that the very first tick waits for the upstreams before the doors open."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server whose doors are open."""

    port: int
    url: str
    aggregator: Aggregator
    hub: Hub
    store: Store
    cache: TieredCache
    simulator: Simulator | None


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The server from its first file to its open port; leaving the block drains and closes everything."""
    async with AsyncExitStack() as stack:
        zone = ZoneInfo(settings.business_timezone)
        demo = settings.demo_mode
        store = await Store.open(
            settings.database,
            origin="demo" if demo else "live",
            synchronous=settings.db_synchronous,
            timezone=settings.business_timezone,
        )
        stack.push_async_callback(store.close)
        cache = await open_cache(
            redis_url=settings.redis,
            sqlite_path=settings.database.with_name(f"{settings.database.stem}-cache.db"),
            default_ttl=settings.cache_ttl / 1000,
            namespace="demo" if demo else "live",
        )
        stack.push_async_callback(cache.close)
        simulator = await _simulator(stack, settings) if demo else None
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
        credentials = _demo_credentials(simulator) if simulator else Credentials.of(settings)
        since = settings.pnl_since or (store.first_run - DEMO_HISTORY if demo else store.first_run)
        fetchers = build_fetchers(credentials, client, since=since, closed_days=store)
        guards = build_guards(fetchers, cache, settings)
        for guard in guards:
            stack.push_async_callback(guard.close)

        hub = Hub(store)
        keys = _keys(settings)
        server = engine.create_server(_engine_config(settings), authenticate=Doorkeeper(keys))
        hub.attach(SocketFeed(server, hub))
        interval = settings.update_interval_ms / 1000
        aggregator = Aggregator(
            sources=sources(guards),
            ledger=store,
            publisher=hub,
            interval=interval,
            patience=min(settings.fetch_timeout_ms / 1000, interval / 2, FIRST_PATIENCE),
            zone=zone,
            rules=settings.agent_rules,
            simulated=demo,
        )
        if not await aggregator.restore():
            await aggregator.tick()

        health = _Health(settings, aggregator, store, cache, server)
        breakers = Breakers(
            guards,
            threshold=settings.circuit_breaker_failure_threshold,
            reset_timeout_ms=settings.circuit_breaker_reset_timeout,
        )
        ports = Ports(
            latest=hub,
            periods=Periods(hub, store, zone),
            history=store,
            breakers=breakers,
            cache=cache,
            health=health,
            metrics=health,
        )
        app = create_api(ports, options=_http_options(settings, keys))
        engine.attach(server, app)
        runner = ApiRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listener = await engine.listen(server, runner, host=settings.bind_host, port=settings.port)
        stack.push_async_callback(listener.close)
        aggregator.start()
        stack.push_async_callback(aggregator.stop)
        url = f"http://{'localhost' if settings.is_loopback else settings.bind_host}:{listener.port}"
        health.state = "ready"
        yield Running(listener.port, url, aggregator, hub, store, cache, simulator)
        health.state = "draining"


async def _simulator(stack: AsyncExitStack, settings: Settings) -> Simulator:
    return await stack.enter_async_context(Simulator(seed=settings.demo_seed))


def _demo_credentials(simulator: Simulator) -> Credentials:
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
        read=[key.get_secret_value() for key in settings.api_key],
        admin=[key.get_secret_value() for key in settings.admin_api_key],
        open_read=not settings.production and not settings.api_key and settings.is_loopback,
    )


def _engine_config(settings: Settings) -> engine.EngineConfig:
    return engine.EngineConfig(
        ping_interval=settings.ping_interval_ms / 1000,
        ping_timeout=settings.ping_timeout_ms / 1000,
        connect_timeout=settings.connect_timeout_ms / 1000,
        cors_allowed_origins="*" if settings.origins == ["*"] else settings.origins,
        trusted_proxies=settings.trusted_proxies,
        max_connections=settings.max_connections,
        max_connections_per_ip=settings.max_connections_per_ip,
        slow_client_timeout=settings.slow_client_timeout_ms / 1000,
    )


def _http_options(settings: Settings, keys: Keys) -> HttpOptions:
    return HttpOptions(
        keys=keys,
        production=settings.production,
        cors_origins=tuple(settings.origins),
        rate_limit_per_minute=settings.rate_limit_per_minute,
        trusted_proxies=tuple(settings.trusted_proxies),
        metrics_access=settings.metrics_access,
        dist=DIST,
        raw_interval_ms=settings.update_interval_ms,
        version=__version__,
    )


class _Health:
    def __init__(self, settings, aggregator, store, cache, server):
        self.settings, self.aggregator, self.store, self.cache, self.server = settings, aggregator, store, cache, server
        self.state = "starting"
        self.began = time.monotonic()

    async def report(self):
        ok = self.aggregator.running and self.store.health()["state"] == "connected"
        return ok, {
            "status": "healthy" if ok else "unhealthy",
            "services": {"cache": self.cache.health(), "aggregator": "running"},
        }

    def brief(self):
        return {"status": "ok"}

    def readiness(self):
        return self.state

    def render(self):
        return b"", "text/plain"
