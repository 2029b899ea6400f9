"""What the server says of itself: health, cache, breakers that were closed."""
# ruff: noqa: N815 - fields are the names that stand on the wire

from __future__ import annotations

from typing import Annotated, Literal

from pnl_backend.wire.message import UNSET, Always, Count, IsoTime, Message, Meta, Millis, UnsetType

TierStatus = Literal["connected", "down", "disabled"]
Readiness = Literal["starting", "ready", "draining"]


class BreakerState(Message):
    """One circuit breaker; times in ms since the epoch, `nextAttemptTime` only while it is open."""

    state: Literal["CLOSED", "OPEN", "HALF_OPEN"]
    failureCount: Count
    lastFailureTime: int | None
    lastSuccessTime: int | None
    nextAttemptTime: int | None


class BreakerConfig(Message):
    """After how many failures in a row a breaker opens, and for how many ms."""

    failureThreshold: int
    resetTimeout: int


class Breakers(Message):
    """The circuit breaker of each upstream."""

    timestamp: IsoTime
    services: dict[str, BreakerState]
    config: BreakerConfig


class BreakerReset(Message):
    """Which breaker to close; without a service all of them."""

    service: Annotated[str, Meta(min_length=1, examples=["kalshi"])] | UnsetType = UNSET


class BreakerResetDone(Message):
    reset: list[str]


class Counts(Message):
    """What was asked of the cache or of one of its tiers, and how long it took."""

    hits: Count
    misses: Count
    sets: Count
    deletes: Count
    errors: Count
    p50Ms: float
    p99Ms: float


class TierStats(Counts):
    """One tier; `size` in keys, as last counted."""

    size: int | None
    status: TierStatus


class TiersStats(Message):
    memory: TierStats
    redis: TierStats
    sqlite: TierStats
    fallback: TierStats


class FamilyStats(Counts):
    """The keys that begin with the same word."""

    tiers: dict[str, Counts]


class BriefCacheStats(Message):
    """A last known good answer is a miss: it says nothing about how well the cache caches."""

    hits: Count
    misses: Count
    total: Count
    hitRate: Annotated[str, Meta(pattern=r"^\d+\.\d\d%$", examples=["84.25%"])]


class CacheStats(BriefCacheStats):
    """Counters since the start; `keys` by key family."""

    sets: Count
    deletes: Count
    errors: Count
    processCacheSize: Count
    timestamp: IsoTime
    tiers: TiersStats
    keys: dict[str, FamilyStats]


class CacheCleared(Message):
    cleared: Always


class CacheServices(Message):
    processCache: str
    redis: str
    sqlite: str


class HealthServices(Message):
    cache: CacheServices
    aggregator: str


class HealthPart(Message):
    """One part of the server: what it is doing and since when; `detail`, in production, with a key only."""

    state: str
    ok: bool
    since: IsoTime
    detail: str | UnsetType = UNSET


class Reconciliation(Message):
    """What is left over between the account and the ledger, and between sums kept and sums read anew; USD."""

    state: str
    gap: float | None
    asOf: IsoTime | None
    differences: dict[str, float]


_Reconciliation = Annotated[Reconciliation | UnsetType, Meta(description="In production with a key only.")]


class Health(Message):
    """`unhealthy` (503) when the loop has stopped or the store cannot be written."""

    status: Literal["healthy", "unhealthy"]
    timestamp: IsoTime
    uptime: float
    environment: str
    services: HealthServices
    demo: bool
    degraded: Annotated[list[str], Meta(description="Parts that are not well.")]
    parts: dict[str, HealthPart]
    reconciliation: _Reconciliation = UNSET


class BriefHealth(Message):
    """The clients and the cache, and what a client needs to read the figures: whose midnights part the days, and how
    often an update is due.
    """

    status: Literal["ok"]
    timestamp: Millis
    connectedClients: Count
    cacheStats: BriefCacheStats
    uptime: float
    businessTimezone: Annotated[str, Meta(description="IANA name of the zone of the business days.", examples=["UTC"])]
    updateIntervalMs: Annotated[int, Meta(gt=0, description="Time between two updates, ms.")]
    reconciliation: _Reconciliation = UNSET


class Probe(Message):
    status: Literal["live"] | Readiness
