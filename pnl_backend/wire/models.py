"""The snapshot, its breakdown and the breakers as models, from which the descriptions are built."""
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


class Components(Message):
    """The figures of each source, by its name."""


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
    """The state of each source, by its name."""


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

    summary: Summary
    costBreakdown: list[CostEntry]
    agentAttribution: list[AgentEntry]
    timestamp: str = IsoTime
    epoch: str
    seq: int = Field(ge=0)


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
    """The circuit breaker of each source, by its service name."""


class Breakers(Message):
    """One breaker for each upstream; times in ms since the epoch."""

    timestamp: str = IsoTime
    services: BreakerServices
    config: BreakerConfig
