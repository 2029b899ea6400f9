"""Fetches what happened on the account, and writes each fact into the ledger once.

Fills, settlements and transfers are fetched; deals and daily costs are taken from the readings of the aggregator.
All of it runs in a task of its own, so that it neither delays nor fails a tick.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from loguru import logger

from pnl_backend.domain.classic import ANTHROPIC, CLASSIC, JOHNS, KALSHI
from pnl_backend.domain.ledger_facts import FactKind, Settlement, Transfer
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import KalshiPortfolio, Reading
from pnl_backend.ledger.periodic_job import PeriodicJob
from pnl_backend.ledger.reported_facts import ReportedFacts
from pnl_backend.ledger.sql.facts import Facts
from pnl_backend.ledger.trade_import import History, TradeImport

EVERY = 60.0


class Account(History, Protocol):
    """The history of the account. Raises FetchError."""

    async def outcomes(self, tickers: Collection[str]) -> Mapping[str, Decimal]: ...

    async def settlements_of(self, ticker: str, subaccount: int) -> Sequence[Settlement]: ...

    async def moved(self) -> Decimal:
        """USD that came from subaccounts that do not count, less what went there."""

    async def deposits(self) -> Sequence[Transfer]: ...

    async def withdrawals(self) -> Sequence[Transfer]: ...


class Watcher(Protocol):
    """Is notified of new facts and readings; neither call may raise."""

    async def on_recorded(self, kind: FactKind, names: Sequence[str]) -> None:
        """Facts of a kind that are new in the ledger, by name."""

    async def on_reading(self, account: Reading[KalshiPortfolio] | None, fetched_at: int | None) -> None:
        """There is a new live reading: of the account, if it is given, or of another source.

        All facts were fetched at `fetched_at` (ms) or later; None while some have never been fetched.
        """


class Bookkeeper:
    """Records the ledger's facts. Without an account only deals and costs are recorded. Durations are in seconds.

    `on_run(seconds, code)` is called after every fetch, with the error's code if it failed. Nothing is fetched while
    the account's reading is not live: its circuit breaker applies to these fetches too.
    """

    def __init__(
        self,
        *,
        account: Account | None,
        facts: Facts,
        watchers: Sequence[Watcher] = (),
        on_run: Callable[[float, str | None], None] | None = None,
        every: float = EVERY,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts = facts
        self.watchers = list(watchers)
        self._every = every
        self._clock = clock
        self._monotonic = monotonic
        self.moved = ZERO
        """USD that came from subaccounts that do not count, less what went there, as of the last fetch."""
        self._latest_readings: dict[str, Reading[Any]] = {}
        self._known: dict[str, object] = {}
        self._positions: object = None
        self._reported = ReportedFacts(facts)
        job = partial(PeriodicJob, retry=every, clock=clock, monotonic=monotonic)
        self._records = job("deals and costs", self._record, every=0.0)
        self._fetched: dict[str, PeriodicJob] = {}
        self.trades: TradeImport | None = None
        if account is not None:
            self.trades = TradeImport(account, facts, self._recorded, clock=clock, monotonic=monotonic)
            fetched = partial(job, every=every, on_run=on_run)
            self._fetched = {
                "transfers": fetched("deposits and withdrawals", partial(self._fetch_transfers, account)),
                "trades": fetched("fills and settlements", self.trades.run),
            }
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def on_reading(self, reading: Reading[Any]) -> None:
        """Store a reading; this object's task processes it later."""
        held = self._latest_readings.get(reading.source)
        self._latest_readings[reading.source] = reading
        if held is None or held.value is not reading.value or held.status != reading.status:
            self._wake.set()

    def fetch_soon(self) -> None:
        """Bring all fetches forward: the account has changed in a way that no known fact explains."""
        if self.trades is not None:
            self.trades.include_archive()
        for job in self._fetched.values():
            job.bring_forward()
        self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bookkeeper")

    async def stop(self) -> None:
        """Stop; a write in progress is finished first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.trades is not None:
            await self.trades.close()

    async def round(self) -> None:
        """Run every job that is due; one that fails is logged once, counted and tried again later."""
        account = self._fresh(KALSHI)
        new = [source for source in CLASSIC if self._is_new(source)]
        if account is not None:
            if KALSHI in new and isinstance(account.value, KalshiPortfolio):
                self._look_for_trades(account.value)
            for job in self._fetched.values():
                await job.run_if_due()
            if self.trades is not None and not self.trades.finished:
                self._fetched["trades"].bring_forward()
        if new:
            await self._records.run_if_due()
        if new:
            self._known[KALSHI] = account and account.value
            for watcher in self.watchers:
                await watcher.on_reading(account if KALSHI in new else None, self._fetched_at())

    def latest(self, source: str) -> Any:
        """The newest reading of a source, while that is live; else None."""
        reading = self._fresh(source)
        return None if reading is None else reading.value

    def _fetched_at(self) -> int | None:
        times = [job.read_at for job in self._fetched.values()]
        return min((at for at in times if at is not None), default=None) if None not in times else None

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.round()
            except Exception:
                logger.exception("a round of the bookkeeping failed, it is tried again")
                await asyncio.sleep(self._every)
            due = min((job.due for job in self._fetched.values()), default=self._monotonic() + self._every)
            wait = max(due - self._monotonic(), 1.0)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _fresh(self, source: str) -> Reading[Any] | None:
        """The newest reading of a source, if it is live."""
        reading = self._latest_readings.get(source)
        return reading if reading is not None and reading.status == "live" else None

    def _is_new(self, source: str) -> bool:
        reading = self._fresh(source)
        return reading is not None and self._known.get(source) is not reading.value

    def _look_for_trades(self, portfolio: KalshiPortfolio) -> None:
        """A position that moved is a fill or a settlement that the ledger does not know yet."""
        seen = {(p.ticker, p.quantity, p.realized_pnl, p.fees) for p in portfolio.positions}
        moved = self._positions is not None and seen != self._positions
        self._positions = seen
        if moved and "trades" in self._fetched:
            self._fetched["trades"].bring_forward()

    async def _fetch_transfers(self, account: Account) -> None:
        """Fetch all transfers: a pending one becomes final, and an applied one may be returned, without a new date."""
        fetched = [*await account.deposits(), *await account.withdrawals()]
        self.moved = await account.moved()
        changed = await self._facts.add_transfers(fetched, int(self._clock() * 1000))
        await self._recorded("transfer", [transfer.key for transfer in changed])

    async def _record(self) -> None:
        """Record the deals and days that have changed since they were last written."""
        spend, revenue = self._fresh(ANTHROPIC), self._fresh(JOHNS)
        if spend is not None and self._is_new(ANTHROPIC):
            await self._recorded("cost", await self._reported.record_costs(spend))
            self._known[ANTHROPIC] = spend.value
        if revenue is not None and self._is_new(JOHNS):
            await self._recorded("deal", await self._reported.record_deals(revenue))
            self._known[JOHNS] = revenue.value

    async def _recorded(self, kind: FactKind, names: Sequence[str]) -> None:
        if names:
            for watcher in self.watchers:
                await watcher.on_recorded(kind, list(dict.fromkeys(names)))
