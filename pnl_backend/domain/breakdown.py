"""What expenses consist of and whose revenue and expenses are. Every part sums exactly to its total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pnl_backend.domain.attribution import OTHER
from pnl_backend.domain.lines import LineKind
from pnl_backend.domain.money import CENT, HUNDRED, ZERO, apportion

TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class CostEntry:
    """One line of the cost breakdown: USD, and its share of the positive expenses in percent with one decimal.

    A credit has a negative value and a share of 0.
    """

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


@dataclass(frozen=True, slots=True)
class AttributedLine:
    """A line in whole cents with the agent of its source; `parts` and `by_agent` are exact, and sum to it unrounded."""

    kind: LineKind
    name: str
    amount: Decimal
    agent: str
    parts: Mapping[str, Decimal] | None = None
    by_agent: Mapping[str, Decimal] | None = None


def cost_breakdown(lines: Iterable[AttributedLine]) -> tuple[CostEntry, ...]:
    """Expenses by name, in the order of the lines: values in whole cents that sum to all expenses.

    A line with parts is split into them, the largest first and `Other` last. Percentages are shares of what was spent
    before credits: they are within 0 and 100, have one decimal and sum to 100.0 (largest remainder), also where
    credits exceed the expenses; they are all zero while nothing was spent.
    """
    costs: dict[str, Decimal] = {}
    for line in lines:
        if line.kind == "expense":
            for name, value in _named_costs(line):
                costs[name] = costs.get(name, ZERO) + value
    values = list(costs.values())
    spent = [max(value, ZERO) for value in values]
    total = sum(spent, ZERO)
    shares = [ZERO] * len(values)
    if total > 0:
        shares = apportion([value / total * HUNDRED for value in spent], HUNDRED, TENTH)
    return tuple(CostEntry(n, v, p) for n, v, p in zip(costs, values, shares, strict=True))


def _named_costs(line: AttributedLine) -> Sequence[tuple[str, Decimal]]:
    if line.parts is None:
        return [(line.name, line.amount)]
    parts = line.parts
    names = sorted((name for name in parts if parts[name] or name != OTHER), key=lambda n: (n == OTHER, -parts[n], n))
    if not names and line.amount:
        names, parts = [OTHER], {OTHER: line.amount}
    return list(zip(names, apportion([parts[name] for name in names], line.amount), strict=True))


def attribute(lines: Sequence[AttributedLine]) -> tuple[AgentEntry, ...]:
    """Revenue and expenses by agent, in whole cents, summing exactly to the totals.

    Those who earn come first. The agent of every source has an entry, zero or not; another agent has one once it
    spent something.
    """
    earning = [line for line in lines if line.kind == "revenue"]
    spending = [line for line in lines if line.kind == "expense"]
    revenue = dict.fromkeys((line.agent for line in (*earning, *spending)), ZERO)
    for line in earning:
        revenue[line.agent] += line.amount
    expenses = dict.fromkeys(revenue, ZERO)
    for line in spending:
        spenders = line.by_agent or {line.agent: line.amount}
        agents = sorted(spenders)
        for agent, part in zip(agents, apportion([spenders[a] for a in agents], line.amount, CENT), strict=True):
            expenses[agent] = expenses.get(agent, ZERO) + part
    return tuple(AgentEntry(a, revenue.get(a, ZERO), e) for a, e in expenses.items())
