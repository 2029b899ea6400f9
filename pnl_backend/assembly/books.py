"""Puts the bookkeeping together: what overhears the sources, writes the facts and holds them against each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, Literal

from loguru import logger

from pnl_backend.assembly.adapters import TappedSource
from pnl_backend.assembly.guards import Guards
from pnl_backend.domain.classic import KALSHI
from pnl_backend.domain.ledger_facts import FactKind
from pnl_backend.domain.readings import Reading, SourceName
from pnl_backend.domain.snapshot import Verified
from pnl_backend.errors import StoreError
from pnl_backend.ledger.bookkeeper import Account, Bookkeeper
from pnl_backend.ledger.history_import import HistoryImport, Importer
from pnl_backend.ledger.protocol import Ledger
from pnl_backend.ledger.reconciler import Reconciler
from pnl_backend.ledger.upkeep import Upkeep
from pnl_backend.ledger.verifier import Verifier
from pnl_backend.ops.health import Part
from pnl_backend.ops.metrics import Metrics

Observed = Callable[[Literal["fill", "cost", "deal"], str], Awaitable[None]]
_NAMED = 3


class Books:
    """Runs beside the loop; an account that is not configured has no facts to fetch."""

    def __init__(
        self,
        store: Ledger,
        metrics: Metrics,
        account: Account | None,
        upkeep: Upkeep,
        tolerance: Decimal,
        *,
        importer: Importer | None,
    ) -> None:
        self.upkeep = upkeep
        self.keeper = Bookkeeper(
            account=account,
            facts=store.facts,
            on_run=lambda seconds, code: metrics.fetched("kalshi_facts", seconds, code),
        )
        self.reconciler = Reconciler(
            facts=store.facts,
            latest=self.keeper.latest,
            fetch_soon=self.keeper.fetch_soon,
            publish=metrics.reconciled,
            tolerance=tolerance,
            is_imported=self._is_imported,
            moved=lambda: self.keeper.moved,
        )
        self.verifier = Verifier(
            trades=store.facts.trades,
            is_imported=self._is_imported,
            equity=self.reconciler.equity,
            fetch_soon=self.keeper.fetch_soon,
            upstream=account,
            in_scope=lambda: self.keeper.trades.subaccounts if self.keeper.trades is not None else frozenset(),
        )
        self.keeper.watchers += [self.reconciler, self.verifier, _UnknownFacts(store, self.keeper)]
        self.history = None if importer is None else HistoryImport(KALSHI, importer)

    def sources(self, guards: Guards) -> Mapping[SourceName, TappedSource]:
        """The sources as the loop reads them; every reading goes to the bookkeeper and the import too."""
        return {guard.source: TappedSource(guard, self._on_reading) for guard in guards}

    def _on_reading(self, reading: Reading[Any]) -> None:
        self.keeper.on_reading(reading)
        if self.history is not None:
            self.history.on_reading(reading)

    def on_recorded(self, observed: Observed) -> None:
        """Have a fact that nobody knew passed on; a pay-out moves the account as a fill does, a transfer no P&L."""
        self.keeper.watchers.append(_RecordedFacts(observed))

    def part(self) -> Part:
        """The books as a part of the health report."""
        problem = self.reconciler.problem()
        return Part(self.reconciler.state, ok=problem is None, detail=problem)

    def verified(self) -> Mapping[SourceName, Verified]:
        """By source, whether its figures were derived a second time."""
        return {} if self.keeper.trades is None else {KALSHI: self.verifier.verified}

    def _is_imported(self) -> bool:
        return self.keeper.trades is not None and self.keeper.trades.complete

    def verification_part(self) -> Part:
        """The verification as a part of the health report."""
        problem = self.verifier.problem()
        return Part(self.verifier.state, ok=problem is None, detail=problem)

    def history_part(self) -> Part:
        """The import of fills and settlements as a part of the health report."""
        trades = self.keeper.trades
        if trades is None:
            return Part("disabled")
        progress = trades.importing
        if progress is None:
            return Part("complete" if trades.complete else "unread")
        return Part("importing", detail=f"{progress.what}: {progress.done} rows so far")

    def import_part(self) -> Part:
        """The import of the account's history as a part of the health report."""
        if self.history is None:
            return Part("unconfigured")
        return Part(self.history.state, ok=self.history.state != "failing", detail=self.history.detail())

    def upkeep_part(self) -> Part:
        """Retention and backups as a part of the health report."""
        problem = self.upkeep.problem
        return Part("working" if problem is None else "failing", ok=problem is None, detail=problem)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the books and the ledger in shape while the block runs."""
        self.keeper.start()
        if self.history is not None:
            self.history.start()
        self.upkeep.start()
        try:
            yield
        finally:
            if self.history is not None:
                await self.history.stop()
            await self.keeper.stop()
            await self.upkeep.stop()


class _UnknownFacts:
    """Sets aside the ledger's facts of another account, once all lists of the account have been read."""

    def __init__(self, store: Ledger, keeper: Bookkeeper) -> None:
        self._store = store
        self._keeper = keeper
        self._done = False

    async def on_recorded(self, kind: FactKind, names: Sequence[str]) -> None:
        """Nothing to do: facts are judged when all are known."""

    async def on_reading(self, account: object, fetched_at: int | None) -> None:
        trades = self._keeper.trades
        if self._done or account is None or fetched_at is None or trades is None or not trades.complete:
            return
        with suppress(StoreError):  # it is tried again at the next reading
            found = await self._store.accounts.set_aside_unknown()
            self._done = found is not None
            if found:
                logger.warning("Set aside {} facts of the ledger that the account does not have", found)


class _RecordedFacts:
    """Reports recorded facts, one line for a batch of any size."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    async def on_recorded(self, kind: FactKind, names: Sequence[str]) -> None:
        if kind == "transfer":
            return
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        await self._observed("fill" if kind == "settlement" else kind, ", ".join(names[:_NAMED]) + more)

    async def on_reading(self, account: object, fetched_at: int | None) -> None:
        """Nothing new for anybody."""
