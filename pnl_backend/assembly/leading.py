"""The leading part of a node: what reads the sources, computes, writes the ledger and keeps the books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast
from zoneinfo import ZoneInfo

import aiohttp

from pnl_backend.aggregator import Aggregator, Publisher
from pnl_backend.assembly.adapters import Breakers, TickWatch, fetch_outcome, restatements_part, store_part
from pnl_backend.assembly.books import Books
from pnl_backend.assembly.guards import (
    Guards,
    Source,
    account_checks,
    accounting,
    build_guards,
    configured_sources,
    shown_sources,
    simulated,
)
from pnl_backend.assembly.serving import Serving
from pnl_backend.domain.record import Record
from pnl_backend.ledger.first_import import FirstImport
from pnl_backend.ledger.protocol import Ledger
from pnl_backend.ledger.upkeep import Upkeep
from pnl_backend.ops.health import Part
from pnl_backend.settings.model import Settings
from pnl_backend.sources import registry
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.source_type import Setup, Unconfigured

DEMO_HISTORY = timedelta(days=30)
"""The demo's Anthropic spend begins this long before the first run, so that a new user sees a month of figures."""

FIRST_PATIENCE = 1.5
"""Seconds that a tick waits for a slow upstream at most, because listeners start after the first tick."""


@dataclass(frozen=True, slots=True)
class Leading:
    """The open parts that compute and store."""

    store: Ledger
    guards: Guards
    books: Books
    aggregator: Aggregator
    breakers: Breakers
    watch: TickWatch

    def parts(self) -> dict[str, Callable[[], Part]]:
        """What the health report says of them."""
        return {
            **self.breakers.parts(),
            "reconciliation": self.books.part,
            "verification": self.books.verification_part,
            "history": self.books.history_part,
            "import": self.books.import_part,
            "upkeep": self.books.upkeep_part,
            "restatements": lambda: restatements_part(self.store.restatements),
        }

    def store_part(self) -> Part:
        return store_part(self.store.health())

    async def start(self, stack: AsyncExitStack) -> None:
        """Tick and keep the books until `stack` ends it: the tick in progress is committed."""
        self.aggregator.start()
        stack.push_async_callback(self.aggregator.stop)
        await stack.enter_async_context(self.books.kept())


async def open_leading(
    stack: AsyncExitStack,
    serving: Serving,
    store: Ledger,
    publisher: Publisher,
    *,
    relay: Callable[[Record, bool], Awaitable[None]] | None = None,
    on_fenced: Callable[[str], None] = lambda _: None,
) -> Leading:
    """Build every part on a ledger that this node writes; `stack` closes what is open. Nothing ticks yet."""
    settings = serving.settings
    sources, guards, books = await _guards(stack, serving, store)

    async def invalidate(fact: str, names: str) -> None:
        serving.recent.invalidate()
        await serving.current.invalidate(f"{fact} {names}")

    books.on_recorded(invalidate)
    watch = TickWatch(serving.metrics, serving.recent.unstored)
    interval = settings.update_interval_ms / 1000
    aggregator = Aggregator(
        sources=books.sources(guards),
        accounting=accounting(sources),
        ledger=store,
        publisher=publisher,
        interval=interval,
        patience=min(settings.fetch_timeout_ms / 1000, interval / 2, FIRST_PATIENCE),
        zone=ZoneInfo(settings.business_timezone),
        configured=configured_sources(settings),
        rules=settings.agent_rules,
        simulated=settings.demo_mode,
        verified=books.verified,
        observer=watch,
        restates=FirstImport(store).restates,
        relay=relay,
        on_fenced=on_fenced,
    )
    breakers = Breakers(
        guards,
        threshold=settings.circuit_breaker_failure_threshold,
        reset_timeout_ms=settings.circuit_breaker_reset_timeout,
    )
    return Leading(store, guards, books, aggregator, breakers, watch)


async def _guards(stack: AsyncExitStack, serving: Serving, store: Ledger) -> tuple[Sequence[Source], Guards, Books]:
    settings, metrics = serving.settings, serving.metrics
    since = settings.pnl_since or store.first_run
    if settings.demo_mode:
        sources = await stack.enter_async_context(simulated(settings))
        since = settings.pnl_since or store.first_run - DEMO_HISTORY
        await store.forget_account()
    else:
        sources = shown_sources(settings)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
    by_api_key = bool(settings.agent_rules.api_keys)
    setup = Setup(client, since=since, closed_days=store, by_api_key=by_api_key, markets=store.markets)
    checks = account_checks(sources, store.accounts)
    fetchers = {source.name: source.build(replace(setup, identity=checks[source.name])) for source in sources}
    guards = build_guards(sources, fetchers, serving.cache, settings, checks=checks, on_outcome=fetch_outcome(metrics))
    for guard in guards:
        stack.push_async_callback(guard.close)
    found = fetchers[registry.source_of("fill")]
    account = None if isinstance(found, Unconfigured) else cast(KalshiFetcher, found)
    trades, importer = (None, None) if account is None else (account.history, account.importer)
    tolerance = settings.reconciliation_tolerance
    return sources, guards, Books(store, metrics, trades, _upkeep(settings, store), tolerance, importer=importer)


def _upkeep(settings: Settings, store: Ledger) -> Upkeep:
    return Upkeep(
        store,
        path=settings.database,
        retention_days=settings.retention_days,
        backup_dir=settings.backup_dir if settings.database_url is None else None,
        backup_keep_days=settings.backup_keep_days,
    )
