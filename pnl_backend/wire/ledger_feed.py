"""The ledger feed (plain WebSocket and server-sent events): its messages, and how they follow from snapshots.

Its times are ms since the epoch. Here `kalshiPnL` is the trading P&L and `totalRevenue` all other revenue.
"""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from typing import Annotated

from pnl_backend.domain.delta import Delta, Sums
from pnl_backend.domain.money import number
from pnl_backend.domain.readings import Deal as ClosedDeal
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import iso
from pnl_backend.wire.message import UNSET, Count, Message, Meta, Millis, UnsetType, as_model
from pnl_backend.wire.models import Complete, Degraded, Estimated


class LedgerParts(Message):
    """What the net consists of; USD."""

    trades: float
    costs: Annotated[float, Meta(le=0)]
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

    openTradeCount: Count
    closedTradeCount: Count
    recentDeals: Count
    deals: list[Deal]


class LedgerMetadata(Message):
    """`dataPoints` counts the trades, costs and deals that the ledger shows or sums."""

    dataPoints: Count
    computedAt: Millis


class LedgerFigures(Message):
    """netPnL = kalshiPnL + totalRevenue - totalCosts; `totalRevenue` is what John collected, alone. USD."""

    kalshiPnL: float
    totalCosts: float
    totalRevenue: float
    netPnL: float
    breakdown: LedgerParts
    components: LedgerCounts
    metadata: LedgerMetadata
    degraded: Degraded
    estimated: Estimated
    complete: Complete


class Ledger(LedgerFigures):
    """The ledger with its time and its sequence number."""

    timestamp: Millis
    epoch: str
    seq: Count


class LedgerDelta(Message):
    """What changed since the message with `prevSeq`, and the sums after the change; USD."""

    timestamp: Millis
    netPnLDelta: float
    kalshiDelta: float
    costsDelta: float
    revenueDelta: float
    changePercent: float
    netPnL: float
    kalshiPnL: float
    totalCosts: float
    totalRevenue: float
    breakdown: LedgerParts
    seq: Count
    prevSeq: Count
    degraded: Degraded
    estimated: Estimated
    complete: Complete
    components: Annotated[LedgerCounts, Meta(description="Where a count or a deal has changed.")] | UnsetType = UNSET


class SnapshotMessage(Message, tag_field="type", tag="snapshot"):
    """The whole ledger: first, every 60 s, and after any gap."""

    data: Ledger
    timestamp: Millis


class DeltaMessage(Message, tag_field="type", tag="delta"):
    """A change by a cent or more."""

    data: LedgerDelta
    timestamp: Millis


class SnapshotEvent(Ledger, tag_field="type", tag="snapshot"):
    """A snapshot as an event: the ledger's fields are at its top level too, for pages that do not read `data`."""

    data: Ledger


class DeltaEvent(Ledger, tag_field="type", tag="delta"):
    """A delta as an event, with the whole ledger after it at its top level."""

    data: LedgerDelta


def ledger_figures(s: Snapshot, base: Snapshot | None = None) -> LedgerFigures:
    """The ledger of a snapshot; with `base`, the last snapshot before a period, the period's, counts as they are."""
    trades, costs, collected = s.kalshi.pnl, s.total_expenses, s.collected_revenue
    if base is not None:
        trades, costs = trades - base.kalshi.pnl, costs - base.total_expenses
        collected -= base.collected_revenue
    deals = [deal(each) for each in s.johns.recent_deals]
    opened, closed = s.kalshi.positions, s.kalshi.closed_positions
    return LedgerFigures(
        kalshiPnL=number(trades),
        totalCosts=number(costs),
        totalRevenue=number(collected),
        netPnL=number(trades + collected - costs),
        breakdown=_parts(number(trades), number(costs), number(collected)),
        components=LedgerCounts(opened, closed, len(deals), deals),
        metadata=LedgerMetadata(dataPoints=opened + closed + len(s.costs) + len(deals), computedAt=s.at),
        degraded=list(s.degraded),
        estimated=s.estimated,
        complete=s.complete,
    )


def ledger(s: Snapshot) -> Ledger:
    return as_model(ledger_figures(s), Ledger, timestamp=s.at, epoch=s.epoch, seq=s.seq)


def ledger_delta(d: Delta, after: Sums, s: Snapshot, components: LedgerCounts | UnsetType = UNSET) -> LedgerDelta:
    """A delta with the sums and marks after it, so that a client may add the changes or replace its figures.

    `components` are given where they have changed.
    """
    trades, costs, collected = usd(after.kalshi), usd(after.costs), usd(after.revenue)
    return LedgerDelta(
        timestamp=d.at,
        netPnLDelta=usd(d.net),
        kalshiDelta=usd(d.kalshi),
        costsDelta=usd(d.costs),
        revenueDelta=usd(d.revenue),
        changePercent=number(d.change_percent),
        netPnL=usd(after.net),
        kalshiPnL=trades,
        totalCosts=costs,
        totalRevenue=collected,
        breakdown=_parts(trades, costs, collected),
        seq=d.seq,
        prevSeq=d.prev_seq,
        degraded=list(s.degraded),
        estimated=s.estimated,
        complete=s.complete,
        components=components,
    )


def deal(d: ClosedDeal) -> Deal:
    return Deal(d.id, d.name, number(d.amount), d.status, None if d.closed_at is None else iso(d.closed_at))


def usd(amount_cents: int) -> float:
    """Whole cents as a JSON number."""
    return amount_cents / 100


def _parts(trades: float, costs: float, collected: float) -> LedgerParts:
    return LedgerParts(trades, -costs or 0.0, collected)
