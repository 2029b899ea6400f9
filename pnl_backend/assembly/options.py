"""Translates the settings into the options of the parts that do not know the settings: keys, engine and HTTP."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from loguru import logger
from pydantic import SecretStr

from pnl_backend import __version__, engine
from pnl_backend.access.addresses import ClientAddresses, group
from pnl_backend.access.cors import CorsPolicy
from pnl_backend.access.keys import Keys
from pnl_backend.access.wrongkeys import Authenticator
from pnl_backend.http.dashboard import dashboard_folder
from pnl_backend.http.options import HttpOptions, SharedLimit
from pnl_backend.ops.metrics import Metrics
from pnl_backend.settings.model import Settings


def api_keys(settings: Settings) -> Keys:
    """The keys of the settings; without any, reading needs none on a loopback address outside production."""
    return Keys(
        read=_plain(settings.api_key),
        admin=_plain(settings.admin_api_key),
        open_read=not settings.production and not settings.api_key and settings.is_loopback,
    )


def replace_keys(keys: Keys, settings: Settings) -> None:
    """Accept the keys of `settings` from now on; connections that used a removed key are closed."""
    revoked = keys.replace(read=_plain(settings.api_key), admin=_plain(settings.admin_api_key))
    logger.info("keys reloaded: {} revoked", len(revoked))


def _plain(secrets: list[SecretStr]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets]


def engine_config(settings: Settings) -> engine.EngineConfig:
    addresses = ClientAddresses(settings.trusted_proxies)
    return engine.EngineConfig(
        ping_interval=settings.ping_interval_ms / 1000,
        ping_timeout=settings.ping_timeout_ms / 1000,
        connect_timeout=settings.connect_timeout_ms / 1000,
        cors_allowed_origins=CorsPolicy(settings.origins).headers,
        resolve_client=addresses.resolve,
        is_proxy=addresses.is_trusted,
        group_address=group,
        max_connections=settings.max_connections,
        max_connections_per_ip=settings.max_connections_per_ip,
        slow_client_timeout=settings.slow_client_timeout_ms / 1000,
    )


def http_options(
    settings: Settings, authenticator: Authenticator, metrics: Metrics, shared_limit: SharedLimit | None = None
) -> HttpOptions:
    return HttpOptions(
        authenticator=authenticator,
        production=settings.production,
        cors_origins=tuple(settings.origins),
        rate_limit_per_minute=settings.rate_limit_per_minute,
        shared_limit=shared_limit,
        trusted_proxies=tuple(settings.trusted_proxies),
        metrics_access=settings.metrics_access,
        dist=dashboard_folder(),
        business_zone=ZoneInfo(settings.business_timezone),
        observe=metrics.request,
        version=__version__,
    )
