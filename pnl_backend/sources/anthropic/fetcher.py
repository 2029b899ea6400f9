"""Reads an organisation's Anthropic spend: closed days remembered, the open ones asked for each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from loguru import logger

from pnl_backend.domain.readings import AnthropicSpend, CostRow, Fetched
from pnl_backend.sources.account import AccountIdentity, AnyAccount
from pnl_backend.sources.anthropic.api import (
    ANALYTICS_COST,
    COST_REPORT,
    USAGE_REPORT,
    AnthropicApi,
    EndpointRefused,
    Params,
    ReportPages,
)
from pnl_backend.sources.anthropic.costs import DAY, cost_rows, midnight, read_analytics, read_cost_report
from pnl_backend.sources.anthropic.days import RememberedDays
from pnl_backend.sources.anthropic.estimate import estimate
from pnl_backend.sources.anthropic.identity import KnownCosts
from pnl_backend.sources.base import ClosedDays, UpstreamClient
from pnl_backend.sources.concurrent import both

# analytics/cost knows nothing before this day.
ANALYTICS_FIRST_DAY = date(2026, 1, 1)

# How long (s) a refused report is left alone before it is tried again.
_REFUSAL_HOLDS = 600.0

OPEN_DAYS_NOTE = "Today is estimated from usage by list price: this key may not read analytics/cost."
OLDER_DAYS_NOTE = "Days before 2026-01-01 are not counted: this key may not read cost_report."


class AnthropicFetcher:
    """Cost since `since`, by UTC day, model and workspace (and API key, with `by_api_key`).

    Today and yesterday are open: late usage still changes them. Earlier days are closed and asked for once.
    A key that may not read analytics/cost gets an estimate from the older reports, labelled as one.
    `clock` gives seconds since the epoch and decides which day it is; `monotonic` when a refused report is tried again.
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
        self._api = AnthropicApi(pages, identity or AnyAccount(), KnownCosts(pages).recognise)
        self._since = since
        self._days = RememberedDays(closed_days)
        self._by_api_key = by_api_key
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
            # Neither way is open to this key: the next fetch begins with the better one again.
            self._refused.clear()
            raise

    async def _billed(self, today: date, now: float) -> Fetched[AnthropicSpend]:
        """From analytics/cost, with cost_report for the days before it begins."""
        notes = await self._close_days(today)
        (yesterdays, earlier), (todays, later) = await both(
            self._analytics(today - DAY, today - DAY, "1d") if self._since < today else _nothing(),
            self._analytics(today, today, "1h"),
        )
        refreshed = min((at for at in (earlier, later) if at is not None), default=int(now * 1000))
        spend = self._spend(today, [*yesterdays, *todays], notes, estimated=bool(notes))
        return Fetched(spend, min(refreshed, int(now * 1000)))

    async def _estimated(self, today: date, now: float) -> Fetched[AnthropicSpend]:
        """From the older reports: cost for closed days and yesterday, priced usage for today."""
        for first, last in self._days.missing(self._since, today - 2 * DAY):
            await self._days.close(first, last, await self._cost_report(first, last))
        yesterdays, (todays, lacking) = await both(
            self._cost_report(today - DAY, today - DAY) if self._since < today else _no_rows(),
            self._priced_usage(today),
        )
        spend = self._spend(today, [*yesterdays, *todays], [OPEN_DAYS_NOTE, *lacking], estimated=True)
        return Fetched(spend, int(now * 1000))

    async def _close_days(self, today: date) -> list[str]:
        """Fetch and remember every closed day that is not yet known, window by window; notes on what is lacking."""
        for first, last in self._days.missing(max(self._since, ANALYTICS_FIRST_DAY), today - 2 * DAY):
            rows, _ = await self._analytics(first, last, "1d")
            await self._days.close(first, last, rows)
        older = self._days.missing(self._since, min(ANALYTICS_FIRST_DAY, today - DAY) - DAY)
        if older and self._may_ask(COST_REPORT):
            try:
                for first, last in older:
                    await self._days.close(first, last, await self._cost_report(first, last))
            except EndpointRefused as error:
                self._note_refusal(COST_REPORT, error)
            else:
                return []
        return [OLDER_DAYS_NOTE] if older else []

    async def _analytics(self, first: date, last: date, width: str) -> tuple[tuple[CostRow, ...], int | None]:
        groups = ["model", "workspace_id", *(["api_key_id"] if self._by_api_key else [])]
        params = [*_range(first, last), ("time_bucket_width", width), ("limit", "1000"), *_grouped(groups)]
        report = await self._api.report(ANALYTICS_COST, params)
        return cost_rows(read_analytics(report.rows, first, last)), report.refreshed_at

    async def _cost_report(self, first: date, last: date) -> tuple[CostRow, ...]:
        params = [*_range(first, last), ("bucket_width", "1d"), ("limit", "31")]
        report = await self._api.report(COST_REPORT, [*params, *_grouped(["workspace_id", "description"])])
        return cost_rows(read_cost_report(report.rows, first, last))

    async def _priced_usage(self, today: date) -> tuple[tuple[CostRow, ...], tuple[str, ...]]:
        groups = ["model", "workspace_id", "service_tier", "context_window"]
        groups += ["api_key_id"] if self._by_api_key else []
        params = [*_range(today, today), ("bucket_width", "1h"), ("limit", "24"), *_grouped(groups)]
        report = await self._api.report(USAGE_REPORT, params)
        priced = estimate(report.rows, today)
        return cost_rows(priced.costs), priced.notes

    def _spend(
        self, today: date, open_rows: Iterable[CostRow], notes: Iterable[str], *, estimated: bool
    ) -> AnthropicSpend:
        closed = self._days.rows(self._since, today - 2 * DAY)
        return AnthropicSpend(self._since, today, (*closed, *open_rows), estimated=estimated, notes=tuple(notes))

    def _may_ask(self, path: str) -> bool:
        refused = self._refused.get(path)
        return refused is None or self._monotonic() - refused >= _REFUSAL_HOLDS

    def _note_refusal(self, path: str, error: EndpointRefused) -> None:
        if path not in self._refused:
            logger.warning("anthropic: {} is not open to this key, going on without it: {}", path, error)
        self._refused[path] = self._monotonic()


def _range(first: date, last: date) -> Params:
    form = "%Y-%m-%dT%H:%M:%SZ"
    return [
        ("starting_at", midnight(first).strftime(form)),
        ("ending_at", midnight(last + DAY).strftime(form)),
    ]


def _grouped(names: Iterable[str]) -> Params:
    return [("group_by[]", name) for name in names]


async def _nothing() -> tuple[tuple[CostRow, ...], int | None]:
    return (), None


async def _no_rows() -> tuple[CostRow, ...]:
    return ()
