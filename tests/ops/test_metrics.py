"""The exposition as Prometheus reads it."""

from __future__ import annotations

import asyncio
import math
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.tiered import TieredCache
from pnl_backend.ops.loop_lag import watching
from pnl_backend.ops.metrics import Metrics
from pnl_backend.ops.metrics_cluster import NodeFigures
from pnl_backend.ops.metrics_live import Live
from tests.waiting import until


@dataclass
class State:
    status: str
    as_of: int | None


@dataclass
class Snapshot:
    at: int
    sources: Mapping[str, State]


ENGINE = {
    "sessions": 4,
    "unfinished": 2,
    "messages_sent": 10,
    "messages_received": 2,
    "dropped": 3,
    "slow_disconnects": 1,
    "refused": 4,
    "protocol_errors": 5,
    "handler_errors": 6,
    "ping_timeouts": 7,
    "unknown_events": 8,
    "head_timeouts": 9,
    "shed": 10,
}


CHANGES = {"won": 1, "lost": 0, "released": 0}
LEADER = NodeFigures("all", leads=True, ledger_up=True, bus_up=True, fence=2, lag=0, behind=0, changes=CHANGES)


def live(**other: Any) -> Live:
    cache = TieredCache([MemoryTier()], default_ttl=60)
    cache.peek("kalshi:reading")
    cache.missed("kalshi:reading")
    parts: dict[str, Any] = {
        "clients": lambda: {"websocket": 3, "polling": 1, "sse": 0},
        "engine": lambda: ENGINE,
        "cache": cache.stats,
        "breakers": lambda: {"kalshi": "OPEN", "anthropic": "CLOSED"},
        "database_bytes": lambda: 4096,
        "tasks": lambda: 12,
        **other,
    }
    return Live(**parts)


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    body, kind = metrics.render()
    assert kind.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for found in text_string_to_metric_families(body.decode())
        for sample in found.samples
    }


def test_what_happens_is_counted() -> None:
    metrics = Metrics(version="1.2.3", clock=lambda: 1000.0)
    metrics.fetched("kalshi", 0.2)
    metrics.fetched("kalshi", 5.0, "upstream_timeout")
    metrics.stage("commit", 0.003)
    metrics.tick(Snapshot(999_000, {"kalshi": State("live", 998_500), "johns": State("degraded", None)}), 0.01)
    metrics.tick_failed()
    metrics.unstored(4)
    metrics.cache_call("redis", "hit", 0.001)
    metrics.loop_lag(0.02)
    metrics.ledger_query("newest", 0.001)
    metrics.request("GET", "/api/pnl/current", 200, 0.002)
    found = read(metrics)
    assert math.isnan(found["pnl_reconciliation_gap_usd", ()])
    metrics.reconciled(-0.75)
    found = read(metrics)
    expected: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {
        ("pnl_fetch_seconds_count", (("source", "kalshi"),)): 2,
        ("pnl_fetch_failures_total", (("code", "upstream_timeout"), ("source", "kalshi"))): 1,
        ("pnl_tick_stage_seconds_sum", (("stage", "commit"),)): 0.003,
        ("pnl_tick_seconds_count", ()): 1,
        ("pnl_tick_failures_total", ()): 1,
        ("pnl_last_update_timestamp_seconds", ()): 999,
        ("pnl_reading_age_seconds", (("source", "kalshi"),)): 1.5,
        ("pnl_source_live", (("source", "kalshi"),)): 1,
        ("pnl_source_live", (("source", "johns"),)): 0,
        ("pnl_unstored_snapshots", ()): 4,
        ("pnl_cache_tier_seconds_count", (("operation", "hit"), ("tier", "redis"))): 1,
        ("pnl_ledger_query_seconds_count", (("query", "newest"),)): 1,
        ("pnl_loop_lag_seconds_count", ()): 1,
        ("pnl_reconciliation_gap_usd", ()): -0.75,
        (
            "pnl_http_request_seconds_count",
            (("method", "GET"), ("route", "/api/pnl/current"), ("status", "2xx")),
        ): 1,
        ("pnl_build_info", (("version", "1.2.3"),)): 1,
    }
    assert {key: found[key] for key in expected} == expected
    assert math.isnan(found["pnl_reading_age_seconds", (("source", "johns"),)])


def test_requests_are_counted_up_to_the_end_of_each_bucket() -> None:
    metrics = Metrics(version="1")
    for status, seconds in ((200, 0.001), (204, 0.0011), (200, 10.0), (206, 10.5), (404, 0.25)):
        metrics.request("GET", "/x", status, seconds)
    found = {
        (sample.name, sample.labels["status"], sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(metrics.render()[0].decode())
        for sample in family.samples
        if sample.name.startswith("pnl_http_request_seconds")
    }
    counts = {end: found["pnl_http_request_seconds_bucket", "2xx", end] for end in ("0.001", "0.0025", "10.0", "+Inf")}
    assert counts == {"0.001": 1, "0.0025": 2, "10.0": 3, "+Inf": 4}
    assert found["pnl_http_request_seconds_count", "2xx", None] == 4
    assert found["pnl_http_request_seconds_sum", "2xx", None] == pytest.approx(20.5021)
    assert found["pnl_http_request_seconds_bucket", "4xx", "0.1"] == 0
    assert found["pnl_http_request_seconds_bucket", "4xx", "0.25"] == 1


async def test_the_parts_are_asked_at_each_scrape() -> None:
    metrics = Metrics(version="1")
    clients = {"websocket": 1}
    cache = TieredCache([MemoryTier()], default_ttl=60)
    metrics.watch(live(clients=lambda: clients, cache=cache.stats))
    assert read(metrics)["pnl_clients", (("transport", "websocket"),)] == 1
    clients["websocket"] = 500
    await cache.set("kalshi:reading", b"1")
    await cache.get("kalshi:reading")
    found = read(metrics)
    assert found["pnl_clients", (("transport", "websocket"),)] == 500
    assert found["pnl_cache_requests_total", (("result", "hit"),)] == 1
    assert found["pnl_cache_entries", (("tier", "memory"),)] == 1
    calls = {"hit": 1, "set": 1}
    for operation, count in calls.items():
        labels = (("family", "kalshi"), ("operation", operation), ("tier", "memory"))
        assert found["pnl_cache_tier_calls_total", labels] == count
    assert found["pnl_breaker_state", (("service", "kalshi"), ("state", "OPEN"))] == 1
    assert found["pnl_breaker_state", (("service", "kalshi"), ("state", "CLOSED"))] == 0
    assert found["pnl_messages_dropped_total", ()] == 3
    assert (found["pnl_sessions", ()], found["pnl_unfinished_connections", ()]) == (4, 2)
    assert found["pnl_tasks", ()] == 12
    assert found["pnl_slow_clients_total", ()] == 1
    assert found["pnl_database_bytes", ()] == 4096


def test_a_part_that_fails_costs_its_own_figures_alone() -> None:
    metrics = Metrics(version="1")

    def broken() -> int:
        raise OSError("the file is gone")

    metrics.watch(live(database_bytes=broken))
    found = read(metrics)
    assert ("pnl_database_bytes", ()) not in found
    assert ("pnl_messages_sent_total", ()) in found


def test_two_servers_in_one_process_do_not_meet() -> None:
    first, second = Metrics(version="1"), Metrics(version="1")
    first.tick_failed()
    assert read(second)["pnl_tick_failures_total", ()] == 0


async def test_a_blocked_event_loop_is_measured() -> None:
    lags: list[float] = []
    async with watching(lags.append, interval=0.01):
        await until(lambda: len(lags) >= 2)
        time.sleep(0.2)  # noqa: ASYNC251 - holding the loop up is the point
        await until(lambda: max(lags) >= 0.15)
    seen = len(lags)
    await asyncio.sleep(0.03)
    assert len(lags) == seen


def exposed() -> Metrics:
    """Metrics in which every family has a sample."""
    metrics = Metrics(version="1")
    metrics.watch(live())
    metrics.watch_node(lambda: LEADER)
    metrics.fetched("kalshi", 1.0, "upstream_timeout")
    metrics.stage("commit", 0.1)
    metrics.tick(Snapshot(1, {"kalshi": State("live", 1)}), 0.1)
    metrics.cache_call("redis", "hit", 0.001)
    metrics.ledger_query("newest", 0.1)
    metrics.request("GET", "/", 200, 0.1)
    return metrics


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Debian's prometheus")
def test_promtool_reports_no_problem() -> None:
    ours = b"".join(
        line + b"\n"
        for line in exposed().render()[0].splitlines()
        # The Python and process collectors are not ours to name.
        if b" pnl_" in line or line.startswith(b"pnl_")
    )
    done = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
