"""A snapshot in each JSON shape of the wire contract, and as the record that the ledger keeps.

Every function returns plain dicts and floats ready for a JSON encoder; floats carry at most two decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import orjson

from pnl_backend.domain.attribution import AgentEntry, CostEntry
from pnl_backend.domain.money import HUNDRED, decimal_text, number
from pnl_backend.domain.readings import SOURCES, Deal
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import (
    AnthropicFigures,
    JohnsFigures,
    KalshiFigures,
    Snapshot,
    SourceState,
    gross_margin,
)
from pnl_backend.domain.times import iso
from pnl_backend.wire.kept import kept_json

Json = dict[str, Any]
Period = Literal["all", "mtd", "today"]


def snapshot_view(s: Snapshot) -> Json:
    """The snapshot as `pnl_update` and `/api/pnl/current` carry it."""
    return {
        **summary_view(s),
        "dailyTrend": number(s.daily_trend),
        "components": {"kalshi": _kalshi(s.kalshi), "anthropic": _anthropic(s.anthropic), "johns": _johns(s.johns)},
        "timestamp": iso(s.at),
        "calculatedAt": s.at,
        "epoch": s.epoch,
        "seq": s.seq,
        "degraded": list(s.degraded),
        "sources": {name: _source(s.sources[name]) for name in SOURCES},
        "simulated": s.simulated,
        "stored": s.stored,
        **_exact(s.exact_net_pnl),
    }


def summary_view(s: Snapshot) -> Json:
    return {
        "totalRevenue": number(s.total_revenue),
        "totalExpenses": number(s.total_expenses),
        "netPnL": number(s.net_pnl),
        "grossMargin": number(s.gross_margin),
    }


def breakdown_view(s: Snapshot) -> Json:
    """The breakdown as `components_update` and `/api/pnl/breakdown` carry it."""
    return {
        "kalshi": _kalshi(s.kalshi),
        "anthropic": _anthropic(s.anthropic),
        "johns": _johns(s.johns),
        "summary": summary_view(s),
        "costBreakdown": costs_view(s.costs),
        "agentAttribution": agents_view(s.agents),
        "timestamp": iso(s.at),
        "epoch": s.epoch,
        "seq": s.seq,
    }


def period_view(s: Snapshot, base: Snapshot | None, period: Period) -> Json:
    """The snapshot less `base`, the last one before the period began; balances, counts and sources stay as they are.

    `dailyTrend` stays the day's trend whatever the period, so that the three periods differ only in what they sum.
    """
    view = snapshot_view(s)
    view["period"] = period
    if base is None:
        return view
    revenue, expenses = s.total_revenue - base.total_revenue, s.total_expenses - base.total_expenses
    view["totalRevenue"], view["totalExpenses"] = number(revenue), number(expenses)
    view["netPnL"], view["grossMargin"] = number(revenue - expenses), number(gross_margin(revenue, expenses))
    view.pop("exact", None)
    if s.exact_net_pnl is not None and base.exact_net_pnl is not None:
        view |= _exact(s.exact_net_pnl - base.exact_net_pnl)
    kalshi, anthropic, johns = (view["components"][name] for name in SOURCES)
    kalshi["pnl"] = number(s.kalshi.pnl - base.kalshi.pnl)
    kalshi["realizedPnl"] = number(s.kalshi.realized_pnl - base.kalshi.realized_pnl)
    kalshi["unrealizedPnl"] = number(s.kalshi.unrealized_pnl - base.kalshi.unrealized_pnl)
    kalshi["fees"] = number(s.kalshi.fees - base.kalshi.fees)
    anthropic["totalSpend"] = number(s.anthropic.total_spend - base.anthropic.total_spend)
    johns["invoiced"] = number(s.johns.invoiced - base.johns.invoiced)
    johns["collected"] = number(s.johns.collected - base.johns.collected)
    return view


def to_record(s: Snapshot) -> Record:
    """What the ledger commits: the published JSON, and beside it what the other views need."""
    detail = {
        "costs": costs_view(s.costs),
        "agents": agents_view(s.agents),
        "closed": s.kalshi.closed_positions,
        "portfolioValue": None if s.kalshi.portfolio_value is None else number(s.kalshi.portfolio_value),
        "deals": [deal_view(deal) for deal in s.johns.recent_deals],
    }
    return Record(
        epoch=s.epoch,
        seq=s.seq,
        at=s.at,
        net_cents=_cents(s.net_pnl),
        kalshi_cents=_cents(s.kalshi.pnl),
        costs_cents=_cents(s.total_expenses),
        revenue_cents=_cents(s.johns.collected),
        data=kept_json(snapshot_view(s)),
        detail=kept_json(detail),
    )


def from_record(record: Record) -> Snapshot:
    """The snapshot as it was published; raises ValueError for a record that is not ours."""
    try:
        return _from_json(record, orjson.loads(record.data), orjson.loads(record.detail))
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"record {record.epoch}-{record.seq} is not a snapshot: {error!r}") from error


def usd(amount_cents: int) -> float:
    """Whole cents as a JSON number."""
    return amount_cents / 100


def _from_json(record: Record, data: Json, detail: Json) -> Snapshot:
    kalshi, anthropic, johns = (data["components"][name] for name in SOURCES)
    return Snapshot(
        epoch=record.epoch,
        seq=record.seq,
        at=record.at,
        kalshi=KalshiFigures(
            balance=_decimal(kalshi["balance"]),
            positions=kalshi["positions"],
            realized_pnl=_decimal(kalshi["realizedPnl"]),
            unrealized_pnl=_decimal(kalshi["unrealizedPnl"]),
            fees=_decimal(kalshi["fees"]),
            closed_positions=detail["closed"],
            marks=kalshi["marks"],
            portfolio_value=None if detail["portfolioValue"] is None else _decimal(detail["portfolioValue"]),
        ),
        anthropic=AnthropicFigures(_decimal(anthropic["dailySpend"]), _decimal(anthropic["totalSpend"])),
        johns=JohnsFigures(
            _decimal(johns["invoiced"]),
            _decimal(johns["collected"]),
            _decimal(johns["pipeline"]),
            tuple(_deal_from(deal) for deal in detail["deals"]),
        ),
        daily_trend=_decimal(data["dailyTrend"]),
        sources={name: _source_from(data["sources"][name]) for name in SOURCES},
        costs=tuple(
            CostEntry(row["name"], _decimal(row["value"]), Decimal(str(row["percentage"]))) for row in detail["costs"]
        ),
        agents=tuple(
            AgentEntry(row["agent"], _decimal(row["revenue"]), _decimal(row["expenses"])) for row in detail["agents"]
        ),
        simulated=data["simulated"],
        stored=data["stored"],
        exact_net_pnl=Decimal(data["exact"]["netPnL"]) if "exact" in data else None,
    )


def _exact(net: Decimal | None) -> Json:
    """The net P&L before rounding, where it is known."""
    return {} if net is None else {"exact": {"netPnL": decimal_text(net)}}


def _kalshi(k: KalshiFigures) -> Json:
    return {
        "balance": number(k.balance),
        "positions": k.positions,
        "pnl": number(k.pnl),
        "realizedPnl": number(k.realized_pnl),
        "unrealizedPnl": number(k.unrealized_pnl),
        "fees": number(k.fees),
        "marks": dict(k.marks),
    }


def _anthropic(a: AnthropicFigures) -> Json:
    return {"dailySpend": number(a.daily_spend), "totalSpend": number(a.total_spend)}


def _johns(j: JohnsFigures) -> Json:
    return {"invoiced": number(j.invoiced), "collected": number(j.collected), "pipeline": number(j.pipeline)}


def _source(state: SourceState) -> Json:
    return {
        "status": state.status,
        "tier": state.tier,
        "asOf": None if state.as_of is None else iso(state.as_of),
        "ageMs": state.age_ms,
        "error": state.error,
        "estimated": state.estimated,
        "notes": list(state.notes),
    }


def _source_from(view: Mapping[str, Any]) -> SourceState:
    as_of = None if view["asOf"] is None else _ms(view["asOf"])
    return SourceState(
        view["status"], view["tier"], as_of, view["ageMs"], view["error"], view["estimated"], tuple(view["notes"])
    )


def costs_view(entries: Sequence[CostEntry]) -> list[Json]:
    return [
        {"name": entry.name, "value": number(entry.value), "percentage": number(entry.percentage)} for entry in entries
    ]


def agents_view(entries: Sequence[AgentEntry]) -> list[Json]:
    return [
        {
            "agent": entry.agent,
            "revenue": number(entry.revenue),
            "expenses": number(entry.expenses),
            "net": number(entry.net),
        }
        for entry in entries
    ]


def deal_view(deal: Deal) -> Json:
    closed = None if deal.closed_at is None else iso(deal.closed_at)
    return {
        "id": deal.id,
        "name": deal.name,
        "amount": number(deal.amount),
        "status": deal.status,
        "closedDate": closed,
    }


def _deal_from(view: Mapping[str, Any]) -> Deal:
    closed = None if view["closedDate"] is None else _ms(view["closedDate"])
    return Deal(view["id"], view["name"], _decimal(view["amount"]), view["status"], closed)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _decimal(value: float) -> Decimal:
    """A published number back to exact cents: its shortest decimal form is what was written."""
    return Decimal(repr(value))


def _cents(amount: Decimal) -> int:
    return int(amount * HUNDRED)
