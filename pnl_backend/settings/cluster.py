"""The settings of a node of a cluster; without `BUS_URL` there is one server only."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from pnl_backend.settings.fields import lower
from pnl_backend.sources.setting import MS, setting, url_of

SHORTEST_LEASE_MS = 500
"""A lease is renewed three times before it ends, and a call to Redis may take half a second."""


def _postgresql(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise ValueError("not a postgresql URL with the name of a database")
    return value


class ClusterSettings(BaseSettings):
    """Joined to the settings of the server."""

    role: Annotated[Literal["all", "poll", "push"], BeforeValidator(lower)] = setting(
        "all",
        "all: polls the sources, writes the ledger and serves clients; poll: serves no clients; push: serves clients "
        "only, without credentials of a source",
        allowed="all, poll or push",
    )
    bus_url: Annotated[str, url_of("redis", "rediss", "unix")] | None = setting(
        None,
        "the Redis that connects the nodes of a cluster: the stream of updates and the lease of the leader; without it "
        "this server is not in a cluster",
        allowed="a redis, rediss or unix URL",
    )
    database_url: Annotated[SecretStr, AfterValidator(_postgresql)] | None = setting(
        None,
        "a PostgreSQL database for the ledger, in place of DB_PATH; nodes of a cluster share it",
        allowed="a postgresql URL with the name of a database",
    )
    lease_ms: Annotated[int, Field(ge=SHORTEST_LEASE_MS)] = setting(
        3000,
        "time without a renewal by the leader of a cluster after which another node leads, in ms",
        allowed=f"{MS}, {SHORTEST_LEASE_MS} or more",
    )

    def cluster_problems(self, *, given: Collection[str]) -> Iterator[str]:
        """One line for each setting that does not fit the others; `given` are the fields of sources that are set."""
        if self.role != "all" and self.bus_url is None:
            yield f"BUS_URL: none given, ROLE={self.role} needs the Redis of its cluster"
        if self.bus_url is not None and self.database_url is None:
            yield "DATABASE_URL: none given, the nodes of BUS_URL need a PostgreSQL ledger that all of them share"
        if self.role == "push" and given:
            names = ", ".join(sorted(given)).upper()
            yield f"ROLE: a push node has no credentials of a source, remove {names}"
