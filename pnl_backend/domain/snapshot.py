"""The snapshot: three readings in, one P&L out, by a pure function.

Inside, money is exact. `Snapshot` is what is published: each line (realized, unrealized, fees, spend, collected) is
rounded once to cents, half up, and every total is the sum of its lines as shown. So each line equals its upstream's
figure to the cent and every column adds up; a total can differ by a cent or two from the rounded exact total, which
`exact_net_pnl` gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pnl_backend.domain.attribution import (
    AgentEntry,
    AgentRules,
    CostEntry,
    SpendSums,
    attribute,
    cost_breakdown,
    summarise,
)
from pnl_backend.domain.money import HUNDRED, ZERO, cents, percent
from pnl_backend.domain.readings import (
    SOURCES,
    AnthropicSpend,
    Deal,
    KalshiPortfolio,
    Reading,
    Readings,
    Revenue,
    SourceName,
    Tier,
)
from pnl_backend.domain.times import utc_date

RECENT_DEALS = 5


@dataclass(frozen=True, slots=True)
class AgedOut:
    """What the store remembers of markets that the account no longer lists, in USD."""

    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class KalshiFigures:
    balance: Decimal
    positions: int
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    closed_positions: int
    marks: Mapping[str, int]
    portfolio_value: Decimal | None = None

    @property
    def pnl(self) -> Decimal:
        return self.realized_pnl + self.unrealized_pnl


@dataclass(frozen=True, slots=True)
class AnthropicFigures:
    daily_spend: Decimal
    total_spend: Decimal


@dataclass(frozen=True, slots=True)
class JohnsFigures:
    invoiced: Decimal
    collected: Decimal
    pipeline: Decimal
    recent_deals: tuple[Deal, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceState:
    """Where a figure came from: `as_of` in ms and `age_ms` are None only while nothing was ever learned."""

    status: Literal["live", "stale", "degraded"]
    tier: Tier
    as_of: int | None
    age_ms: int | None
    error: str | None = None
    estimated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One P&L, in whole cents. The sums are properties, so they cannot disagree with their parts.

    `stored` is False for the rare snapshot that had to be published while the ledger could not be written.
    `exact_net_pnl` is the net P&L before any rounding, in USD; None in ledgers that did not keep it yet.
    """

    epoch: str
    seq: int
    at: int
    kalshi: KalshiFigures
    anthropic: AnthropicFigures
    johns: JohnsFigures
    daily_trend: Decimal
    sources: Mapping[SourceName, SourceState]
    costs: tuple[CostEntry, ...]
    agents: tuple[AgentEntry, ...]
    simulated: bool = False
    stored: bool = True
    exact_net_pnl: Decimal | None = None

    @property
    def total_revenue(self) -> Decimal:
        return self.kalshi.pnl + self.johns.collected

    @property
    def total_expenses(self) -> Decimal:
        return self.anthropic.total_spend + self.kalshi.fees

    @property
    def net_pnl(self) -> Decimal:
        return self.total_revenue - self.total_expenses

    @property
    def gross_margin(self) -> Decimal:
        """Percent, two decimals; 0 when there is no revenue."""
        return gross_margin(self.total_revenue, self.total_expenses)

    @property
    def degraded(self) -> tuple[SourceName, ...]:
        return tuple(name for name in SOURCES if self.sources[name].status == "degraded")

    def is_complete(self, configured: Set[SourceName]) -> bool:
        """Whether each configured source has given a reading: only such a snapshot is compared with."""
        return configured.isdisjoint(self.degraded)


def gross_margin(revenue: Decimal, expenses: Decimal) -> Decimal:
    """Percent of revenue that is left after expenses, two decimals; 0 when revenue <= 0."""
    return percent(revenue - expenses, revenue) if revenue > 0 else ZERO


def trend(net: Decimal, baseline: Decimal | None) -> Decimal:
    """Percent change of net P&L against `baseline`, divided by its absolute value, two decimals.

    0 without a baseline; 100, -100 or 0 by the sign of `net` where the baseline is 0.
    """
    if baseline is None:
        return ZERO
    if baseline == 0:
        return HUNDRED * ((net > 0) - (net < 0))
    return percent(net - baseline, abs(baseline))


def compute(
    readings: Readings,
    *,
    epoch: str,
    seq: int,
    at: int,
    baseline: Decimal | None = None,
    aged_out: AgedOut | None = None,
    rules: AgentRules | None = None,
    sums: SpendSums | None = None,
    simulated: bool = False,
) -> Snapshot:
    """One snapshot from three readings. `at` is ms, `baseline` the net P&L that `dailyTrend` is measured against.

    `sums` are those of the Anthropic reading under the same rules, where they are at hand already.
    """
    rules = rules or AgentRules()
    aged_out = aged_out or AgedOut()
    portfolio = readings.kalshi.value or KalshiPortfolio(ZERO, ())
    spend = readings.anthropic.value
    revenue = readings.johns.value or Revenue(ZERO, ZERO)
    sums = sums or summarise(spend.rows if spend else (), rules)
    lines = _exact_kalshi(portfolio, aged_out)
    kalshi = _kalshi(portfolio, lines)
    # The snapshot's own UTC day: a reading from before midnight knows nothing of the new day's spend.
    anthropic = AnthropicFigures(cents(sums.by_day.get(utc_date(at), ZERO)), cents(sums.total))
    johns = JohnsFigures(
        cents(revenue.invoiced), cents(revenue.collected), cents(revenue.pipeline), _recent(revenue.deals)
    )
    net = kalshi.pnl + johns.collected - anthropic.total_spend - kalshi.fees
    return Snapshot(
        epoch=epoch,
        seq=seq,
        at=at,
        kalshi=kalshi,
        anthropic=anthropic,
        johns=johns,
        daily_trend=trend(net, baseline),
        sources={
            "kalshi": _state(readings.kalshi, at),
            "anthropic": _state(readings.anthropic, at),
            "johns": _state(readings.johns, at),
        },
        costs=cost_breakdown(kalshi.fees, anthropic.total_spend, sums.by_family),
        agents=attribute(
            rules,
            pnl=kalshi.pnl,
            fees=kalshi.fees,
            collected=johns.collected,
            spend=anthropic.total_spend,
            spenders=sums.by_agent,
        ),
        simulated=simulated,
        exact_net_pnl=lines.realized + lines.unrealized + revenue.collected - sums.total - lines.fees,
    )


@dataclass(frozen=True, slots=True)
class _ExactKalshi:
    """The account's lines before rounding, in USD."""

    realized: Decimal
    unrealized: Decimal
    fees: Decimal


def _exact_kalshi(portfolio: KalshiPortfolio, aged_out: AgedOut) -> _ExactKalshi:
    return _ExactKalshi(
        realized=sum((p.realized_pnl for p in portfolio.positions), aged_out.realized_pnl),
        unrealized=sum((p.unrealized_pnl for p in portfolio.positions if p.is_open), ZERO),
        fees=sum((p.fees for p in portfolio.positions), aged_out.fees),
    )


def _kalshi(portfolio: KalshiPortfolio, lines: _ExactKalshi) -> KalshiFigures:
    held = [p for p in portfolio.positions if p.is_open]
    marks: dict[str, int] = {}
    for position in held:
        source = position.mark_source or "cost"
        marks[source] = marks.get(source, 0) + 1
    worth = portfolio.portfolio_value
    return KalshiFigures(
        balance=cents(portfolio.balance),
        positions=len(held),
        realized_pnl=cents(lines.realized),
        unrealized_pnl=cents(lines.unrealized),
        fees=cents(lines.fees),
        closed_positions=len(portfolio.positions) - len(held),
        marks=dict(sorted(marks.items())),
        portfolio_value=None if worth is None else cents(worth),
    )


def _recent(deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The newest closed deals first; ties and open ones by id, so that the order never depends on the upstream's."""
    closed = [deal for deal in deals if deal.status != "pipeline"]
    closed.sort(key=lambda deal: (-(deal.closed_at or 0), deal.id))
    return tuple(closed[:RECENT_DEALS])


def _state(reading: Reading[KalshiPortfolio] | Reading[AnthropicSpend] | Reading[Revenue], at: int) -> SourceState:
    if reading.value is None:
        return SourceState("degraded", reading.tier, None, None, reading.error)
    value = reading.value
    estimated = isinstance(value, AnthropicSpend) and value.estimated
    notes = value.notes if isinstance(value, AnthropicSpend) else ()
    age = max(0, at - reading.as_of)
    return SourceState(reading.status, reading.tier, reading.as_of, age, reading.error, estimated, notes)
