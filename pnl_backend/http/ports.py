"""The interfaces that the HTTP application needs from other parts; the composition root passes the objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from pnl_backend.wire import operations
from pnl_backend.wire.history import History
from pnl_backend.wire.models import Period
from pnl_backend.wire.source_schemas import DescribedSource


class Latest(Protocol):
    """The newest published snapshot, each view encoded once for every transport (the hub)."""

    def json(self, view: str, /) -> bytes | None:
        """The JSON of `snapshot`, `breakdown` or `figures` (the ledger's); None before anything was published."""


class Periods(Protocol):
    async def snapshot(self, period: Period, /) -> tuple[bytes, bytes] | None:
        """The newest snapshot and its ledger as JSON, with a period's figures; None before anything was published."""


class Breakers(Protocol):
    def status(self) -> operations.Breakers:
        """Each breaker by its service's name."""

    async def reset(self, service: str | None = None, /) -> Sequence[str]:
        """Close one breaker, or all; the names of those closed. Raises NotFound for an unknown service."""


class Cache(Protocol):
    def stats(self) -> operations.CacheStats:
        """The cache's counters since the start."""

    async def clear(self) -> None:
        """Empty every tier."""


class Health(Protocol):
    def report(self, *, keyed: bool) -> operations.Health:
        """The body of `/health`; `keyed` adds amounts of money and details."""

    def brief(self, *, keyed: bool) -> operations.BriefHealth:
        """The body of `/api/health`, likewise."""

    def readiness(self) -> operations.Probe:
        """The body of `/health/ready`."""


class Metrics(Protocol):
    def render(self) -> tuple[bytes, str]:
        """The exposition and its content type."""


Upgrade = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything the routes read from and act on."""

    latest: Latest
    periods: Periods
    history: History
    breakers: Breakers
    cache: Cache
    health: Health
    metrics: Metrics
    upgrade: Upgrade | None = None
    """Handles a WebSocket upgrade of `/` and checks key and origin itself. None: such a request gets 404."""
    asyncapi: Callable[[], Mapping[str, Any]] | None = None
    """The AsyncAPI document, if the feeds are described."""
    sources: Sequence[DescribedSource] = ()
    """Every source of the snapshots, in their order."""
