"""What Prometheus scrapes: counted as it happens, or read from the parts at the moment of the scrape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from loguru import logger
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
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pnl_backend.ops.request_times import RequestTimes
from pnl_backend.wire.operations import CacheStats, TiersStats, TierStats

# A second series for each counter, which nothing here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

FETCH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WORK_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 5.0)
CALL_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_CACHE_OPERATIONS = {"hit": "hits", "miss": "misses", "set": "sets", "delete": "deletes", "error": "errors"}
"""Operations, and the fields of the cache statistics that count them."""
_BREAKER_STATES = ("CLOSED", "HALF_OPEN", "OPEN")
# EngineStats' current counts as metrics, likewise.
_ENGINE_GAUGES = (
    ("sessions", "pnl_sessions", "Engine.IO sessions"),
    ("unfinished", "pnl_unfinished_connections", "Connections without a complete request head"),
)
# EngineStats' counters as metrics: the name there, the name here, what it says.
_ENGINE_COUNTERS = (
    ("messages_sent", "pnl_messages_sent", "Messages to clients"),
    ("messages_received", "pnl_messages_received", "Messages from clients"),
    ("dropped", "pnl_messages_dropped", "Messages that a slow client was spared"),
    ("slow_disconnects", "pnl_slow_clients", "Clients closed because they did not keep up"),
    ("refused", "pnl_connections_refused", "Connections refused by a cap, an origin or a key"),
    ("protocol_errors", "pnl_protocol_errors", "Messages that were none"),
    ("handler_errors", "pnl_handler_errors", "Client events whose handling failed"),
    ("ping_timeouts", "pnl_ping_timeouts", "Clients that stopped answering pings"),
    ("unknown_events", "pnl_unknown_events", "Events from clients that nothing handles"),
    ("head_timeouts", "pnl_head_timeouts", "Connections closed because no complete request came in time"),
    ("shed", "pnl_connections_shed", "Connections without a complete request that were closed to make room"),
)


class _SourceState(Protocol):
    """What a snapshot says of one source."""

    @property
    def status(self) -> str: ...

    @property
    def as_of(self) -> int | None: ...


class _Ticked(Protocol):
    """The snapshot that a tick produced, as far as it matters here; `at` in ms."""

    @property
    def at(self) -> int: ...

    @property
    def sources(self) -> Mapping[Any, _SourceState]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What is asked for at each scrape; whatever raises is left out of that scrape and logged."""

    clients: Callable[[], Mapping[str, int]]
    """Connected clients by transport."""
    engine: Callable[[], Mapping[str, Any]]
    """The engine's counters by name."""
    cache: Callable[[], CacheStats]
    breakers: Callable[[], Mapping[str, str]]
    """CLOSED, HALF_OPEN or OPEN by service."""
    database_bytes: Callable[[], int]
    tasks: Callable[[], int]
    """Tasks of the event loop."""
    lost_snapshots: Callable[[], int] = lambda: 0
    """Stored snapshots that went with a file that was replaced."""


class Metrics:
    """One registry of its own, so that any number of servers may live in one process.

    All durations are in seconds. Fits the aggregator's `Observer`.
    """

    def __init__(self, *, version: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("pnl_build", "The version that runs", registry=registry).info({"version": version})
        self._fetches = Histogram(
            "pnl_fetch_seconds", "One fetch of a source", ["source"], buckets=FETCH_BUCKETS, registry=registry
        )
        self._fetch_failures = Counter(
            "pnl_fetch_failures", "Fetches that failed, by error code", ["source", "code"], registry=registry
        )
        self._reading_age = Gauge(
            "pnl_reading_age_seconds", "Age of what a source last told", ["source"], registry=registry
        )
        self._source_live = Gauge(
            "pnl_source_live", "1 while a source's reading is live, else 0", ["source"], registry=registry
        )
        self._stages = Histogram(
            "pnl_tick_stage_seconds",
            "A tick's stages: fetch, compute, commit, publish",
            ["stage"],
            buckets=WORK_BUCKETS,
            registry=registry,
        )
        self._ticks = Histogram("pnl_tick_seconds", "A whole tick", buckets=FETCH_BUCKETS, registry=registry)
        self._tick_failures = Counter("pnl_tick_failures", "Ticks that failed", registry=registry)
        self._updated = Gauge(
            "pnl_last_update_timestamp_seconds", "When the newest snapshot was computed", registry=registry
        )
        self._unstored = Gauge(
            "pnl_unstored_snapshots", "Published snapshots that wait for the ledger", registry=registry
        )
        self._cache_seconds = Histogram(
            "pnl_cache_tier_seconds",
            "One call to a cache tier",
            ["tier", "operation"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self._ledger_queries = Histogram(
            "pnl_ledger_query_seconds",
            "One read of the ledger for REST: the newest snapshots, or a range",
            ["query"],
            buckets=WORK_BUCKETS,
            registry=registry,
        )
        self._loop_lag = Histogram(
            "pnl_loop_lag_seconds", "How late the event loop is", buckets=WORK_BUCKETS, registry=registry
        )
        self._gap = Gauge(
            "pnl_reconciliation_gap_usd", "Equity less net deposits, less P&L after fees", registry=registry
        )
        self._requests = RequestTimes(REQUEST_BUCKETS)
        registry.register(_Requests(self._requests))
        self._wrong_keys = Counter(
            "pnl_wrong_keys",
            "Wrong API keys on every transport: refused, or limited beyond the limit of an address",
            ["result"],
            registry=registry,
        )
        for result in ("refused", "limited"):
            self._wrong_keys.labels(result)
        # NaN is "not known yet": no alert fires on it, and no reader takes it for a zero.
        self._gap.set(math.nan)

    def watch(self, live: Live) -> None:
        """Read `live` at every scrape from now on."""
        self.registry.register(_Scraped(live))

    def fetched(self, source: str, seconds: float, code: str | None = None) -> None:
        """One fetch ended; `code` is the error's where it failed."""
        self._fetches.labels(source).observe(seconds)
        if code is not None:
            self._fetch_failures.labels(source, code).inc()

    def stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def tick(self, snapshot: _Ticked, seconds: float) -> None:
        self._ticks.observe(seconds)
        self._updated.set(snapshot.at / 1000)
        for source, state in snapshot.sources.items():
            self._source_live.labels(source).set(state.status == "live")
            # Computed at the scrape, so that it goes on growing when ticks do not come any more.
            self._reading_age.labels(source).set_function(partial(self._age, state.as_of))

    def _age(self, as_of: int | None) -> float:
        return math.nan if as_of is None else self._clock() - as_of / 1000

    def tick_failed(self) -> None:
        self._tick_failures.inc()

    def unstored(self, waiting: int) -> None:
        self._unstored.set(waiting)

    def cache_call(self, tier: str, operation: str, seconds: float) -> None:
        """Fits the cache's `on_call`."""
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
        """One answered request; `route` is the pattern, never the path that a client made up."""
        self._requests.observe(method, route, status, seconds)

    def render(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Requests(Collector):
    """Requests and their seconds as a histogram."""

    def __init__(self, times: RequestTimes) -> None:
        self._times = times

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(
            "pnl_http_request_seconds",
            "One HTTP request, by route and status class",
            labels=["method", "route", "status"],
        )
        ends = [*map(str, self._times.bounds), "+Inf"]
        for labels, counts, total in self._times.series():
            family.add_metric(labels, list(zip(ends, counts, strict=True)), total)
        yield family


class _Scraped(Collector):
    """Asks the parts when Prometheus asks us."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._broken: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask parts that are still being built."""
        return ()

    def collect(self) -> Iterable[Metric]:
        for read in (self._clients, self._tasks, self._engine, self._cache, self._breakers, self._database):
            name = read.__name__.strip("_")
            try:
                found = [*read()]
            except Exception as error:
                if name not in self._broken:
                    self._broken.add(name)
                    logger.opt(exception=error).error("metrics: {} cannot be read", name)
                continue
            self._broken.discard(name)
            yield from found

    def _clients(self) -> Iterable[Metric]:
        clients = GaugeMetricFamily("pnl_clients", "Connected clients", labels=["transport"])
        for transport, count in self._live.clients().items():
            clients.add_metric([transport], count)
        yield clients

    def _tasks(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("pnl_tasks", "Tasks of the event loop", value=self._live.tasks())

    def _engine(self) -> Iterable[Metric]:
        counters = self._live.engine()
        for field, name, says in _ENGINE_GAUGES:
            yield GaugeMetricFamily(name, says, value=counters[field])
        for field, name, says in _ENGINE_COUNTERS:
            yield CounterMetricFamily(name, says, value=counters[field])

    def _cache(self) -> Iterable[Metric]:
        stats = self._live.cache()
        requests = CounterMetricFamily(
            "pnl_cache_requests",
            "What the cache as a whole was asked, last known good answers as misses",
            labels=["result"],
        )
        requests.add_metric(["hit"], stats.hits)
        requests.add_metric(["miss"], stats.misses)
        yield requests
        up = GaugeMetricFamily("pnl_cache_tier_up", "1 while a cache tier can be used", labels=["tier"])
        entries = GaugeMetricFamily("pnl_cache_entries", "Keys held, as last counted", labels=["tier"])
        for tier in TiersStats.__struct_fields__:
            held: TierStats = getattr(stats.tiers, tier)
            if held.status != "disabled":
                up.add_metric([tier], held.status == "connected")
            if held.size is not None:
                entries.add_metric([tier], held.size)
        yield up
        yield entries
        yield self._cache_calls(stats)

    @staticmethod
    def _cache_calls(stats: CacheStats) -> Metric:
        calls = CounterMetricFamily(
            "pnl_cache_tier_calls",
            "Calls to a cache tier, by key family and what came of it",
            labels=["tier", "family", "operation"],
        )
        for family, counted in stats.keys.items():
            for tier, counts in counted.tiers.items():
                for operation, field in _CACHE_OPERATIONS.items():
                    if count := getattr(counts, field):
                        calls.add_metric([tier, family, operation], count)
        return calls

    def _breakers(self) -> Iterable[Metric]:
        states = GaugeMetricFamily(
            "pnl_breaker_state", "1 for the state a circuit breaker is in", labels=["service", "state"]
        )
        for service, current in self._live.breakers().items():
            for state in _BREAKER_STATES:
                states.add_metric([service, state], state == current)
        yield states

    def _database(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("pnl_database_bytes", "The ledger's files together", value=self._live.database_bytes())
        lost = "Stored snapshots that are lost with a replaced file"
        yield GaugeMetricFamily("pnl_lost_snapshots", lost, value=self._live.lost_snapshots())
