"""The messages of the wire contract as models: one home for their shape, from which the descriptions are built."""
# ruff: noqa: N815 - fields are the names that stand on the wire

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

IsoTime = Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$", examples=["2026-02-25T22:24:00.000Z"])
SourceStatus = Literal["live", "stale", "degraded"]
Tier = Literal["live", "memory", "redis", "sqlite", "fallback"]


def _without_default(schema: dict[str, Any]) -> None:
    """Absent is all that the default means."""
    schema.pop("default")


class Message(BaseModel):
    """Further fields may be added; those named here stay."""

    model_config = ConfigDict(extra="allow", strict=True)


class KalshiComponent(Message):
    """Trading: cash, open markets, P&L before fees, fees; USD."""

    balance: float
    positions: int = Field(ge=0)
    pnl: float
    realizedPnl: float
    unrealizedPnl: float
    fees: float
    marks: dict[str, int] = Field(default_factory=dict, description="How many open positions each kind of mark valued.")


class AnthropicComponent(Message):
    """API spend of the running UTC day and since the beginning; USD."""

    dailySpend: float
    totalSpend: float


class JohnsComponent(Message):
    """Invoiced and collected revenue; USD."""

    invoiced: float
    collected: float
    pipeline: float = Field(default=0.0, description="Deals not yet won; counted nowhere.")


class Components(Message):
    kalshi: KalshiComponent
    anthropic: AnthropicComponent
    johns: JohnsComponent


class SourceState(Message):
    """Where a source's figures come from and how old they are."""

    status: SourceStatus
    tier: Tier
    asOf: str | None
    ageMs: int | None
    error: str | None
    estimated: bool = Field(default=False, description="Priced by us, for want of the upstream's own figure.")
    notes: list[str] = Field(default_factory=list, description="What an estimate lacks.")


class Sources(Message):
    kalshi: SourceState
    anthropic: SourceState
    johns: SourceState


class Summary(Message):
    """The four sums; USD, and percent for the margin."""

    totalRevenue: float
    totalExpenses: float
    netPnL: float
    grossMargin: float


class Exact(Message):
    """Figures before rounding, as decimal text; USD."""

    netPnL: str = Field(pattern=r"^-?\d+\.\d{2,}$", examples=["1374.504999"])


class Snapshot(Summary):
    """One published P&L. `(epoch, seq)` orders snapshots, `degraded` names sources that have told nothing yet."""

    dailyTrend: float
    components: Components
    timestamp: str = IsoTime
    calculatedAt: int = Field(ge=0)
    epoch: str
    seq: int = Field(ge=0)
    degraded: list[str]
    sources: Sources
    simulated: bool = Field(default=False, description="The demo: every figure is invented.")
    stored: bool = Field(default=True, description="False while the ledger could not be written.")
    exact: Exact | None = Field(
        default=None,
        description="The net P&L before rounding; absent where the ledger did not keep it.",
        json_schema_extra=_without_default,
    )
    period: Literal["all", "mtd", "today"] = Field(default="all", description="Only where a period was asked for.")


class CostEntry(Message):
    name: str
    value: float
    percentage: float


class AgentEntry(Message):
    agent: str
    revenue: float
    expenses: float
    net: float


class Breakdown(Message):
    """The components with their sums, what the costs consist of, and whose they are."""

    kalshi: KalshiComponent
    anthropic: AnthropicComponent
    johns: JohnsComponent
    summary: Summary
    costBreakdown: list[CostEntry]
    agentAttribution: list[AgentEntry]
    timestamp: str = IsoTime
    epoch: str
    seq: int = Field(ge=0)


class LedgerParts(Message):
    trades: float
    costs: float = Field(le=0)
    revenue: float


class Deal(Message):
    """One of John's deals; USD."""

    id: str
    name: str
    amount: float
    status: str
    closedDate: str | None


class LedgerCounts(Message):
    """How many markets are open and closed; `recentDeals` counts `deals`."""

    openTradeCount: int = Field(ge=0)
    closedTradeCount: int = Field(ge=0)
    recentDeals: int = Field(ge=0)
    deals: list[Deal]


class LedgerMetadata(Message):
    dataPoints: int = Field(ge=0)
    computedAt: int = Field(ge=0)


class LedgerFigures(Message):
    """netPnL = kalshiPnL + totalRevenue - totalCosts; `totalRevenue` is what John collected, alone. USD."""

    netPnL: float
    kalshiPnL: float
    totalCosts: float
    totalRevenue: float
    breakdown: LedgerParts
    components: LedgerCounts
    metadata: LedgerMetadata


class HistoryRow(Message):
    """One moment, or one interval: net P&L with its course, and the last of the rest; USD."""

    timestamp: int = Field(ge=0)
    netPnL: float
    kalshiPnL: float
    costs: float
    revenue: float
    open: float
    high: float
    low: float
    close: float
    count: int = Field(ge=0)
    date: str = Field(
        default="", description="With resolution 1d and 1w only: the business day that the row begins with, YYYY-MM-DD."
    )
    imported: bool = Field(default=False, description="True in rows that `pnl-backend import` took over.")


class History(Message):
    """Oldest first: snapshots when asked by limit, rows when asked by range."""

    count: int = Field(ge=0)
    data: list[Snapshot] | list[HistoryRow]
    timestamp: str = IsoTime
    limited: bool = Field(default=False, description="True where `limit` asked for more than is answered at most.")


class BreakerState(Message):
    state: Literal["CLOSED", "OPEN", "HALF_OPEN"]
    failureCount: int = Field(ge=0)
    lastFailureTime: int | None
    lastSuccessTime: int | None
    nextAttemptTime: int | None


class BreakerConfig(Message):
    failureThreshold: int
    resetTimeout: int


class BreakerServices(Message):
    kalshi: BreakerState
    anthropic: BreakerState
    johns_revenue: BreakerState


class Breakers(Message):
    """One breaker for each upstream; times in ms since the epoch."""

    timestamp: str = IsoTime
    services: BreakerServices
    config: BreakerConfig


class BreakerReset(Message):
    """Which breaker to close; without a service all of them."""

    service: str = Field(default="", min_length=1, examples=["kalshi"], json_schema_extra=_without_default)


class BreakerResetDone(Message):
    reset: list[str]


class TierStats(Message):
    hits: int
    misses: int
    size: int | None = None
    p50Ms: float | None = None
    p99Ms: float | None = None


class TiersStats(Message):
    memory: TierStats
    redis: TierStats
    sqlite: TierStats
    fallback: TierStats


class CacheStats(Message):
    hits: int
    misses: int
    sets: int
    deletes: int
    errors: int
    total: int
    hitRate: str = Field(pattern=r"^\d+\.\d\d%$", examples=["84.25%"])
    processCacheSize: int
    timestamp: str = IsoTime
    tiers: TiersStats


class CacheCleared(Message):
    cleared: Literal[True]


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
    since: str = IsoTime
    detail: str | None = None


class Health(Message):
    """`unhealthy` (503) when the loop has stopped or the store cannot be written."""

    status: Literal["healthy", "unhealthy"]
    timestamp: str = IsoTime
    uptime: float
    environment: str
    services: HealthServices
    demo: bool = False
    degraded: list[str] = Field(default_factory=list, description="Parts that are not well.")
    parts: dict[str, HealthPart] = Field(default_factory=dict)


class BriefCacheStats(Message):
    hitRate: str
    hits: int
    misses: int
    total: int


class BriefHealth(Message):
    """The clients and the cache, and what a client needs to read the figures: whose midnights part the days, and how
    often an update is due.
    """

    status: Literal["ok"]
    timestamp: int
    connectedClients: int
    cacheStats: BriefCacheStats
    uptime: float
    businessTimezone: str = Field(description="IANA name of the zone of the business days.", examples=["UTC"])
    updateIntervalMs: int = Field(gt=0, description="Time between two updates, ms.")


class Probe(Message):
    status: Literal["live", "ready", "starting", "draining"]


class ErrorDetail(Message):
    """`id` stands in the server's log too; `retryAfter` (s) with 429, `stack` in development only."""

    message: str
    code: str
    id: str
    retryAfter: int | None = None
    stack: str | None = None


class Failure(Message):
    success: Literal[False]
    error: ErrorDetail
    timestamp: str = IsoTime
