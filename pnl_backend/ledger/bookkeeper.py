"""Beside the loop: fetches what happened on the account, and writes each fact into the ledger once.

Fills, settlements and transfers are fetched; deals and daily costs are taken from the readings that the loop reads
anyway. Nothing here delays or fails a tick: readings are overheard, and everything else is this task's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from loguru import logger

from pnl_backend.domain.classic import ANTHROPIC, CLASSIC, JOHNS, KALSHI
from pnl_backend.domain.ledger_facts import Fill, Settlement, Transfer
from pnl_backend.domain.readings import AnthropicSpend, CostRow, Deal, KalshiPortfolio, Reading, Revenue
from pnl_backend.domain.times import HOUR_MS, LAST_INSTANT
from pnl_backend.ledger.periodic_job import PeriodicJob
from pnl_backend.ledger.sqlite.facts import Facts

EVERY = 60.0
OVERLAP_MS = HOUR_MS
"""An upstream may tell late what happened early; what is known already costs nothing."""

BATCH = 500
"""Facts a transaction."""

Dated = TypeVar("Dated", Fill, Settlement)
Kind = Literal["fill", "settlement", "transfer", "cost", "deal"]


class Account(Protocol):
    """What the account tells on request; `since` in ms. Raises FetchError."""

    async def fills(self, since: int | None = None) -> Sequence[Fill]: ...

    async def settlements(self, since: int | None = None) -> Sequence[Settlement]: ...

    async def deposits(self) -> Sequence[Transfer]: ...

    async def withdrawals(self) -> Sequence[Transfer]: ...


class Watcher(Protocol):
    """Whoever wants to know what came into the books; neither call may raise."""

    async def recorded(self, kind: Kind, names: Sequence[str]) -> None:
        """Facts of a kind that are new in the ledger, by name."""

    async def looked(self, account: Reading[KalshiPortfolio] | None, fetched_at: int | None) -> None:
        """Something fresh was read: the account, if it is given, or another source.

        Everything that is fetched was last fetched at that time (ms) or later; None: not all of it yet.
        """


class Bookkeeper:
    """Keeps the ledger's facts. Without an account only deals and costs are recorded. Durations are in seconds.

    `on_run(seconds, code)` is called after every fetch, with the error's code where it failed. Nothing is fetched while
    the account's reading is not live: the circuit breaker of that reading decides for these fetches too.
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
        self._monotonic = monotonic
        self._heard: dict[str, Reading[Any]] = {}
        self._known: dict[str, object] = {}
        self._positions: object = None
        self._costs: dict[date, tuple[CostRow, ...]] = {}
        self._deals: tuple[Deal, ...] = ()
        job = partial(PeriodicJob, retry=every, clock=clock, monotonic=monotonic)
        self._records = job("deals and costs", self._record, every=0.0)
        self._fetched: dict[str, PeriodicJob] = {}
        if account is not None:
            fetched = partial(job, every=every, on_run=on_run)
            self._fetched = {
                "transfers": fetched("deposits and withdrawals", partial(self._fetch_transfers, account)),
                "trades": fetched("fills and settlements", partial(self._fetch_trades, account)),
            }
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def on_reading(self, reading: Reading[Any]) -> None:
        """Take note of a reading; what is in it is looked at later, in this task."""
        held = self._heard.get(reading.source)
        self._heard[reading.source] = reading
        if held is None or held.value is not reading.value or held.status != reading.status:
            self._news.set()

    def hurry(self) -> None:
        """Fetch everything again soon: something moved that nothing known explains."""
        for job in self._fetched.values():
            job.bring_forward()
        self._news.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bookkeeper")

    async def stop(self) -> None:
        """End now; what is being written is finished first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> None:
        """Everything that is due, each on its own: what fails is logged once, counted and tried again later."""
        account = self._fresh(KALSHI)
        new = [source for source in CLASSIC if self._is_new(source)]
        if account is not None:
            if KALSHI in new and isinstance(account.value, KalshiPortfolio):
                self._look_for_trades(account.value)
            for job in self._fetched.values():
                await job.run_if_due()
        if new:
            await self._records.run_if_due()
        if new:
            self._known[KALSHI] = account and account.value
            for watcher in self.watchers:
                await watcher.looked(account if KALSHI in new else None, self._fetched_at())

    def latest(self, source: str) -> Any:
        """The newest reading of a source, while that is live; else None."""
        reading = self._fresh(source)
        return None if reading is None else reading.value

    def _fetched_at(self) -> int | None:
        times = [job.read_at for job in self._fetched.values()]
        return min((at for at in times if at is not None), default=None) if None not in times else None

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self.round()
            except Exception:
                logger.exception("the bookkeeper stumbled and goes on")
                await asyncio.sleep(self._every)
            due = min((job.due for job in self._fetched.values()), default=self._monotonic() + self._every)
            wait = max(due - self._monotonic(), 1.0)
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _fresh(self, source: str) -> Reading[Any] | None:
        """The newest reading of a source, if it is live."""
        reading = self._heard.get(source)
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

    async def _fetch_trades(self, account: Account) -> None:
        """What happened since the newest that is known; everything at the first time."""
        newest_fill = await self._facts.fills(0, LAST_INSTANT, limit=1)
        await self._add("fill", await account.fills(_since(newest_fill)), self._facts.add_fills)
        newest_settlement = await self._facts.settlements(0, LAST_INSTANT, limit=1)
        settlements = await account.settlements(_since(newest_settlement))
        await self._add("settlement", settlements, self._facts.add_settlements)

    async def _add(
        self, kind: Kind, facts: Sequence[Dated], add: Callable[[Sequence[Dated]], Awaitable[Sequence[Dated]]]
    ) -> None:
        """In batches short enough for snapshots to be written in between.

        The oldest first: an import that ends half-way has the older half, and the next one asks for the rest.
        """
        ordered = sorted(facts, key=lambda fact: fact.at)
        new: list[Dated] = []
        try:
            for start in range(0, len(ordered), BATCH):
                new += await add(ordered[start : start + BATCH])
        finally:
            await self._recorded(kind, [fact.ticker for fact in new])

    async def _fetch_transfers(self, account: Account) -> None:
        """All of them: one that is under way becomes final without a new date."""
        told = [*await account.deposits(), *await account.withdrawals()]
        await self._recorded("transfer", [transfer.key for transfer in await self._facts.add_transfers(told)])

    async def _record(self) -> None:
        """Deals and days that look different than when they were last written."""
        spend, revenue = self._fresh(ANTHROPIC), self._fresh(JOHNS)
        if spend is not None and isinstance(spend.value, AnthropicSpend) and self._is_new(ANTHROPIC):
            days = _by_day(spend.value.rows)
            changed = [row for day, rows in days.items() if self._costs.get(day) != rows for row in rows]
            await self._recorded("cost", [row.day.isoformat() for row in await self._facts.add_costs(changed)])
            self._costs, self._known[ANTHROPIC] = days, spend.value
        if revenue is not None and isinstance(revenue.value, Revenue) and self._is_new(JOHNS):
            if revenue.value.deals != self._deals:
                new = await self._facts.add_deals(revenue.value.deals, revenue.as_of)
                await self._recorded("deal", [deal.id for deal in new])
            self._deals, self._known[JOHNS] = revenue.value.deals, revenue.value

    async def _recorded(self, kind: Kind, names: Sequence[str]) -> None:
        if names:
            for watcher in self.watchers:
                await watcher.recorded(kind, list(dict.fromkeys(names)))


def _since(newest: Sequence[Fill] | Sequence[Settlement]) -> int | None:
    return max(0, newest[-1].at - OVERLAP_MS) if newest else None


def _by_day(rows: Iterable[CostRow]) -> dict[date, tuple[CostRow, ...]]:
    days: dict[date, tuple[CostRow, ...]] = {}
    for row in rows:
        days[row.day] = (*days.get(row.day, ()), row)
    return days
