"""Builds the guarded fetcher of each source; what cannot be built still answers, and says what is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from pnl_backend.domain.lines import Accounting
from pnl_backend.domain.readings import SourceName
from pnl_backend.ingest.account_check import AccountCheck, Accounts
from pnl_backend.ingest.guard import Guard, Outcome
from pnl_backend.ingest.last_good import ReadingCache
from pnl_backend.settings.model import Settings
from pnl_backend.simulator import Simulator
from pnl_backend.sources import registry
from pnl_backend.sources.base import Fetcher
from pnl_backend.sources.setting import SourceSettings
from pnl_backend.sources.source_type import Setup, Unconfigured
from pnl_backend.wire.source_schemas import DescribedSource

Guards = Sequence[Guard[Any]]

CALLS_PER_FETCH = 6
"""A fetch makes several calls, each with its own deadline; this many of those is the deadline of the whole."""


@dataclass(frozen=True, slots=True)
class Source:
    """One account: its name, its type, and the settings that lead to it."""

    name: SourceName
    type: registry.AnyType
    settings: SourceSettings

    @property
    def host(self) -> str:
        """Where its account is."""
        return self.type.host_of(self.settings)

    def build(self, setup: Setup) -> Fetcher[Any] | Unconfigured:
        return self.type.build(self.settings, setup)


def shown_sources(settings: Settings) -> list[Source]:
    """The sources of this server's snapshots: the classic three, and each further one that is configured."""
    return [
        Source(declared.name, declared, _of(settings))
        for declared in registry.types()
        if declared.always_shown or declared.name in configured_sources(settings)
    ]


def configured_sources(settings: Settings) -> frozenset[SourceName]:
    """The sources that somebody has set up, half of one included; in the demo all that it can simulate."""
    if settings.demo_mode:
        return frozenset(one.name for one in registry.types() if one.always_shown or one.simulator is not None)
    return frozenset(one.name for one in registry.types() if one.is_configured(_of(settings)))


def accounting(sources: Sequence[Source]) -> Mapping[SourceName, Accounting[Any, Any]]:
    """How each source is counted, in their order."""
    return {source.name: source.type.accounting for source in sources}


def described(settings: Settings) -> list[DescribedSource]:
    """The sources of the snapshots as API descriptions and the dashboard need them."""
    return [describe(source.type) for source in shown_sources(settings)]


def describe(declared: registry.AnyType) -> DescribedSource:
    rows = [(row.figure, row.label) for row in declared.card]
    return DescribedSource(declared.name, declared.label, declared.breaker, declared.figures, rows)


@asynccontextmanager
async def simulated(settings: Settings) -> AsyncIterator[list[Source]]:
    """The sources of the demo, their upstreams simulated on loopback ports while the block runs."""
    shown = shown_sources(settings)
    async with Simulator(seed=settings.demo_seed, others=registry.further_simulators()) as simulator:
        given = simulator.settings()
        found = []
        for source in shown:
            fields = {name: value for name, value in given.items() if name in source.type.settings.model_fields}
            found.append(Source(source.name, source.type, source.type.settings(**fields)))
        yield found


def account_checks(sources: Sequence[Source], accounts: Accounts) -> Mapping[SourceName, AccountCheck]:
    """What compares the account of each source with the one whose facts the ledger holds."""
    return {
        source.name: AccountCheck(accounts, source.name, label=source.type.label, host=source.host)
        for source in sources
    }


def build_guards(
    sources: Sequence[Source],
    fetchers: Mapping[SourceName, Fetcher[Any]],
    cache: ReadingCache,
    settings: Settings,
    *,
    checks: Mapping[SourceName, AccountCheck] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> Guards:
    """The guards of all sources; one that is not configured has no account to check."""

    return [
        Guard(
            fetchers[source.name],
            cache,
            source=source.name,
            service=source.type.breaker,
            codec=source.type.codec,
            # How often it is asked is the server's own affair, in the demo too.
            poll_interval=source.type.poll_interval(_of(settings)),
            timeout=CALLS_PER_FETCH * settings.fetch_timeout_ms / 1000,
            failure_threshold=settings.circuit_breaker_failure_threshold,
            reset_timeout=settings.circuit_breaker_reset_timeout / 1000,
            on_outcome=on_outcome,
            account=None if isinstance(fetchers[source.name], Unconfigured) else (checks or {}).get(source.name),
        )
        for source in sources
    ]


def _of(settings: Settings) -> SourceSettings:
    """The server's settings as those of any registered source, with which they are joined."""
    return cast(SourceSettings, settings)
