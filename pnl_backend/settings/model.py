"""Every setting in one place: its names, default, help and check beside each other.

Values come from environment variables, else from `.env` in the working directory. Only the composition root and the
command line read them. The settings of a source are defined in the source's own folder and are joined to these.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.domain.times import SHORTEST_INTERVAL_MS
from pnl_backend.errors import ConfigError
from pnl_backend.settings.cluster import ClusterSettings
from pnl_backend.settings.fields import (
    ORIGINS,
    Networks,
    Origins,
    comma_list,
    lower,
    named_file,
    names_loopback,
    rules,
    weakness_of,
    zone,
)
from pnl_backend.sources import registry
from pnl_backend.sources.setting import MS, Millis, names_of, setting, url_of

LOCAL_REDIS = "redis://localhost:6379"


class _Access(BaseSettings):
    """Where the server listens and who may ask; first in every list of settings."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8-sig",  # with or without the mark that some editors write first
        env_ignore_empty=True,
        extra="ignore",
        case_sensitive=False,
        frozen=True,
        populate_by_name=True,
    )

    # -- server
    port: int = setting(3000, "port to listen on; 0 picks a free one", allowed="0 to 65535", ge=0, le=65535)
    host: str | None = setting(
        None, "address to listen on (127.0.0.1; 0.0.0.0 in production)", allowed="an address or host name"
    )
    node_env: Annotated[Literal["development", "production", "test"], BeforeValidator(lower)] = setting(
        "development",
        "production refuses to start without API_KEY, hides error detail, sends HSTS",
        allowed="development, production or test",
        also="APP_ENV",
        validation_alias=names_of("NODE_ENV", "APP_ENV"),
    )
    log_level: Annotated[Literal["trace", "debug", "info", "warning", "error"], BeforeValidator(lower)] = setting(
        "info", "least severe level that is logged", allowed="trace, debug, info, warning or error"
    )
    log_dir: Path = setting(Path("./logs"), "where combined.log and error.log are written", allowed="a directory")
    log_json: bool = setting(False, "one JSON object a line in the log files", allowed="true or false")

    # -- keys and access
    api_key: Annotated[list[SecretStr], NoDecode, BeforeValidator(comma_list)] = setting(
        [],
        "the read key, or several separated by commas while one is replaced; without one, development on loopback "
        "needs no key, and a line in the log says so",
        allowed="any text; in production at least 32 characters, none from a documentation",
    )
    admin_api_key: Annotated[list[SecretStr], NoDecode, BeforeValidator(comma_list)] = setting(
        [], "the key for resetting breakers and clearing the cache; without it both answer 403", allowed="as API_KEY"
    )
    cors_origin: Origins = setting([], "browser origins that may send requests (* in development)", allowed=ORIGINS)
    allowed_origins: Origins = setting([], "further ones, joined to CORS_ORIGIN", allowed=ORIGINS)
    trusted_proxies: Networks = setting(
        [],
        "proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted",
        allowed="addresses or networks, separated by commas",
    )
    rate_limit_per_minute: int = setting(
        100, "REST requests a minute for each client; 0 is off", allowed="0 or more", ge=0
    )
    metrics_access: Annotated[Literal["key", "loopback"], BeforeValidator(lower)] = setting(
        "key", "who may read /metrics: holders of a key, or this machine alone", allowed="key or loopback"
    )


class ServerSettings(ClusterSettings, _Access):
    """The server's own settings; `Settings` are these with those of every source type."""

    demo: bool | None = setting(
        None,
        "the built-in simulator replaces the upstreams (true in development while no source is configured)",
        allowed="true or false",
    )
    demo_seed: int = setting(1, "seed of the simulator's random numbers", allowed="a whole number")

    # -- the loop
    update_interval_ms: Annotated[int, Field(ge=SHORTEST_INTERVAL_MS)] = setting(
        5000,
        "time between two updates, in ms",
        allowed=f"{MS}, {SHORTEST_INTERVAL_MS} or more",
        also="AGGREGATION_INTERVAL_MS",
        validation_alias=names_of("UPDATE_INTERVAL_MS", "AGGREGATION_INTERVAL_MS"),
    )
    fetch_timeout_ms: Millis = setting(5000, "longest upstream call, in ms", allowed=f"{MS}, 1 or more")
    circuit_breaker_failure_threshold: Annotated[int, Field(ge=1)] = setting(
        5, "failures in a row that open a source's breaker", allowed="1 or more"
    )
    circuit_breaker_reset_timeout: Millis = setting(
        60000, "time after which an open breaker allows one trial request, in ms", allowed=f"{MS}, 1 or more"
    )
    pnl_since: date | None = setting(
        None,
        "first day of Anthropic spend that counts (default: the day of the server's first start)",
        allowed="YYYY-MM-DD",
    )
    business_timezone: Annotated[str, AfterValidator(zone)] = setting(
        "UTC", "time zone whose midnight begins a day", allowed="an IANA name such as America/New_York"
    )
    agent_rules: Annotated[AgentRules, NoDecode, BeforeValidator(rules)] = setting(
        AgentRules(),
        "the agents, as JSON: kalshi, johns, anthropic name the agent of a source; workspaces and api_keys map ids to "
        "agents, sources the names of further sources",
        allowed='JSON such as {"workspaces": {"wrkspc_1": "Scalper"}}',
    )

    # -- cache and ledger
    redis_url: Annotated[str, url_of("redis", "rediss", "unix")] | None = setting(
        None, "a Redis for the shared cache; optional", allowed="a redis, rediss or unix URL"
    )
    use_redis: bool | None = setting(
        None,
        f"false: Redis is not used (default: true when REDIS_URL is set); true without REDIS_URL: {LOCAL_REDIS}",
        allowed="true or false",
    )
    cache_ttl: Millis = setting(
        300000, "time for which a cached reading counts as fresh, in ms", allowed=f"{MS}, 1 or more"
    )
    db_path: Annotated[Path, AfterValidator(named_file)] = setting(
        Path("./data/pnl.db"), "the ledger's file; the demo has its own in the same directory", allowed="a file"
    )
    db_synchronous: Literal["FULL", "NORMAL"] = setting(
        "FULL",
        "FULL: a power failure loses no snapshot; NORMAL: it may lose those since the last checkpoint, kill -9 none",
        allowed="FULL or NORMAL",
    )
    retention_days: int = setting(30, "days that raw rows are kept; rollups stay", allowed="1 or more", ge=1)
    backup_dir: Path | None = setting(
        None, "where daily backups are written; without it there are none", allowed="a directory"
    )
    backup_keep_days: int = setting(30, "days that a backup is kept", allowed="1 or more", ge=1)

    reconciliation_tolerance: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] = setting(
        Decimal("1.00"),
        "largest difference between the account and the ledger that counts as reconciled, in USD",
        allowed="an amount in USD, 0 or more",
    )

    # -- streams
    dashboard_broadcast: bool = setting(
        False, "send pnl-update to every Socket.IO client, subscribed or not", allowed="true or false"
    )
    max_connections: int = setting(
        20000, "most client connections of all kinds; 0 is no limit", allowed="0 or more", ge=0
    )
    max_connections_per_ip: int = setting(
        500, "most client connections of one address (IPv6: one /64 network); 0 is no limit", allowed="0 or more", ge=0
    )
    ping_interval_ms: Millis = setting(
        25000, "time between two pings of Engine.IO and WebSocket, in ms", allowed=f"{MS}, 1 or more"
    )
    ping_timeout_ms: Millis = setting(20000, "longest time until a pong, in ms", allowed=f"{MS}, 1 or more")
    connect_timeout_ms: Millis = setting(
        5000, "longest time until a client sends CONNECT or its key, in ms", allowed=f"{MS}, 1 or more"
    )
    recovery_window_ms: int = setting(
        120000, "time for which a lost connection can be recovered, in ms", allowed=f"{MS}, 0 or more", ge=0
    )
    slow_client_timeout_ms: Millis = setting(
        10000, "time after which a client that reads too slowly is disconnected, in ms", allowed=f"{MS}, 1 or more"
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        problems = list(self._production_problems()) if self.production else []
        if not self.production and not self.api_key and not self.is_loopback:
            problems.append(f"API_KEY: needed, because HOST={self.bind_host} is open to others")
        problems += self.cluster_problems(given=account_fields() & self.model_fields_set)
        if problems:
            raise ConfigError(problems)
        return self

    def _production_problems(self) -> Iterator[str]:
        if not self.api_key:
            yield "API_KEY: none given, production needs one of at least 32 characters"
        for name, keys in (("API_KEY", self.api_key), ("ADMIN_API_KEY", self.admin_api_key)):
            for key in keys:
                if weakness := weakness_of(key.get_secret_value()):
                    yield f"{name}: {weakness}"

    @property
    def production(self) -> bool:
        return self.node_env == "production"

    @property
    def bind_host(self) -> str:
        return self.host or ("0.0.0.0" if self.production else "127.0.0.1")  # noqa: S104 - production listens on all

    @property
    def is_loopback(self) -> bool:
        return names_loopback(self.bind_host)

    @property
    def origins(self) -> list[str]:
        """Allowed browser origins; `*` alone means all."""
        given = [*self.cors_origin, *self.allowed_origins]
        if not given:
            return [] if self.production else ["*"]
        return ["*"] if "*" in given else sorted(set(given))

    @property
    def demo_mode(self) -> bool:
        if self.demo is not None:
            return self.demo
        return self.role != "push" and not (self.production or self.any_source)

    @property
    def any_source(self) -> bool:
        """Whether any name of a source is set, be it half of what the source needs."""
        return not account_fields().isdisjoint(self.model_fields_set)

    @property
    def database(self) -> Path:
        """The ledger's file; simulated money never shares one with real money."""
        path = self.db_path
        return path.with_name(f"{path.stem}-demo{path.suffix}") if self.demo_mode else path

    @property
    def redis(self) -> str | None:
        """The Redis of the cache; in a cluster the one of the bus, so that a new leader has the last good readings."""
        if self.use_redis is False:
            return None
        return self.redis_url or self.bus_url or (LOCAL_REDIS if self.use_redis else None)

    @property
    def secrets(self) -> list[str]:
        """Every secret value, for the log's redaction."""
        given = [getattr(self, field) for field in type(self).model_fields]
        several = [one for value in given for one in (value if isinstance(value, list) else [value])]
        values = [one.get_secret_value() for one in several if isinstance(one, SecretStr)]
        texts = [one.get_secret_value() if isinstance(one, SecretStr) else one for one in several]
        urls = [urlsplit(one) for one in texts if isinstance(one, str) and "://" in one and "\n" not in one]
        passwords = [url.password for url in urls if url.password]
        return [value for value in (*values, *passwords, *map(unquote, passwords)) if value]


def account_fields() -> frozenset[str]:
    """Settings of an account: where one of them is set, the demo starts only with DEMO=true."""
    return frozenset().union(*(declared.account_settings() for declared in registry.types()))


@cache
def _with_sources(types: tuple[registry.AnyType, ...]) -> type[ServerSettings]:
    parts = [declared.settings for declared in types]
    taken = [name for part in parts for name in part.model_fields if name in ServerSettings.model_fields]
    if taken:
        raise ConfigError([f"{name.upper()}: a source type has a setting of the server's name" for name in taken])
    # Fields are listed from the last base to the first: access, the sources, and what the server does with them.
    return type(
        "Settings",
        (ServerSettings, *reversed(parts), _Access),
        {"__doc__": ServerSettings.__doc__, "__module__": __name__},
    )


def settings_class() -> type[ServerSettings]:
    """The settings with those of every source type that is registered now."""
    return _with_sources(registry.types())


if TYPE_CHECKING:
    Settings = ServerSettings
else:
    Settings = _with_sources(registry.BUILT_IN)  # what other packages bring is joined to it when settings are loaded
"""The effective settings. Read them with `settings.text.load()`, which turns problems into one line a setting."""
