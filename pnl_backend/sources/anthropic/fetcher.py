"""Reads an organisation's Anthropic spend: closed days are stored, the open ones are fetched each time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, date, datetime

from loguru import logger

from pnl_backend.domain.readings import AnthropicSpend, Confirmed, CostRow, Fetched, Progress
from pnl_backend.errors import UpstreamTimeout
from pnl_backend.sources.account import AccountIdentity, AnyAccount
from pnl_backend.sources.anthropic.api import ANALYTICS_COST, COST_REPORT, AnthropicApi, EndpointRefused, ReportPages
from pnl_backend.sources.anthropic.costs import DAY, analytics_reaches
from pnl_backend.sources.anthropic.days import RememberedDays, Window
from pnl_backend.sources.anthropic.identity import KnownCosts
from pnl_backend.sources.anthropic.reports import CostRows, Reports
from pnl_backend.sources.base import ClosedDays, UpstreamClient
from pnl_backend.sources.concurrent import both

# How long (s) a refused report is left alone before it is tried again.
_REFUSAL_HOLDS = 600.0

# How long (s) a fetch goes on importing earlier days; a third of what a fetch may take by default.
_IMPORT_TIME = 10.0

OPEN_DAYS_NOTE = "Today is estimated from usage by list price: this key may not read analytics/cost."

Ask = Callable[[date, date], Awaitable[CostRows]]


class AnthropicFetcher:
    """Cost since `since`, by UTC day, model and workspace (and API key, with `by_api_key`).

    Today and yesterday are open: late usage still changes them. Earlier days are closed and come from `closed_days`;
    the last seven of them are fetched again once a day, because Anthropic revises some. What is not known yet is
    imported window by window, if need be over several fetches: until then the value has `importing`.
    A key that may not read analytics/cost gets an estimate from the older reports, labelled as one.
    `clock` gives seconds since the epoch and decides which day it is; `monotonic` measures time.
    """

    def __init__(
        self,
        client: UpstreamClient,
        *,
        base_url: str,
        api_key: str,
        since: date,
        closed_days: ClosedDays,
        by_api_key: bool = False,
        identity: AccountIdentity | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        pages = ReportPages(client, base_url=base_url, api_key=api_key)
        api = AnthropicApi(pages, identity or AnyAccount(), KnownCosts(pages, clock).recognise)
        self._reports = Reports(api, by_api_key=by_api_key)
        self._since = since
        self._days = RememberedDays(closed_days, best_report=ANALYTICS_COST)
        self._clock = clock
        self._monotonic = monotonic
        self._refused: dict[str, float] = {}

    async def fetch(self) -> Fetched[AnthropicSpend]:
        """Spend as of the newest data Anthropic has; raises FetchError."""
        now = self._clock()
        today = datetime.fromtimestamp(now, UTC).date()
        await self._days.load()
        if self._may_ask(ANALYTICS_COST):
            try:
                billed = await self._billed(today, now)
            except EndpointRefused as error:
                self._note_refusal(ANALYTICS_COST, error)
            else:
                self._refused.pop(ANALYTICS_COST, None)
                return billed
        try:
            return await self._estimated(today, now)
        except EndpointRefused:
            # The key may use neither report: the next fetch begins with the better one again.
            self._refused.clear()
            raise

    async def _billed(self, today: date, now: float) -> Fetched[AnthropicSpend]:
        """From analytics/cost, with cost_report for the days that it does not reach."""
        importing, notes = await self._close_days(today)
        (yesterdays, earlier), (todays, later) = await both(
            self._reports.analytics(today - DAY, today - DAY, "1d") if self._since < today else _nothing(),
            self._reports.analytics(today, today, "1h"),
        )
        refreshed = min((at for at in (earlier, later) if at is not None), default=int(now * 1000))
        spend = await self._spend(today, [*yesterdays, *todays], importing, notes, estimated=bool(notes))
        return Fetched(spend, min(refreshed, int(now * 1000)))

    async def _estimated(self, today: date, now: float) -> Fetched[AnthropicSpend]:
        """From the older reports: cost for closed days and yesterday, priced usage for today."""
        due = self._days.due(self._since, today - 2 * DAY, today=today, report=COST_REPORT)
        await self._import(due, COST_REPORT, self._reports.cost_report)
        importing = self._progress(self._since, today)
        yesterdays, (todays, lacking) = await both(
            self._reports.cost_report(today - DAY, today - DAY) if self._since < today else _no_rows(),
            self._reports.priced_usage(today),
        )
        notes = [OPEN_DAYS_NOTE, *lacking]
        spend = await self._spend(today, [*yesterdays, *todays], importing, notes, estimated=True)
        return Fetched(spend, int(now * 1000))

    async def _close_days(self, today: date) -> tuple[Progress | None, list[str]]:
        """Import closed days as far as time allows: what is still to be imported, and notes on what is lacking."""
        first = max(self._since, analytics_reaches(today))
        due = self._days.due(first, today - 2 * DAY, today=today, report=ANALYTICS_COST)
        await self._import(due, ANALYTICS_COST, self._analytics_by_day)
        beyond = self._days.missing(self._since, min(first, today - DAY) - DAY)
        if not beyond:
            return self._progress(first, today), []
        if self._may_ask(COST_REPORT):
            try:
                await self._import(beyond, COST_REPORT, self._reports.cost_report)
            except EndpointRefused as error:
                self._note_refusal(COST_REPORT, error)
            else:
                return self._progress(self._since, today), []
        return self._progress(first, today), [beyond_reach_note(beyond)]

    async def _import(self, windows: Sequence[Window], report: str, ask: Ask) -> None:
        """Ask for closed days window by window, until all are known or the time for importing is over.

        A window that takes too long is requested in smaller ones the next time, so that an import always advances.
        """
        deadline = self._monotonic() + _IMPORT_TIME
        for first, last in windows:
            if self._monotonic() >= deadline:
                return
            try:
                rows = await ask(first, last)
            except (asyncio.CancelledError, UpstreamTimeout):
                self._days.shorten_windows()
                raise
            await self._days.close(first, last, rows, Confirmed(int(self._clock() * 1000), report))
            if len(windows) > 1:
                logger.info("anthropic: the cost of {} to {} is imported", first, last)

    async def _analytics_by_day(self, first: date, last: date) -> CostRows:
        rows, _ = await self._reports.analytics(first, last, "1d")
        return rows

    def _progress(self, first: date, today: date) -> Progress | None:
        """How many of the closed days from `first` on are known; None if all are."""
        unknown = self._days.unknown(first, today - 2 * DAY)
        total = (today - DAY - first).days
        return Progress("days of cost", total - unknown, total) if unknown else None

    async def _spend(
        self,
        today: date,
        open_rows: Iterable[CostRow],
        importing: Progress | None,
        notes: Iterable[str],
        *,
        estimated: bool,
    ) -> AnthropicSpend:
        return AnthropicSpend(
            self._since,
            today,
            tuple(open_rows),
            closed=await self._days.sums(self._since, today - 2 * DAY),
            estimated=estimated,
            notes=tuple(notes),
            importing=importing,
        )

    def _may_ask(self, path: str) -> bool:
        refused = self._refused.get(path)
        return refused is None or self._monotonic() - refused >= _REFUSAL_HOLDS

    def _note_refusal(self, path: str, error: EndpointRefused) -> None:
        if path not in self._refused:
            logger.warning("anthropic: {} cannot be read with this key, continuing without it: {}", path, error)
        self._refused[path] = self._monotonic()


def beyond_reach_note(windows: Sequence[Window]) -> str:
    """Which days are not counted, and why."""
    return (
        f"Days from {windows[0][0]} to {windows[-1][1]} are not counted: analytics/cost does not reach back so far, "
        "and this key may not read cost_report."
    )


async def _nothing() -> tuple[CostRows, int | None]:
    return (), None


async def _no_rows() -> CostRows:
    return ()
