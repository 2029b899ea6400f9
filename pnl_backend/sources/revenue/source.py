"""The declaration of the source type `revenue`: John's endpoint, whose name for clients is `johns`."""

from __future__ import annotations

from pnl_backend.domain.classic import JOHNS, JohnsFigures
from pnl_backend.domain.ledger_facts import FactKind
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import Revenue
from pnl_backend.sources.revenue.accounting import contribute
from pnl_backend.sources.revenue.fetcher import RevenueFetcher
from pnl_backend.sources.revenue.settings import RevenueSettings
from pnl_backend.sources.revenue.simulator import SimulatedRevenue
from pnl_backend.sources.source_type import CardRow, Setup, SourceType


def build(settings: RevenueSettings, given: Setup) -> RevenueFetcher:
    token = settings.johns_revenue_token
    return RevenueFetcher(
        given.client,
        url=settings.revenue_url,
        token=token.get_secret_value() if token is not None else None,
        identity=given.identity,
    )


def summary(revenue: Revenue) -> str:
    return f"invoiced ${revenue.invoiced:,.2f}, collected ${revenue.collected:,.2f}"


SOURCE = SourceType(
    name=JOHNS,
    service="johns_revenue",
    label="John's revenue",
    settings=RevenueSettings,
    configured_by=frozenset(("johns_revenue_url", "john_api_base_url", "johns_revenue_token")),
    poll="johns_poll_ms",
    build=build,
    nothing=Revenue(ZERO, ZERO),
    figures=JohnsFigures,
    contribute=contribute,
    agent="John",
    summary=summary,
    card=(CardRow("invoiced", "Invoiced"), CardRow("collected", "Collected"), CardRow("pipeline", "Pipeline")),
    simulator=SimulatedRevenue,
    facts=frozenset[FactKind](("deal",)),
    host=lambda settings: settings.revenue_url.partition("://")[2],
)
