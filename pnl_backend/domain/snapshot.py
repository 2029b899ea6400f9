"""The snapshot: one reading of each source in, one P&L out, by a pure function.

Inside, money is exact. `Snapshot` is what is published: each line (realized, unrealized, fees, spend, collected, and
those of further sources) is rounded once to cents, half up, and every total is the sum of its lines as shown. So each
line equals its upstream's figure to the cent and every column adds up; a total can differ by a cent or two from the
rounded exact total, which `exact_net_pnl` gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.domain.breakdown import AgentEntry, AttributedLine, CostEntry, attribute, cost_breakdown
from pnl_backend.domain.classic import ANTHROPIC, JOHNS, KALSHI, AnthropicFigures, JohnsFigures, KalshiFigures
from pnl_backend.domain.lines import Accounting, Contribution, Line, LineKind, Memo, Moment, PublishedLine
from pnl_backend.domain.money import HUNDRED, ZERO, cents, percent
from pnl_backend.domain.readings import Progress, Reading, Readings, SourceName, SourceStatus, Tier
from pnl_backend.domain.record import Marks


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether figures that were derived a second time agree; None where history does not reach back.

    `realized` is derived from fills and settlements, `equity` from deposits; `gap` is the larger difference in USD.
    """

    realized: bool | None
    equity: bool | None
    gap: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class SourceState:
    """The origin of a figure: `as_of` in ms and `age_ms` are None only while there was no reading.

    `importing` is given while the source's history is still being read, `account_changed` is True while the upstream
    answers for another account than the ledger's, `verified` holds whether the figures were derived a second time.
    """

    status: SourceStatus
    tier: Tier
    as_of: int | None
    age_ms: int | None
    error: str | None = None
    estimated: bool = False
    notes: tuple[str, ...] = ()
    importing: Progress | None = None
    account_changed: bool = False
    verified: Verified | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the source has given a reading of its whole history."""
        return self.status != "degraded" and self.importing is None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One P&L, in whole cents. The sums are properties, so they cannot disagree with their parts.

    `components` are the figures of each source, `lines` what the sources add to the totals. `stored` is False for the
    rare snapshot that had to be published while the ledger could not be written. `exact_net_pnl` is the net P&L before
    any rounding, in USD; None in ledgers that did not keep it yet. `complete` says whether each source that was
    configured had given a reading of its whole history.
    """

    epoch: str
    seq: int
    at: int
    components: Mapping[SourceName, Any]
    lines: tuple[PublishedLine, ...]
    daily_trend: Decimal
    sources: Mapping[SourceName, SourceState]
    costs: tuple[CostEntry, ...]
    agents: tuple[AgentEntry, ...]
    simulated: bool = False
    stored: bool = True
    exact_net_pnl: Decimal | None = None
    complete: bool = True

    @property
    def kalshi(self) -> KalshiFigures:
        return cast(KalshiFigures, self.components[KALSHI])

    @property
    def anthropic(self) -> AnthropicFigures:
        return cast(AnthropicFigures, self.components[ANTHROPIC])

    @property
    def johns(self) -> JohnsFigures:
        return cast(JohnsFigures, self.components[JOHNS])

    @property
    def total_revenue(self) -> Decimal:
        return _total(self.lines, "revenue")

    @property
    def total_expenses(self) -> Decimal:
        return _total(self.lines, "expense")

    @property
    def net_pnl(self) -> Decimal:
        return self.total_revenue - self.total_expenses

    @property
    def collected_revenue(self) -> Decimal:
        """Revenue without the trading P&L: what John collected, and the revenue of further sources."""
        return self.total_revenue - self.kalshi.pnl

    @property
    def gross_margin(self) -> Decimal:
        """Percent, two decimals; 0 when there is no revenue."""
        return gross_margin(self.total_revenue, self.total_expenses)

    @property
    def degraded(self) -> tuple[SourceName, ...]:
        return tuple(name for name, state in self.sources.items() if state.status == "degraded")

    @property
    def estimated(self) -> bool:
        """Whether any source's figures are an estimate."""
        return any(state.estimated for state in self.sources.values())

    @property
    def marks(self) -> Marks:
        """What the ledger keeps to find this snapshot by."""
        return Marks(
            self.complete,
            whole=tuple(sorted(name for name, state in self.sources.items() if state.is_complete)),
            not_live=tuple(sorted(name for name, state in self.sources.items() if state.status != "live")),
            estimated=self.estimated,
        )

    def is_complete(self, configured: Set[SourceName]) -> bool:
        """Whether each configured source has given a reading: only such a snapshot is compared with."""
        return _are_complete(self.sources, configured)


def _total(lines: Sequence[Line | PublishedLine], kind: LineKind) -> Decimal:
    return sum((line.amount for line in lines if line.kind == kind), ZERO)


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
    sources: Mapping[SourceName, Accounting[Any, Any]],
    *,
    epoch: str,
    seq: int,
    at: int,
    baseline: Decimal | None = None,
    rules: AgentRules | None = None,
    memo: Memo | None = None,
    simulated: bool = False,
    verified: Mapping[SourceName, Verified] | None = None,
    configured: Set[SourceName] | None = None,
) -> Snapshot:
    """One snapshot from one reading of each of the `sources`, in their order; `verified` is added to their states.

    `at` is ms, `baseline` the net P&L that `dailyTrend` is measured against, `memo` keeps sums from one snapshot to the
    next, always for the same rules. Complete is a snapshot of complete `configured` sources (None: all), with a trend.
    """
    rules, memo = rules or AgentRules(), memo or Memo()
    added = {name: one.of(readings[name].value, Moment(name, at, rules, memo)) for name, one in sources.items()}
    states = {name: _state(readings[name], one, at, (verified or {}).get(name)) for name, one in added.items()}
    lines = tuple(publish_line(name, line) for name, one in added.items() for line in one.lines)
    exact = [line for one in added.values() for line in one.lines]
    attributed = _attributed(exact, lines, {name: rules.agent_of(name, one.agent) for name, one in sources.items()})
    complete = _are_complete(states, sources.keys() if configured is None else configured)
    return Snapshot(
        epoch=epoch,
        seq=seq,
        at=at,
        components={name: contribution.figures for name, contribution in added.items()},
        lines=lines,
        daily_trend=trend(_total(lines, "revenue") - _total(lines, "expense"), baseline if complete else None),
        sources=states,
        costs=cost_breakdown(attributed),
        agents=attribute(attributed),
        simulated=simulated,
        exact_net_pnl=_total(exact, "revenue") - _total(exact, "expense"),
        complete=complete,
    )


def _attributed(
    exact: Sequence[Line], shown: Sequence[PublishedLine], agents: Mapping[SourceName, str]
) -> list[AttributedLine]:
    """The lines as they are shown, with their exact parts and the agent of their source."""
    return [
        AttributedLine(line.kind, line.name, one.amount, agents[one.source], line.parts, line.by_agent)
        for line, one in zip(exact, shown, strict=True)
    ]


def _are_complete(states: Mapping[SourceName, SourceState], configured: Set[SourceName]) -> bool:
    return configured <= states.keys() and all(states[name].is_complete for name in configured)


def publish_line(source: SourceName, line: Line) -> PublishedLine:
    """The line as it is published, rounded to cents."""
    return PublishedLine(source, line.kind, line.name, cents(line.amount))


def _state(reading: Reading[Any], contribution: Contribution[Any], at: int, verified: Verified | None) -> SourceState:
    if reading.value is None:
        changed = reading.account_changed
        return SourceState("degraded", reading.tier, None, None, reading.error, account_changed=changed)
    age = max(0, at - reading.as_of)
    return SourceState(
        reading.status,
        reading.tier,
        reading.as_of,
        age,
        reading.error,
        contribution.estimated,
        contribution.notes,
        contribution.importing,
        reading.account_changed,
        verified,
    )
