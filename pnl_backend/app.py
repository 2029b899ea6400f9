"""The composition root: builds every part from the settings, opens them in order, closes them in reverse.

Order of start: ledger, cache, upstreams, hub, last snapshot, listeners, loop, ready. Order of stop: not ready, clients
disconnected, loop, listeners, upstreams, cache, ledger.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend import __version__, engine
from pnl_backend.access.wrongkeys import Authenticator
from pnl_backend.assembly.adapters import Periods
from pnl_backend.assembly.cluster import open_cluster
from pnl_backend.assembly.feeds import Feeds
from pnl_backend.assembly.guards import described
from pnl_backend.assembly.monitoring import health_of, live_figures
from pnl_backend.assembly.node import Node, open_single
from pnl_backend.assembly.options import api_keys, engine_config, http_options, replace_keys
from pnl_backend.assembly.socket_keys import SocketAuthenticator, refuse_sockets
from pnl_backend.http.api import create_api
from pnl_backend.http.listening import cannot_listen, url_of
from pnl_backend.http.ports import Ports
from pnl_backend.http.runner import ApiRunner
from pnl_backend.ops import loop_lag
from pnl_backend.ops.health import HealthMonitor
from pnl_backend.settings.model import Settings
from pnl_backend.stream.dashboard import Dashboard
from pnl_backend.wire.asyncapi import asyncapi


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens. `replace_keys` takes the keys of new settings; live sockets of removed keys are closed."""

    port: int
    url: str
    replace_keys: Callable[[Settings], None]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The server from its first file to its open port; leaving the block drains and closes everything."""
    async with AsyncExitStack() as stack:
        node = await open_node(stack, settings)
        serving = node.serving
        keys = api_keys(settings)
        authenticator = Authenticator(keys, on_wrong=serving.metrics.wrong_key)
        feeds, dashboard = await _feeds(node, authenticator)
        server = feeds.server
        keys.watch(lambda revoked: _close_revoked(server, revoked))
        health = health_of(node, server)
        serving.metrics.watch(live_figures(node, server))
        serving.metrics.watch_node(node.figures)
        await node.prepare(feeds, health)
        await dashboard.prepare(serving.hub.latest)
        serving.current.warm()
        await serving.recent.warm(int(time.time() * 1000))
        url, port = await _start_listeners(stack, node, feeds, authenticator, health)
        await stack.enter_async_context(health.watching())
        await stack.enter_async_context(loop_lag.watching(serving.metrics.loop_lag))
        await node.start(stack, server)
        stack.push_async_callback(server.shutdown)
        engine.prepare_process()
        health.mark("ready")
        yield Running(port, url, lambda fresh: replace_keys(keys, fresh))
        health.mark("draining")
        logger.info("shutting down: clients are disconnected, the current tick is committed")


async def open_node(stack: AsyncExitStack, settings: Settings) -> Node:
    """One node of a cluster where there is a bus, else a server that is alone."""
    if settings.bus_url is None:
        return await open_single(stack, settings)
    return await open_cluster(stack, settings)


async def _feeds(node: Node, authenticator: Authenticator) -> tuple[Feeds, Dashboard]:
    serving, settings = node.serving, node.serving.settings
    dashboard = Dashboard(
        serving.ledger,
        previous_day=node.previous_day,
        zone=ZoneInfo(settings.business_timezone),
        configured=serving.configured,
    )
    serves = settings.role != "poll"
    feeds = Feeds(
        serving.hub,
        engine_config(settings),
        authenticate=SocketAuthenticator(authenticator) if serves else refuse_sockets,
        dashboard=dashboard,
        secret=await node.secret(),
        recovery_window=settings.recovery_window_ms / 1000,
        dashboard_broadcast=settings.dashboard_broadcast,
    )
    return feeds, dashboard


async def _start_listeners(
    stack: AsyncExitStack, node: Node, feeds: Feeds, authenticator: Authenticator, health: HealthMonitor
) -> tuple[str, int]:
    """Listen; the URL to show and the port."""
    serving, settings = node.serving, node.serving.settings
    sources = described(settings)
    ports = Ports(
        latest=serving.current,
        periods=Periods(
            serving.hub,
            serving.ledger,
            ZoneInfo(settings.business_timezone),
            baseline=node.baseline,
            configured=serving.configured,
        ),
        history=serving.recent,
        breakers=node.breakers,
        cache=node.cache,
        health=health,
        metrics=serving.metrics,
        asyncapi=lambda: asyncapi(version=__version__, sources=sources),
        sources=sources,
    )
    options = http_options(settings, authenticator, serving.metrics, node.shared_limit)
    app = create_api(ports, options=options, extra=[feeds.route()] if settings.role != "poll" else [])
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


def _close_revoked(server: engine.Server, revoked: frozenset[bytes]) -> None:
    for digest in revoked:
        server.close_key(digest.hex())
