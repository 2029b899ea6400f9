"""Models of the server's own state: health, cache, breakers."""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from typing import Annotated, Literal

from pnl_backend.wire.message import UNSET, Always, Count, IsoTime, Message, Meta, Millis, UnsetType

TierStatus = Literal["connected", "down", "disabled"]
Readiness = Literal["starting", "waiting", "ready", "draining"]
Role = Literal["all", "poll", "push"]


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
    """Requests to the cache or to one of its tiers, and their duration."""

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
    """The keys with the same first word."""

    tiers: dict[str, Counts]


class BriefCacheStats(Message):
    """Requests that the cache answered, and others; an answer from the last known good reading is a miss."""

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
    """One part of the server: its state and since when; in production `detail` needs a key."""

    state: str
    ok: bool
    since: IsoTime
    detail: str | UnsetType = UNSET


class Reconciliation(Message):
    """The difference between the account and the ledger, and between stored sums and those of the sources; USD."""

    state: str
    gap: float | None
    asOf: IsoTime | None
    differences: dict[str, float]


class ClusterNode(Message):
    """One node of a cluster, by its own last report; `lagMs` is the time for which it has lacked the newest update."""

    id: str
    role: Role
    state: str
    leads: bool
    seq: Count
    lagMs: Count
    clients: Count
    since: IsoTime
    version: str


class Cluster(Message):
    """This node and the others of its cluster; `lagUpdates` and `lagMs` are how far this node is behind the stream."""

    node: str
    role: Role
    state: Annotated[str, Meta(examples=["leading", "following", "candidate", "no bus"])]
    leader: str | None
    fence: Count
    bus: Literal["connected", "down"]
    lagUpdates: Count
    lagMs: Count
    nodes: list[ClusterNode]


_Reconciliation = Annotated[Reconciliation | UnsetType, Meta(description="In production with a key only.")]


class Health(Message):
    """`unhealthy` (503) when the loop has stopped or the store cannot be written."""

    status: Literal["healthy", "unhealthy"]
    timestamp: IsoTime
    uptime: float
    environment: str
    services: HealthServices
    demo: bool
    degraded: Annotated[list[str], Meta(description="Names of the parts that are not healthy.")]
    parts: dict[str, HealthPart]
    reconciliation: _Reconciliation = UNSET
    cluster: Annotated[
        Cluster | UnsetType,
        Meta(description="Only on a node of a cluster; in production with a key only."),
    ] = UNSET


class BriefHealth(Message):
    """The clients and the cache, and what a client needs to interpret the figures: the zone of the business days and
    the time between two updates.
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
    """`waitingFor` names what a node needs to be ready; the other fields are those of a node of a cluster only."""

    status: Literal["live"] | Readiness
    waitingFor: Annotated[list[str] | UnsetType, Meta(examples=[["redis", "postgresql", "updates"]])] = UNSET
    role: Role | UnsetType = UNSET
    leads: bool | UnsetType = UNSET
    lagUpdates: Count | UnsetType = UNSET
    lagMs: Count | UnsetType = UNSET
