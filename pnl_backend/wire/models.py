"""The snapshot and its breakdown as clients receive them; the figures of each source are declared with the source."""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import field

from pnl_backend.domain.readings import SourceStatus, Tier
from pnl_backend.wire.message import UNSET, Always, Count, IsoTime, Message, Meta, Millis, UnsetType

Period = Literal["all", "mtd", "today"]
Component = dict[str, Any]
"""The figures of one source."""


Mark = Literal["account_changed", "importing"]


_COMPLETE = (
    "Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare."
)
Degraded = Annotated[list[str], Meta(description="Sources that have given no reading yet: their figures are zeros.")]
Estimated = Annotated[bool, Meta(description="Whether any source's figures are an estimate.")]
Complete = Annotated[bool, Meta(description=_COMPLETE)]


class Importing(Message):
    """Progress of the first import of a source's history: what is read, and how many rows so far."""

    what: str
    done: Count
    total: Annotated[int | None, Meta(description="Null where the number of rows is unknown.")] = None


class Verified(Message):
    """Whether figures that were derived a second time agree; null where history does not reach back."""

    realized: Annotated[bool | None, Meta(description="The realized P&L, from fills and settlements alone.")]
    equity: Annotated[bool | None, Meta(description="Cash and positions, from deposits.")]
    gap: Annotated[str, Meta(description="The larger difference, as decimal text; USD.", examples=["0.00"])]


class SourceState(Message):
    """The origin of a source's figures and their age (`ageMs`, ms)."""

    status: SourceStatus
    tier: Tier
    asOf: str | None
    ageMs: int | None
    error: str | None
    estimated: Annotated[
        bool, Meta(description="Computed from usage and prices, because the upstream's own figure is missing.")
    ] = False
    notes: Annotated[list[str], Meta(description="What an estimate lacks.")] = field(default_factory=list)
    importing: Annotated[
        Importing | UnsetType, Meta(description="Only while the source's history is read for the first time.")
    ] = UNSET
    marks: Annotated[
        list[Mark] | UnsetType,
        Meta(
            description="Notes on the figures: account_changed while the upstream answers for another account "
            "(they are the last good ones), importing while history is read. Absent where there is none."
        ),
    ] = UNSET
    verified: Annotated[Verified | UnsetType, Meta(description="Only where figures are derived a second time.")] = UNSET


class Summary(Message):
    """The four sums; USD, and percent for the margin."""

    totalRevenue: float
    totalExpenses: float
    netPnL: float
    grossMargin: float


class Exact(Message):
    """Figures before rounding, as decimal text; USD."""

    netPnL: Annotated[str, Meta(pattern=r"^-?\d+\.\d{2,}$", examples=["1374.504999"])]


class Snapshot(Summary):
    """One published P&L. `(epoch, seq)` orders snapshots, `degraded` names sources that have given no reading yet."""

    dailyTrend: float
    components: dict[str, Component]
    timestamp: IsoTime
    calculatedAt: Millis
    epoch: str
    seq: Count
    degraded: list[str]
    sources: dict[str, SourceState]
    simulated: Annotated[bool, Meta(description="The demo: the figures are those of a simulator.")] = False
    stored: Annotated[bool, Meta(description="False while the ledger could not be written.")] = True
    period: Annotated[Period | UnsetType, Meta(description="Only in answers for a period.")] = UNSET
    exact: Annotated[
        Exact | UnsetType, Meta(description="The net P&L before rounding; absent where the ledger did not keep it.")
    ] = UNSET
    estimated: Estimated = False
    complete: Annotated[
        bool | UnsetType, Meta(description=f"{_COMPLETE} Absent in history of versions that did not record it.")
    ] = UNSET
    restated: Annotated[
        Always | UnsetType,
        Meta(description="In history only: the snapshot was found wrong later, and is shown as it was published."),
    ] = UNSET
    since: Annotated[
        IsoTime | UnsetType,
        Meta(description="In answers for a period: when it begins, or when the ledger does, if that is later."),
    ] = UNSET
    partial: Annotated[
        Always | UnsetType, Meta(description="Where the period began before the first complete snapshot.")
    ] = UNSET


class CostEntry(Message):
    """The sum of one kind of cost in USD, and its percentage of all costs before credits.

    A credit has a negative value and 0 percent.
    """

    name: str
    value: float
    percentage: float


class AgentEntry(Message):
    """What one agent earned and cost; USD."""

    agent: str
    revenue: float
    expenses: float
    net: float


class Breakdown(Message):
    """The components with their sums, the costs by kind, and revenue and costs by agent."""

    summary: Summary
    costBreakdown: list[CostEntry]
    agentAttribution: list[AgentEntry]
    timestamp: IsoTime
    epoch: str
    seq: Count
    degraded: Degraded
    estimated: Estimated
    complete: Complete
