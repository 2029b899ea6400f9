"""The declaration of the source type `anthropic`: the API spend of one organisation."""

from __future__ import annotations

from datetime import date

from pnl_backend.domain.classic import ANTHROPIC, AnthropicFigures
from pnl_backend.domain.ledger_facts import FactKind
from pnl_backend.domain.readings import AnthropicSpend
from pnl_backend.sources.anthropic.accounting import contribute
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.anthropic.settings import AnthropicSettings
from pnl_backend.sources.anthropic.simulator import SimulatedAnthropic
from pnl_backend.sources.source_type import CardRow, Setup, SourceType, Unconfigured


def build(settings: AnthropicSettings, given: Setup) -> AnthropicFetcher | Unconfigured:
    if settings.anthropic_api_key is None or not settings.anthropic_api_key.get_secret_value():
        return Unconfigured(
            "Anthropic is not configured",
            hint="set ANTHROPIC_API_KEY to an Admin key (sk-ant-admin...) of your organisation",
        )
    return AnthropicFetcher(
        given.client,
        base_url=settings.anthropic_api_url,
        api_key=settings.anthropic_api_key.get_secret_value(),
        since=given.since,
        closed_days=given.closed_days,
        by_api_key=given.by_api_key,
        identity=given.identity,
    )


def summary(spend: AnthropicSpend) -> str:
    kind = "an estimate, the key may not read the newest report: " if spend.estimated else ""
    return f"{kind}${spend.daily_spend:,.2f} today"


SOURCE = SourceType(
    name=ANTHROPIC,
    label="Anthropic",
    settings=AnthropicSettings,
    configured_by=frozenset(("anthropic_api_key",)),
    poll="anthropic_poll_ms",
    build=build,
    nothing=AnthropicSpend(date.min, date.min, ()),
    figures=AnthropicFigures,
    contribute=contribute,
    agent="Cliff",
    summary=summary,
    card=(CardRow("daily_spend", "Today"), CardRow("total_spend", "Total")),
    simulator=SimulatedAnthropic,
    facts=frozenset[FactKind](("cost",)),
)
