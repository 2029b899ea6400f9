"""Requests to Anthropic's three reports, and the rows that they return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import date

from pnl_backend.domain.readings import CostRow
from pnl_backend.sources.anthropic.api import ANALYTICS_COST, COST_REPORT, USAGE_REPORT, AnthropicApi, Params, Row
from pnl_backend.sources.anthropic.costs import cost_rows, day_range, read_analytics, read_cost_report
from pnl_backend.sources.anthropic.estimate import estimate

CostRows = tuple[CostRow, ...]


class Reports:
    """The reports by day, both ends included, by model and workspace (and API key, with `by_api_key`).

    Rows are read in a thread: a report of many pages would hold the loop.
    """

    def __init__(self, api: AnthropicApi, *, by_api_key: bool) -> None:
        self._api = api
        self._by_api_key = by_api_key

    async def analytics(self, first: date, last: date, width: str) -> tuple[CostRows, int | None]:
        """`analytics/cost` in buckets of `width`, and when its data was refreshed (ms).

        Without an order by time the rows are sorted by amount anew for each page, and some would be lost.
        """
        params = [
            *day_range(first, last),
            ("time_bucket_width", width),
            ("order_by", "time"),
            ("limit", "1000"),
            *self._grouped(["model", "workspace_id"]),
        ]
        report = await self._api.report(ANALYTICS_COST, params)
        costs = await asyncio.to_thread(lambda: cost_rows(read_analytics(report.rows, first, last)))
        return costs, report.refreshed_at

    async def cost_report(self, first: date, last: date) -> CostRows:
        """The legacy `cost_report`, which has no API keys; its pages are in order of time."""
        groups = [("group_by[]", name) for name in ("workspace_id", "description")]
        params = [*day_range(first, last), ("bucket_width", "1d"), ("limit", "31"), *groups]
        rows: list[Row] = (await self._api.report(COST_REPORT, params)).rows
        return await asyncio.to_thread(lambda: cost_rows(read_cost_report(rows, first, last)))

    async def priced_usage(self, day: date) -> tuple[CostRows, tuple[str, ...]]:
        """The usage of a day priced by the table, and notes on what that leaves out."""
        groups = self._grouped(["model", "workspace_id", "service_tier", "context_window"])
        params = [*day_range(day, day), ("bucket_width", "1h"), ("limit", "24"), *groups]
        rows: list[Row] = (await self._api.report(USAGE_REPORT, params)).rows
        priced = await asyncio.to_thread(estimate, rows, day)
        return cost_rows(priced.costs), priced.notes

    def _grouped(self, names: Iterable[str]) -> Params:
        return [("group_by[]", name) for name in (*names, *(["api_key_id"] if self._by_api_key else []))]
