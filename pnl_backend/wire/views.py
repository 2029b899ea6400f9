"""A snapshot in each shape of the wire contract, and as the record that the ledger keeps.

Numbers carry at most two decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from pnl_backend.domain.breakdown import AgentEntry, CostEntry
from pnl_backend.domain.classic import CLASSIC, CLASSIC_FIGURES, lines_of
from pnl_backend.domain.lines import PublishedLine
from pnl_backend.domain.money import HUNDRED, decimal_text, number
from pnl_backend.domain.readings import Progress, SourceName
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot, SourceState, Verified, gross_margin, publish_line
from pnl_backend.domain.times import iso
from pnl_backend.wire import components, models
from pnl_backend.wire.json_values import Json, decimal_of, ms_of
from pnl_backend.wire.message import UNSET, UnsetType, encode, encode_kept, merged

_DECODER = msgspec.json.Decoder(models.Snapshot)


def snapshot_view(s: Snapshot) -> models.Snapshot:
    """The snapshot as `pnl_update` and `/api/pnl/current` carry it."""
    return models.Snapshot(
        totalRevenue=number(s.total_revenue),
        totalExpenses=number(s.total_expenses),
        netPnL=number(s.net_pnl),
        grossMargin=number(s.gross_margin),
        dailyTrend=number(s.daily_trend),
        components=_components(s),
        timestamp=iso(s.at),
        calculatedAt=s.at,
        epoch=s.epoch,
        seq=s.seq,
        degraded=list(s.degraded),
        sources={name: _source(state) for name, state in s.sources.items()},
        simulated=s.simulated,
        stored=s.stored,
        exact=_exact(s.exact_net_pnl),
        estimated=s.estimated,
        complete=s.complete,
    )


def breakdown_json(s: Snapshot) -> bytes:
    """The breakdown as `components_update` and `/api/pnl/breakdown` carry it: the components, and what they make."""
    summary = models.Summary(
        number(s.total_revenue), number(s.total_expenses), number(s.net_pnl), number(s.gross_margin)
    )
    costs, agents = costs_view(s.costs), agents_view(s.agents)
    made = models.Breakdown(summary, costs, agents, iso(s.at), s.epoch, s.seq, *marks_view(s))
    return merged(encode(_components(s)), encode(made))


def marks_view(s: Snapshot) -> tuple[list[SourceName], bool, bool]:
    """The last three fields of every message that shows a snapshot's figures: degraded, estimated, complete."""
    return list(s.degraded), s.estimated, s.complete


def period_view(
    s: Snapshot, base: Snapshot | None, period: models.Period, begins: int | None = None
) -> models.Snapshot:
    """The snapshot less `base`, the last one before the period began; balances, counts and sources stay as they are.

    `begins` is the period's first instant (ms); a base at or after it makes the period partial. `dailyTrend` stays the
    day's trend whatever the period, so that the three periods differ only in what they sum.
    """
    view = replace(snapshot_view(s), period=period)
    if begins is not None and base is not None:
        partial = base.at >= begins
        view = replace(view, since=iso(base.at if partial else begins), partial=True if partial else UNSET)
    if base is None:
        return view
    revenue, expenses = s.total_revenue - base.total_revenue, s.total_expenses - base.total_expenses
    exact = None
    if s.exact_net_pnl is not None and base.exact_net_pnl is not None:
        exact = s.exact_net_pnl - base.exact_net_pnl
    return replace(
        view,
        totalRevenue=number(revenue),
        totalExpenses=number(expenses),
        netPnL=number(revenue - expenses),
        grossMargin=number(gross_margin(revenue, expenses)),
        exact=_exact(exact),
        components={
            name: shown | components.since(s.components[name], base.components.get(name))
            for name, shown in view.components.items()
        },
    )


def to_record(s: Snapshot) -> Record:
    """What the ledger commits: the published JSON, and beside it what the other views need."""
    detail: Json = {"costs": costs_view(s.costs), "agents": agents_view(s.agents)}
    for figures in s.components.values():
        detail |= components.kept(figures)
    if further := [name for name in s.components if name not in CLASSIC]:
        detail["further"] = {name: _further(s, name) for name in further}
    return Record(
        epoch=s.epoch,
        seq=s.seq,
        at=s.at,
        net_cents=_cents(s.net_pnl),
        kalshi_cents=_cents(s.kalshi.pnl),
        costs_cents=_cents(s.total_expenses),
        revenue_cents=_cents(s.collected_revenue),
        data=encode_kept(snapshot_view(s)),
        detail=encode_kept(detail),
        marks=s.marks,
    )


def from_record(record: Record) -> Snapshot:
    """The snapshot as it was published; raises ValueError for a record that is not ours."""
    try:
        return _restored(record, _DECODER.decode(record.data), msgspec.json.decode(record.detail))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"record {record.epoch}-{record.seq} is not a snapshot: {error!r}") from error


def _restored(record: Record, data: models.Snapshot, detail: Json) -> Snapshot:
    further = detail.get("further", {})
    figures = {
        name: components.restored(CLASSIC_FIGURES.get(name), shown, detail, further.get(name, {}).get("cumulative", ()))
        for name, shown in data.components.items()
    }
    return Snapshot(
        epoch=record.epoch,
        seq=record.seq,
        at=record.at,
        components=figures,
        lines=tuple(line for name in figures for line in _lines_from(name, figures[name], further.get(name))),
        daily_trend=decimal_of(data.dailyTrend),
        sources={name: _source_from(state) for name, state in data.sources.items()},
        costs=tuple(
            CostEntry(row["name"], decimal_of(row["value"]), Decimal(str(row["percentage"]))) for row in detail["costs"]
        ),
        agents=tuple(
            AgentEntry(row["agent"], decimal_of(row["revenue"]), decimal_of(row["expenses"]))
            for row in detail["agents"]
        ),
        simulated=data.simulated,
        stored=data.stored,
        complete=record.marks.complete if isinstance(data.complete, UnsetType) else data.complete,
        exact_net_pnl=None if isinstance(data.exact, UnsetType) else Decimal(data.exact.netPnL),
    )


def _further(s: Snapshot, name: SourceName) -> Json:
    """What a record keeps of a source beyond the classic three, so that it can be read when the source has gone."""
    lines = [[line.kind, line.name, number(line.amount)] for line in s.lines if line.source == name]
    return {"lines": lines, "cumulative": components.cumulative(s.components[name])}


def _lines_from(name: SourceName, figures: Any, further: Json | None) -> Sequence[PublishedLine]:
    if name in CLASSIC:
        return [publish_line(name, line) for line in lines_of(name, figures)]
    return [PublishedLine(name, kind, said, decimal_of(amount)) for kind, said, amount in (further or {})["lines"]]


def _components(s: Snapshot) -> dict[str, models.Component]:
    return {name: components.view(figures) for name, figures in s.components.items()}


def _exact(net: Decimal | None) -> models.Exact | UnsetType:
    """The net P&L before rounding, where it is known."""
    return UNSET if net is None else models.Exact(decimal_text(net))


def _source(state: SourceState) -> models.SourceState:
    as_of = None if state.as_of is None else iso(state.as_of)
    importing, verified = state.importing, state.verified
    return models.SourceState(
        state.status,
        state.tier,
        as_of,
        state.age_ms,
        state.error,
        state.estimated,
        list(state.notes),
        importing=UNSET if importing is None else models.Importing(importing.what, importing.done, importing.total),
        marks=_marks(state) or UNSET,
        verified=UNSET
        if verified is None
        else models.Verified(verified.realized, verified.equity, decimal_text(verified.gap)),
    )


def _marks(state: SourceState) -> list[models.Mark]:
    changed: list[models.Mark] = ["account_changed"] if state.account_changed else []
    return [*changed, "importing"] if state.importing is not None else changed


def _source_from(shown: models.SourceState) -> SourceState:
    as_of = None if shown.asOf is None else ms_of(shown.asOf)
    importing, verified = shown.importing, shown.verified
    return SourceState(
        shown.status,
        shown.tier,
        as_of,
        shown.ageMs,
        shown.error,
        shown.estimated,
        tuple(shown.notes),
        None if isinstance(importing, UnsetType) else Progress(importing.what, importing.done, importing.total),
        not isinstance(shown.marks, UnsetType) and "account_changed" in shown.marks,
        None
        if isinstance(verified, UnsetType)
        else Verified(verified.realized, verified.equity, Decimal(verified.gap)),
    )


def costs_view(entries: Sequence[CostEntry]) -> list[models.CostEntry]:
    return [models.CostEntry(entry.name, number(entry.value), number(entry.percentage)) for entry in entries]


def agents_view(entries: Sequence[AgentEntry]) -> list[models.AgentEntry]:
    return [
        models.AgentEntry(entry.agent, number(entry.revenue), number(entry.expenses), number(entry.net))
        for entry in entries
    ]


def _cents(amount: Decimal) -> int:
    return int(amount * HUNDRED)
