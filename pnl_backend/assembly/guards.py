"""Builds the three guarded fetchers from settings; what cannot be built still answers, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from pnl_backend.assembly.adapters import Unconfigured
from pnl_backend.domain.readings import SourceName
from pnl_backend.errors import PnLError
from pnl_backend.ingest.guard import Guard, Outcome
from pnl_backend.settings.model import Settings
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.base import ClosedDays, Fetcher, ReadingCache, UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from pnl_backend.sources.revenue.fetcher import RevenueFetcher

Guards = tuple[Guard[Any], Guard[Any], Guard[Any]]

CALLS_PER_FETCH = 6
"""A fetch makes several calls, each with its own deadline; this many of those is the deadline of the whole."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the upstreams are and what opens them; the demo hands in the simulator's."""

    kalshi_url: str
    kalshi_key_id: str | None
    kalshi_pem: str | None
    anthropic_url: str
    anthropic_key: str | None
    revenue_url: str
    revenue_token: str | None

    @classmethod
    def of(cls, settings: Settings) -> Credentials:
        anthropic, token = settings.anthropic_api_key, settings.johns_revenue_token
        return cls(
            settings.kalshi_api_url,
            settings.kalshi_api_key,
            settings.kalshi_pem,
            settings.anthropic_api_url,
            anthropic.get_secret_value() if anthropic else None,
            settings.revenue_url,
            token.get_secret_value() if token else None,
        )


@dataclass(frozen=True, slots=True)
class Fetchers:
    kalshi: Fetcher[Any]
    anthropic: Fetcher[Any]
    johns: Fetcher[Any]


def configured_sources(settings: Settings) -> frozenset[SourceName]:
    """The sources that somebody has set up, half of one included; all of them in the demo."""
    given = settings.model_fields_set
    named: dict[SourceName, set[str]] = {
        "kalshi": {"kalshi_api_key", "kalshi_private_key", "kalshi_private_key_path"},
        "anthropic": {"anthropic_api_key"},
        "johns": {"johns_revenue_url", "john_api_base_url", "johns_revenue_token"},
    }
    return frozenset(source for source, fields in named.items() if settings.demo_mode or fields & given)


def build_fetchers(
    credentials: Credentials,
    client: UpstreamClient,
    *,
    since: date,
    closed_days: ClosedDays,
    by_api_key: bool = False,
) -> Fetchers:
    """The three fetchers; `by_api_key` splits Anthropic's cost by API key too, for rules that name one."""
    return Fetchers(
        _kalshi(credentials, client),
        _anthropic(credentials, client, since, closed_days, by_api_key),
        RevenueFetcher(client, url=credentials.revenue_url, token=credentials.revenue_token),
    )


def build_guards(
    fetchers: Fetchers, cache: ReadingCache, settings: Settings, *, on_outcome: Callable[[Outcome], None] | None = None
) -> Guards:
    def guard(fetcher: Fetcher[Any], poll_ms: int) -> Guard[Any]:
        return Guard(
            fetcher,
            cache,
            poll_interval=poll_ms / 1000,
            timeout=CALLS_PER_FETCH * settings.fetch_timeout_ms / 1000,
            failure_threshold=settings.circuit_breaker_failure_threshold,
            reset_timeout=settings.circuit_breaker_reset_timeout / 1000,
            on_outcome=on_outcome,
        )

    return (
        guard(fetchers.kalshi, settings.kalshi_poll_ms),
        guard(fetchers.anthropic, settings.anthropic_poll_ms),
        guard(fetchers.johns, settings.johns_poll_ms),
    )


def _kalshi(credentials: Credentials, client: UpstreamClient) -> Fetcher[Any]:
    key_id, pem = credentials.kalshi_key_id, credentials.kalshi_pem
    if key_id is None and pem is None:
        return Unconfigured(
            "kalshi",
            "Kalshi is not configured",
            hint="set KALSHI_API_KEY to the key's id and KALSHI_PRIVATE_KEY_PATH to its PEM file",
        )
    if key_id is None:
        return Unconfigured(
            "kalshi",
            "Kalshi has a private key, but KALSHI_API_KEY is missing",
            hint="set KALSHI_API_KEY to the id of that key",
            half=True,
        )
    if pem is None:
        return Unconfigured(
            "kalshi",
            "Kalshi has a key id, but KALSHI_PRIVATE_KEY_PATH or KALSHI_PRIVATE_KEY is missing",
            hint="set one of them to the PEM of that key",
            half=True,
        )
    try:
        signer = Signer.from_pem(key_id, pem)
    except (PnLError, ValueError) as error:
        hint = getattr(error, "hint", None)
        return Unconfigured("kalshi", f"Kalshi's private key cannot be used: {error}", hint=hint, refused=True)
    return KalshiFetcher(client, base_url=credentials.kalshi_url, signer=signer)


def _anthropic(
    credentials: Credentials, client: UpstreamClient, since: date, closed_days: ClosedDays, by_api_key: bool
) -> Fetcher[Any]:
    if not credentials.anthropic_key:
        return Unconfigured(
            "anthropic",
            "Anthropic is not configured",
            hint="set ANTHROPIC_API_KEY to an Admin key (sk-ant-admin...) of your organisation",
        )
    return AnthropicFetcher(
        client,
        base_url=credentials.anthropic_url,
        api_key=credentials.anthropic_key,
        since=since,
        closed_days=closed_days,
        by_api_key=by_api_key,
    )
