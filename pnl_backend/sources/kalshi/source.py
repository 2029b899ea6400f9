"""The declaration of the source type `kalshi`: one trading account."""

from __future__ import annotations

from pnl_backend.domain.classic import KALSHI, KalshiFigures
from pnl_backend.domain.ledger_facts import FactKind
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import KalshiPortfolio
from pnl_backend.errors import PnLError
from pnl_backend.sources.kalshi.accounting import contribute
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.settings import KalshiSettings
from pnl_backend.sources.kalshi.signing import Signer
from pnl_backend.sources.kalshi.simulator import SimulatedKalshi
from pnl_backend.sources.kalshi.subaccounts import read_subaccounts
from pnl_backend.sources.source_type import CardRow, Setup, SourceType, Unconfigured

FIRST_IMPORT = 0.75
"""Seconds; half of what the first tick waits for a slow source, so that the rest of the fetch fits in too."""


def build(settings: KalshiSettings, given: Setup) -> KalshiFetcher | Unconfigured:
    key_id, pem = settings.kalshi_api_key, settings.kalshi_pem
    if key_id is None and pem is None:
        return Unconfigured(
            "Kalshi is not configured",
            hint="set KALSHI_API_KEY to the key's id and KALSHI_PRIVATE_KEY_PATH to its PEM file",
        )
    if key_id is None:
        return Unconfigured(
            "Kalshi has a private key, but KALSHI_API_KEY is missing",
            hint="set KALSHI_API_KEY to the id of that key",
            half=True,
        )
    if pem is None:
        return Unconfigured(
            "Kalshi has a key id, but KALSHI_PRIVATE_KEY_PATH or KALSHI_PRIVATE_KEY is missing",
            hint="set one of them to the PEM of that key",
            half=True,
        )
    try:
        signer = Signer.from_pem(key_id, pem)
    except (PnLError, ValueError) as error:
        hint = getattr(error, "hint", None)
        return Unconfigured(f"Kalshi's private key cannot be used: {error}", hint=hint, refused=True)
    return KalshiFetcher(
        given.client,
        base_url=settings.kalshi_api_url,
        signer=signer,
        markets=given.markets,
        subaccounts=read_subaccounts(settings.kalshi_subaccounts),
        identity=given.identity,
        first_import=FIRST_IMPORT,
    )


def summary(portfolio: KalshiPortfolio) -> str:
    held = sum(position.is_open for position in portfolio.positions)
    closed = len(portfolio.positions) - held + portfolio.closed.count
    return f"balance ${portfolio.balance:,.2f}, {held:,} open and {closed:,} closed markets"


SOURCE = SourceType(
    name=KALSHI,
    label="Kalshi",
    settings=KalshiSettings,
    configured_by=frozenset(("kalshi_api_key", "kalshi_private_key", "kalshi_private_key_path")),
    poll="kalshi_poll_ms",
    build=build,
    nothing=KalshiPortfolio(ZERO, ()),
    figures=KalshiFigures,
    contribute=contribute,
    agent="Scalper",
    summary=summary,
    card=(
        CardRow("balance", "Balance"),
        CardRow("positions", "Open positions"),
        CardRow("realized_pnl", "Realized"),
        CardRow("unrealized_pnl", "Unrealized"),
        CardRow("fees", "Fees"),
    ),
    simulator=SimulatedKalshi,
    facts=frozenset[FactKind](("fill", "settlement", "transfer")),
    host=lambda settings: settings.kalshi_host,
)
