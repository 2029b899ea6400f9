"""Who earned and who spent: the rules of attribution, and the sums of spend by family and agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import AnthropicSpend, CostRow, CostSum, SourceName

OTHER = "Other"


@dataclass(frozen=True, slots=True)
class AgentRules:
    """Which agent each source belongs to; a workspace or API key that a rule names belongs to that rule's agent.

    An API key's rule wins over its workspace's, because it is the narrower one. `sources` names the agents of further
    sources, by the source's name.
    """

    kalshi: str = "Scalper"
    johns: str = "John"
    anthropic: str = "Cliff"
    workspaces: Mapping[str, str] = field(default_factory=dict)
    api_keys: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def agent_of(self, source: SourceName, otherwise: str) -> str:
        """Whose lines a source's are; `otherwise` where no rule names it."""
        classic = {"kalshi": self.kalshi, "johns": self.johns, "anthropic": self.anthropic}
        return classic.get(source) or self.sources.get(source, otherwise)

    def spender(self, row: CostRow | CostSum) -> str:
        by_key = self.api_keys.get(row.api_key_id) if row.api_key_id else None
        by_workspace = self.workspaces.get(row.workspace_id) if row.workspace_id else None
        return by_key or by_workspace or self.anthropic


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
    """Anthropic's spend summed exactly, once for a reading; `by_day` has the open days."""

    total: Decimal
    by_day: Mapping[date, Decimal]
    by_family: Mapping[str, Decimal]
    by_agent: Mapping[str, Decimal]


def summarise(spend: AnthropicSpend, rules: AgentRules) -> SpendSums:
    total = ZERO
    days: dict[date, Decimal] = {}
    families: dict[str, Decimal] = {}
    agents: dict[str, Decimal] = {}
    for row in spend.parts:
        family, agent = model_family(row.model), rules.spender(row)
        total += row.amount
        families[family] = families.get(family, ZERO) + row.amount
        agents[agent] = agents.get(agent, ZERO) + row.amount
    for row in spend.rows:
        days[row.day] = days.get(row.day, ZERO) + row.amount
    return SpendSums(total, days, families, agents)
