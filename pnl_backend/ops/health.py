"""Health: the state of each part and since when, and whether the server works as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loguru import logger

from pnl_backend.domain.times import iso
from pnl_backend.ops.background import running
from pnl_backend.wire import operations
from pnl_backend.wire.message import UNSET, UnsetType, as_model

_VITAL = ("aggregator", "store")
SAMPLE_INTERVAL = 0.5
"""Seconds between two samples of every part: the precision of `since`."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it is now. `ok` False is degraded: the server goes on without it.

    `detail` says what is wrong. It may name hosts and files, so in production it is shown to requests with a key only.
    """

    state: str
    ok: bool = True
    detail: str | None = None


class Cache(Protocol):
    def health(self) -> operations.CacheServices: ...

    def stats(self) -> operations.CacheStats: ...


@dataclass(slots=True)
class _Seen:
    part: Part
    since: int


class HealthMonitor:
    """Answers the health routes.

    The server is unhealthy only when updates have stopped or the ledger cannot be written; anything else that is
    wrong makes it degraded, and it stays in service. `reconciliation` has amounts of money in it; `business_timezone`
    and `update_interval_ms` are what a client must know of the configuration to read the figures. `stall_after` is
    how many seconds without a good tick count as stopped. `waiting_for` names what keeps the server from being ready
    once it has started.
    """

    def __init__(
        self,
        *,
        environment: str,
        cache: Cache,
        connected_clients: Callable[[], int],
        loop_running: Callable[[], bool],
        store: Callable[[], Part],
        parts: Mapping[str, Callable[[], Part]] | None = None,
        reconciliation: Callable[[], operations.Reconciliation | UnsetType] | None = None,
        cluster: Callable[[], operations.Cluster | UnsetType] = lambda: UNSET,
        waiting_for: Callable[[], Sequence[str]] = tuple,
        business_timezone: str = "UTC",
        update_interval_ms: int = 5000,
        stall_after: float = 60.0,
        demo: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._reconciliation = reconciliation
        self._business_timezone = business_timezone
        self._update_interval_ms = update_interval_ms
        self._cache = cache
        self._connected_clients = connected_clients
        self._loop_running = loop_running
        self._stall_after = stall_after
        self._demo = demo
        self._clock = clock
        self._monotonic = monotonic
        self._cluster = cluster
        self._waiting_for = waiting_for
        self._store = store
        self._probes: dict[str, Callable[[], Part]] = {}
        self.replace_parts(parts or {})
        self._seen: dict[str, _Seen] = {}
        self._readiness: operations.Readiness = "starting"
        self._began = monotonic()
        self._last_beat = monotonic()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Sample every part at intervals while the block runs, so that `since` is right at each request."""
        async with running(self._watch(), "health"):
            yield

    def heartbeat(self) -> None:
        """An update was published."""
        self._last_beat = self._monotonic()

    def replace_parts(self, parts: Mapping[str, Callable[[], Part]]) -> None:
        """Report on these parts from now on, and on those that every server has."""
        self._probes = {
            "aggregator": self._aggregator,
            "store": self._store,
            **parts,
            "redis": lambda: self._tier("redis"),
            "sqlite": lambda: self._tier("sqlite"),
        }

    def mark(self, readiness: operations.Readiness) -> None:
        self._readiness = readiness

    def readiness(self) -> operations.Probe:
        """The body of `/health/ready`: whether new work should be sent here, and what is missing."""
        status, missing = self._readiness, list(self._waiting_for())
        if status == "ready" and missing:
            status = "waiting"
        cluster = self._cluster()
        probe = operations.Probe(status, missing or UNSET)
        if isinstance(cluster, operations.Cluster):
            probe.role, probe.leads = cluster.role, cluster.state == "leading"
            probe.lagUpdates, probe.lagMs = cluster.lagUpdates, cluster.lagMs
        return probe

    def report(self, *, keyed: bool) -> operations.Health:
        """The body of `/health`; `keyed` adds the reconciliation and every detail."""
        self.sample()
        return operations.Health(
            status="healthy" if all(self._seen[name].part.ok for name in _VITAL) else "unhealthy",
            timestamp=iso(self._now()),
            uptime=self._uptime(),
            environment=self._environment,
            demo=self._demo,
            services=operations.HealthServices(self._cache.health(), self._seen["aggregator"].part.state),
            degraded=[name for name, seen in self._seen.items() if not seen.part.ok],
            parts={name: _part(seen, detail=keyed) for name, seen in self._seen.items()},
            reconciliation=self._reconciled(keyed),
            cluster=self._cluster() if keyed else UNSET,
        )

    def brief(self, *, keyed: bool) -> operations.BriefHealth:
        """The body of `/api/health`; `keyed` adds the reconciliation."""
        stats = self._cache.stats()
        return operations.BriefHealth(
            status="ok",
            timestamp=self._now(),
            connectedClients=self._connected_clients(),
            cacheStats=as_model(stats, operations.BriefCacheStats),
            uptime=self._uptime(),
            businessTimezone=self._business_timezone,
            updateIntervalMs=self._update_interval_ms,
            reconciliation=self._reconciled(keyed),
        )

    def _reconciled(self, shown: bool) -> operations.Reconciliation | UnsetType:
        return self._reconciliation() if shown and self._reconciliation is not None else UNSET

    def sample(self) -> None:
        """Sample every part, and note changes of state."""
        now = self._now()
        self._seen = {name: seen for name, seen in self._seen.items() if name in self._probes}
        for name, probe in self._probes.items():
            part = _sample(probe)
            seen = self._seen.get(name)
            if seen is None or (seen.part.state, seen.part.ok) != (part.state, part.ok):
                self._seen[name] = _Seen(part, now)
                if seen is not None or not part.ok:
                    self._log(name, part)
            else:
                seen.part = part

    async def _watch(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_INTERVAL)

    def _log(self, name: str, part: Part) -> None:
        # A loop that stalls cannot log it itself; every other part logs its own failures.
        level = "DEBUG" if name != "aggregator" else "INFO" if part.ok else "ERROR"
        logger.log(level, "health: {} is {}{}", name, part.state, f": {part.detail}" if part.detail else "")

    def _tier(self, name: str) -> Part:
        state = getattr(self._cache.health(), name)
        return Part(state, ok=state != "down")

    def _aggregator(self) -> Part:
        if not self._loop_running():
            # Before its start the loop is not "stopped".
            return Part("starting") if self._readiness == "starting" else Part("stopped", ok=False)
        silent = self._monotonic() - self._last_beat
        if silent > self._stall_after:
            return Part("stalled", ok=False, detail=f"no update for {silent:.0f} s")
        return Part("running")

    def _uptime(self) -> float:
        return round(self._monotonic() - self._began, 3)

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _part(seen: _Seen, *, detail: bool) -> operations.HealthPart:
    shown = seen.part.detail if detail and seen.part.detail else UNSET
    return operations.HealthPart(seen.part.state, seen.part.ok, iso(seen.since), shown)


def _sample(probe: Callable[[], Part]) -> Part:
    """The part's state; degraded if it cannot be read."""
    try:
        return probe()
    except Exception as error:
        return Part("unknown", ok=False, detail=f"{type(error).__name__}: {error}")
