"""A snapshot in the JSON shapes of the ledger feed and of the dashboard feed, as plain dicts and floats."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pnl_backend.domain.delta import Delta, Sums
from pnl_backend.domain.money import number
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import iso
from pnl_backend.wire.components import deal_view
from pnl_backend.wire.json_values import Json
from pnl_backend.wire.views import agents_view, costs_view, usd

_PLACE = ("timestamp", "epoch", "seq")


def ledger_view(s: Snapshot, base: Snapshot | None = None) -> Json:
    """The ledger feed's snapshot: here `totalRevenue` is all but the trading P&L, which is `kalshiPnL`.

    Its data points are the trades, costs and deals that it shows or sums.

    With `base`, the last snapshot before a period, the figures are the period's; counts stay as they are.
    """
    trades, costs, collected = s.kalshi.pnl, s.total_expenses, s.collected_revenue
    if base is not None:
        trades, costs, collected = (
            trades - base.kalshi.pnl,
            costs - base.total_expenses,
            collected - base.collected_revenue,
        )
    deals = [deal_view(deal) for deal in s.johns.recent_deals]
    return {
        "timestamp": s.at,
        "kalshiPnL": number(trades),
        "totalCosts": number(costs),
        "totalRevenue": number(collected),
        "netPnL": number(trades + collected - costs),
        "breakdown": _parts(number(trades), number(costs), number(collected)),
        "components": {
            "openTradeCount": s.kalshi.positions,
            "closedTradeCount": s.kalshi.closed_positions,
            "recentDeals": len(deals),
            "deals": deals,
        },
        "metadata": {
            "dataPoints": s.kalshi.positions + s.kalshi.closed_positions + len(s.costs) + len(deals),
            "computedAt": s.at,
        },
        "epoch": s.epoch,
        "seq": s.seq,
    }


def ledger_fields(ledger: Json) -> Json:
    """What stands beside the envelope of `/api/pnl/current`: the ledger without its time and place."""
    return {name: value for name, value in ledger.items() if name not in _PLACE}


def delta_view(d: Delta, after: Sums) -> Json:
    """A delta with the sums that it leads to, so that a client may add it or replace what it holds."""
    trades, costs, collected = usd(after.kalshi), usd(after.costs), usd(after.revenue)
    return {
        "timestamp": d.at,
        "netPnLDelta": usd(d.net),
        "kalshiDelta": usd(d.kalshi),
        "costsDelta": usd(d.costs),
        "revenueDelta": usd(d.revenue),
        "changePercent": number(d.change_percent),
        "netPnL": usd(after.net),
        "kalshiPnL": trades,
        "totalCosts": costs,
        "totalRevenue": collected,
        "breakdown": _parts(trades, costs, collected),
        "seq": d.seq,
        "prevSeq": d.prev_seq,
    }


def dashboard_view(s: Snapshot, previous: Snapshot, trends: Sequence[Json]) -> Json:
    """The dashboard message; clients compare it with `previous`, and divide by that."""
    return {
        "timestamp": iso(s.at),
        "revenue": number(s.total_revenue),
        "expenses": number(s.total_expenses),
        "netPnL": number(s.net_pnl),
        "previousRevenue": number(previous.total_revenue),
        "previousExpenses": number(previous.total_expenses),
        "previousNetPnL": number(previous.net_pnl),
        "trendsData": list(trends),
        "costBreakdown": costs_view(s.costs),
        "agentAttribution": agents_view(s.agents),
        "epoch": s.epoch,
        "seq": s.seq,
    }


def trend_row(day: str, revenue: Decimal, expenses: Decimal) -> Json:
    """One day of `trendsData`: the totals as they stood at the day's end."""
    return {"date": day, "revenue": number(revenue), "expenses": number(expenses), "net": number(revenue - expenses)}


def _parts(trades: float, costs: float, collected: float) -> Json:
    """What the net consists of, costs negative."""
    return {"trades": trades, "costs": -costs or 0.0, "revenue": collected}
