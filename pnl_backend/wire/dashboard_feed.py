"""The dashboard's flat message (plain WebSocket and Socket.IO), and how it follows from snapshots."""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated

from pnl_backend.domain.money import number
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import iso
from pnl_backend.wire.message import UNSET, Always, Count, Day, IsoTime, Message, Meta, Never, UnsetType
from pnl_backend.wire.models import AgentEntry, Complete, CostEntry, Degraded, Estimated
from pnl_backend.wire.views import agents_view, costs_view


class Trend(Message):
    """The totals at the end of a business day, today's at the time of the message; USD."""

    date: Day
    revenue: float
    expenses: float
    net: float
    complete: Annotated[
        Never | UnsetType, Meta(description="Where the totals are not those of a complete snapshot.")
    ] = UNSET
    restated: Annotated[
        Always | UnsetType, Meta(description="The totals were found wrong later, and are shown as they were published.")
    ] = UNSET


class DashboardMessage(Message):
    """The sums, the last sums of the day before (on the first day the first complete ones), and 30 days; USD."""

    timestamp: IsoTime
    revenue: float
    expenses: float
    netPnL: float
    previousRevenue: float
    previousExpenses: float
    previousNetPnL: float
    trendsData: list[Trend]
    costBreakdown: list[CostEntry]
    agentAttribution: list[AgentEntry]
    epoch: str
    seq: Count
    degraded: Degraded
    estimated: Estimated
    complete: Complete
    since: Annotated[
        IsoTime | UnsetType, Meta(description="When `previous*` were published, where that is in the day itself.")
    ] = UNSET


def dashboard_message(
    s: Snapshot, previous: Snapshot, trends: Sequence[Trend], *, same_day: bool = False
) -> DashboardMessage:
    """Clients compare the sums with those of `previous`, and divide by them."""
    return DashboardMessage(
        timestamp=iso(s.at),
        revenue=number(s.total_revenue),
        expenses=number(s.total_expenses),
        netPnL=number(s.net_pnl),
        previousRevenue=number(previous.total_revenue),
        previousExpenses=number(previous.total_expenses),
        previousNetPnL=number(previous.net_pnl),
        trendsData=list(trends),
        costBreakdown=costs_view(s.costs),
        agentAttribution=agents_view(s.agents),
        epoch=s.epoch,
        seq=s.seq,
        degraded=list(s.degraded),
        estimated=s.estimated,
        complete=s.complete,
        since=iso(previous.at) if same_day else UNSET,
    )


def trend(day: date, revenue: Decimal, expenses: Decimal, *, complete: bool = True, restated: bool = False) -> Trend:
    """The totals at the end of the day."""
    net = number(revenue - expenses)
    return Trend(
        day.isoformat(),
        number(revenue),
        number(expenses),
        net,
        UNSET if complete else False,
        True if restated else UNSET,
    )
