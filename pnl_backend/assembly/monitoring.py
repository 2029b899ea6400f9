"""Connects health and metrics with the parts that they report on."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

from pnl_backend import engine
from pnl_backend.assembly.node import Node
from pnl_backend.ops.health import HealthMonitor
from pnl_backend.ops.logging import logs_part
from pnl_backend.ops.metrics_live import Live

STALLED_TICKS = 6
"""The server is unhealthy after this many intervals without an update, and a minute at least."""


def health_of(node: Node, server: engine.Server) -> HealthMonitor:
    """The health report of a running server, not yet sampled."""
    settings = node.serving.settings
    return HealthMonitor(
        environment=settings.node_env,
        cache=node.serving.cache,
        connected_clients=lambda: server.stats().clients,
        loop_running=node.loop_running,
        store=node.store_part,
        parts={**node.parts(), "logs": logs_part},
        reconciliation=node.reconciliation,
        cluster=node.cluster,
        waiting_for=node.waiting_for,
        business_timezone=settings.business_timezone,
        update_interval_ms=settings.update_interval_ms,
        stall_after=max(60.0, STALLED_TICKS * settings.update_interval_ms / 1000),
        demo=settings.demo_mode,
    )


def live_figures(node: Node, server: engine.Server) -> Live:
    """What the metrics read from the parts at each scrape."""

    def clients() -> dict[str, int]:
        stats = server.stats()
        names = ("websocket", "polling", "feed_websocket", "feed_sse")
        return {name: getattr(stats, name) for name in names}

    return Live(
        clients=clients,
        engine=lambda: asdict(server.stats()),
        cache=node.serving.cache.stats,
        breakers=node.breaker_states,
        tasks=lambda: len(asyncio.all_tasks()),
        lost_snapshots=node.lost_snapshots,
        database_bytes=lambda: sum(p.stat().st_size for p in _ledger_files(node.serving.settings.database)),
    )


def _ledger_files(path: Path) -> list[Path]:
    return [file for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
