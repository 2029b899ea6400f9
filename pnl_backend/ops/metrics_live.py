"""Metrics that are read from the parts at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pnl_backend.ops.request_times import RequestTimes
from pnl_backend.wire.operations import CacheStats, TiersStats, TierStats

_CACHE_OPERATIONS = {"hit": "hits", "miss": "misses", "set": "sets", "delete": "deletes", "error": "errors"}
"""Operations, and the fields of the cache statistics that count them."""
_BREAKER_STATES = ("CLOSED", "HALF_OPEN", "OPEN")
# Current counts of EngineStats as metrics: the field, the metric, its description.
_ENGINE_GAUGES = (
    ("sessions", "pnl_sessions", "Engine.IO sessions"),
    ("unfinished", "pnl_unfinished_connections", "Connections without a complete request head"),
)
# Counters of EngineStats as metrics: the field, the metric, its description.
_ENGINE_COUNTERS = (
    ("messages_sent", "pnl_messages_sent", "Messages to clients"),
    ("messages_received", "pnl_messages_received", "Messages from clients"),
    ("dropped", "pnl_messages_dropped", "Messages that were not sent to slow clients"),
    ("slow_disconnects", "pnl_slow_clients", "Clients closed because they did not keep up"),
    ("refused", "pnl_connections_refused", "Connections refused by a cap, an origin or a key"),
    ("protocol_errors", "pnl_protocol_errors", "Messages that broke the protocol"),
    ("handler_errors", "pnl_handler_errors", "Client events whose handling failed"),
    ("ping_timeouts", "pnl_ping_timeouts", "Clients that stopped answering pings"),
    ("unknown_events", "pnl_unknown_events", "Events from clients that nothing handles"),
    ("head_timeouts", "pnl_head_timeouts", "Connections closed because no complete request came in time"),
    ("shed", "pnl_connections_shed", "Connections without a complete request that were closed to make room"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Read at each scrape; metrics whose function raises are left out of that scrape, and the error is logged."""

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
    """Stored snapshots that were lost with a file that was replaced."""


class RequestCollector(Collector):
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


class LiveCollector(Collector):
    """Reads the parts at each scrape."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._broken: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Empty, so that registering does not read parts that are not built yet."""
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
        for field, name, help_text in _ENGINE_GAUGES:
            yield GaugeMetricFamily(name, help_text, value=counters[field])
        for field, name, help_text in _ENGINE_COUNTERS:
            yield CounterMetricFamily(name, help_text, value=counters[field])

    def _cache(self) -> Iterable[Metric]:
        stats = self._live.cache()
        requests = CounterMetricFamily(
            "pnl_cache_requests",
            "Requests to the cache as a whole; last known good answers count as misses",
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
            "Calls to a cache tier, by key family and result",
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
