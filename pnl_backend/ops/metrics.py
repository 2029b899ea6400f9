"""The metrics that Prometheus scrapes: counted when an event happens, or read from the parts at the scrape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.ops.metrics_cluster import NodeCollector, NodeFigures
from pnl_backend.ops.metrics_live import Live, LiveCollector, RequestCollector
from pnl_backend.ops.request_times import RequestTimes

# Prometheus would get a second series for each counter, which nothing uses.
disable_created_metrics()  # type: ignore[no-untyped-call] # it ships no signature

FETCH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WORK_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 5.0)
CALL_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Each instance has a registry, so that several servers can run in one process.

    All durations are in seconds. Implements the aggregator's `Observer`.
    """

    def __init__(self, *, version: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("pnl_build", "The version that runs", registry=registry).info({"version": version})
        histogram = partial(Histogram, registry=registry)
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self._fetches = histogram("pnl_fetch_seconds", "One fetch of a source", ["source"], buckets=FETCH_BUCKETS)
        self._fetch_failures = counter("pnl_fetch_failures", "Fetches that failed, by error code", ["source", "code"])
        self._reading_age = gauge("pnl_reading_age_seconds", "Age of a source's last reading", ["source"])
        self._source_live = gauge("pnl_source_live", "1 while a source's reading is live, else 0", ["source"])
        stages = "A tick's stages: fetch, compute, commit, publish"
        self._stages = histogram("pnl_tick_stage_seconds", stages, ["stage"], buckets=WORK_BUCKETS)
        self._ticks = histogram("pnl_tick_seconds", "A whole tick", buckets=FETCH_BUCKETS)
        self._tick_failures = counter("pnl_tick_failures", "Ticks that failed")
        self._updated = gauge("pnl_last_update_timestamp_seconds", "When the newest snapshot was computed")
        self._unstored = gauge("pnl_unstored_snapshots", "Published snapshots that wait for the ledger")
        calls = "One call to a cache tier"
        self._cache_seconds = histogram("pnl_cache_tier_seconds", calls, ["tier", "operation"], buckets=CALL_BUCKETS)
        queries = "One read of the ledger for REST: the newest snapshots, or a range"
        self._ledger_queries = histogram("pnl_ledger_query_seconds", queries, ["query"], buckets=WORK_BUCKETS)
        self._loop_lag = histogram("pnl_loop_lag_seconds", "How late the event loop is", buckets=WORK_BUCKETS)
        self._gap = gauge("pnl_reconciliation_gap_usd", "Equity less net deposits, less P&L after fees")
        self._requests = RequestTimes(REQUEST_BUCKETS)
        registry.register(RequestCollector(self._requests))
        wrong_keys = "Wrong API keys on every transport: refused, or limited beyond the limit of an address"
        self._wrong_keys = counter("pnl_wrong_keys", wrong_keys, ["result"])
        for result in ("refused", "limited"):
            self._wrong_keys.labels(result)
        # NaN means "not known yet": no alert fires on it, and it cannot be read as zero.
        self._gap.set(math.nan)

    def watch_node(self, read: Callable[[], NodeFigures]) -> None:
        """Read the figures of this node at every scrape from now on."""
        self.registry.register(NodeCollector(read))

    def watch(self, live: Live) -> None:
        """Read `live` at every scrape from now on."""
        self.registry.register(LiveCollector(live))

    def fetched(self, source: str, seconds: float, code: str | None = None) -> None:
        """Count one fetch; `code` is the error's if it failed."""
        self._fetches.labels(source).observe(seconds)
        if code is not None:
            self._fetch_failures.labels(source, code).inc()

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def tick(self, snapshot: Snapshot, seconds: float) -> None:
        self._ticks.observe(seconds)
        self.updated(snapshot)

    def updated(self, snapshot: Snapshot) -> None:
        """A snapshot was published, computed here or on another node."""
        self._updated.set(snapshot.at / 1000)
        for source, state in snapshot.sources.items():
            self._source_live.labels(source).set(state.status == "live")
            # Computed at the scrape, so that the age still grows when ticks have stopped.
            self._reading_age.labels(source).set_function(partial(self._age, state.as_of))

    def _age(self, as_of: int | None) -> float:
        return math.nan if as_of is None else self._clock() - as_of / 1000

    def tick_failed(self) -> None:
        self._tick_failures.inc()

    def unstored(self, waiting: int) -> None:
        self._unstored.set(waiting)

    def cache_call(self, tier: str, operation: str, seconds: float) -> None:
        """Implements the cache's `on_call`."""
        self._cache_seconds.labels(tier, operation).observe(seconds)

    def ledger_query(self, query: str, seconds: float) -> None:
        """One read of the ledger: `newest` or `range`."""
        self._ledger_queries.labels(query).observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        self._loop_lag.observe(seconds)

    def reconciled(self, gap_usd: float) -> None:
        self._gap.set(gap_usd)

    def wrong_key(self, result: str) -> None:
        """One wrong key was presented; "refused", or "limited" beyond the limit of its address."""
        self._wrong_keys.labels(result).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the route's pattern, never the requested path."""
        self._requests.observe(method, route, status, seconds)

    def render(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
