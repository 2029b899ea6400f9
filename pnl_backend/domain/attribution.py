"""Who earned and who spent: attribution to agents, and the breakdown of costs. Every part sums exactly to its total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache

from pnl_backend.domain.money import CENT, HUNDRED, ZERO, apportion
from pnl_backend.domain.readings import CostRow

TRADING_FEES = "Trading Fees"
OTHER = "Other"
TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class AgentRules:
    """Which agent each source belongs to; a workspace or API key that a rule names goes to that rule's agent.

    An API key's rule wins over its workspace's, because it is the narrower one.
    """

    kalshi: str = "Scalper"
    johns: str = "John"
    anthropic: str = "Cliff"
    workspaces: Mapping[str, str] = field(default_factory=dict)
    api_keys: Mapping[str, str] = field(default_factory=dict)

    def spender(self, row: CostRow) -> str:
        by_key = self.api_keys.get(row.api_key_id) if row.api_key_id else None
        by_workspace = self.workspaces.get(row.workspace_id) if row.workspace_id else None
        return by_key or by_workspace or self.anthropic


@dataclass(frozen=True, slots=True)
class CostEntry:
    """One line of the cost breakdown: USD, and its share of all expenses in percent with one decimal."""

    name: str
    value: Decimal
    percentage: Decimal


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """What one agent brought in and spent, in USD."""

    agent: str
    revenue: Decimal
    expenses: Decimal

    @property
    def net(self) -> Decimal:
        return self.revenue - self.expenses


@lru_cache(maxsize=1024)
def model_family(model: str | None) -> str:
    """`claude-opus-4-5-20251101` and `claude-3-opus` are of the family `Claude Opus`; no model is `Other`."""
    if not model:
        return OTHER
    words = [word for word in model.lower().removeprefix("claude-").split("-") if word.isalpha()]
    if not model.lower().startswith("claude-") or not words:
        return model[:64]
    return f"Claude {words[0].capitalize()}"


@dataclass(frozen=True, slots=True)
class SpendSums:
    """Anthropic's rows summed exactly, once for a reading: a year of them would weigh on every tick."""

    total: Decimal
    by_day: Mapping[date, Decimal]
    by_family: Mapping[str, Decimal]
    by_agent: Mapping[str, Decimal]


def summarise(rows: Iterable[CostRow], rules: AgentRules) -> SpendSums:
    total = ZERO
    days: dict[date, Decimal] = {}
    families: dict[str, Decimal] = {}
    agents: dict[str, Decimal] = {}
    for row in rows:
        family, agent = model_family(row.model), rules.spender(row)
        total += row.amount
        days[row.day] = days.get(row.day, ZERO) + row.amount
        families[family] = families.get(family, ZERO) + row.amount
        agents[agent] = agents.get(agent, ZERO) + row.amount
    return SpendSums(total, days, families, agents)


def cost_breakdown(fees: Decimal, spend: Decimal, families: Mapping[str, Decimal]) -> tuple[CostEntry, ...]:
    """Expenses by name, largest first after the fees: values in whole cents that sum to `fees + spend`.

    `fees` and `spend` are in whole cents already; `families` are exact. Percentages have one decimal and sum to 100.0
    (largest remainder); they are all zero while nothing was spent.
    """
    names = sorted(
        (name for name in families if families[name] or name != OTHER), key=lambda n: (n == OTHER, -families[n], n)
    )
    if not names and spend:
        names, families = [OTHER], {OTHER: spend}
    values = [fees, *apportion([families[name] for name in names], spend)]
    total = fees + spend
    shares = [ZERO] * len(values)
    if total > 0:
        shares = apportion([value / total * HUNDRED for value in values], HUNDRED, TENTH)
    return tuple(CostEntry(n, v, p) for n, v, p in zip([TRADING_FEES, *names], values, shares, strict=True))


def attribute(
    rules: AgentRules,
    *,
    pnl: Decimal,
    fees: Decimal,
    collected: Decimal,
    spend: Decimal,
    spenders: Mapping[str, Decimal],
) -> tuple[AgentEntry, ...]:
    """Revenue and expenses by agent; all amounts in whole cents, summing exactly to the totals.

    The agents of the three sources always have a line, zero or not; a rule's agent has one once it spent something.
    """
    revenue: dict[str, Decimal] = dict.fromkeys((rules.kalshi, rules.johns, rules.anthropic), ZERO)
    revenue[rules.kalshi] += pnl
    revenue[rules.johns] += collected
    expenses = dict.fromkeys(revenue, ZERO)
    expenses[rules.kalshi] += fees
    spenders = spenders or {rules.anthropic: spend}
    agents = sorted(spenders)
    for agent, part in zip(agents, apportion([spenders[a] for a in agents], spend, CENT), strict=True):
        expenses[agent] = expenses.get(agent, ZERO) + part
    return tuple(AgentEntry(a, revenue.get(a, ZERO), e) for a, e in expenses.items())
