"""What the HTTP room needs from the rest of the house; whoever composes the server hands in objects that fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aiohttp import web

from pnl_backend.domain.record import Record
from pnl_backend.wire.views import Period

Resolution = Literal["raw", "1m", "5m", "15m", "1h", "4h", "1d", "1w"]
Readiness = Literal["ready", "starting", "draining"]
HistoryRow = Mapping[str, int | float]
"""One row of a range: timestamp (ms), netPnL, kalshiPnL, costs, revenue, open, high, low, close, count."""


class Latest(Protocol):
    """The newest published snapshot, each view encoded once for every transport (the hub)."""

    def json(self, view: str, /) -> bytes | None:
        """The JSON of `snapshot`, `breakdown` or `ledger`; None before anything was published."""


class Periods(Protocol):
    async def snapshot(self, period: Period, /) -> tuple[bytes, bytes] | None:
        """The newest snapshot and its ledger as JSON, with a period's figures; None before anything was published."""


class History(Protocol):
    """What the ledger remembers; a ledger that cannot be read raises StoreError."""

    async def newest(self, limit: int, /) -> Sequence[Record]:
        """The newest `limit` snapshots, oldest first."""

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> Sequence[HistoryRow]:
        """The rows of start <= timestamp <= end (ms), oldest first; with a limit the newest of them.

        Raises BadRequest where there is no limit and the range holds more rows than one answer does.
        """

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Sequence[HistoryRow]]:
        """The same rows in batches, however many there are, in flat memory."""


class Breakers(Protocol):
    def status(self) -> Mapping[str, Any]:
        """`{"services": {name: {...}}, "config": {...}}` as the wire contract has it."""

    def reset(self, service: str | None = None, /) -> Sequence[str]:
        """Close one breaker, or all; the names of those closed. Raises NotFound for an unknown service."""


class Cache(Protocol):
    def stats(self) -> Mapping[str, Any]:
        """The cache's counters as the wire contract has them, the timestamp aside."""

    async def clear(self) -> None:
        """Empty every tier."""


class Health(Protocol):
    async def report(self, *, keyed: bool) -> tuple[bool, Mapping[str, Any]]:
        """Whether the server does its job, and the body of `/health`; `keyed` adds amounts of money and details."""

    def brief(self, *, keyed: bool) -> Mapping[str, Any]:
        """The body of `/api/health`, likewise."""

    def readiness(self) -> Readiness:
        """Whether new work should be sent here."""


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
    """Takes over a WebSocket upgrade of `/`; it checks key and origin itself. None: such a request gets 404."""
    asyncapi: Callable[[], Mapping[str, Any]] | None = None
    """The AsyncAPI document, where the feeds describe themselves."""
