"""Closed days that fail on command, and answers of `analytics/cost` as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow
from pnl_backend.errors import StoreError

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
ANALYTICS, COST_REPORT = "/v1/organizations/analytics/cost", "/v1/organizations/cost_report"
USAGE = "/v1/organizations/usage_report/messages"


class Memory:
    """Closed days as they were saved, in order; it fails on command."""

    def __init__(self) -> None:
        self.saved: list[tuple[date, date, tuple[CostRow, ...]]] = []
        self.days: dict[date, tuple[CostRow, ...]] = {}
        self.confirmed: dict[date, Confirmed] = {}
        self.failing = False
        self.any_saved = asyncio.Event()
        self.on_save: Callable[[], None] | None = None

    async def load(self) -> ClosedCosts:
        if self.failing:
            raise StoreError("the database is locked")
        rows = tuple(row for rows in self.days.values() for row in rows)
        return ClosedCosts(frozenset(self.days), rows, dict(self.confirmed))

    async def save(
        self, day_from: date, day_to: date, rows: Sequence[CostRow], confirmed: Confirmed | None = None
    ) -> None:
        if self.failing:
            raise StoreError("the database is locked")
        self.saved.append((day_from, day_to, tuple(rows)))
        for day in (day_from + n * DAY for n in range((day_to - day_from).days + 1)):
            self.days[day] = tuple(row for row in rows if row.day == day)
            if confirmed is not None:
                self.confirmed[day] = confirmed
        self.any_saved.set()
        if self.on_save is not None:
            self.on_save()


def row(amount: Any = "123.45", **changes: Any) -> dict[str, Any]:
    return {
        "starting_at": "2026-11-21T03:00:00Z",
        "ending_at": "2026-11-21T04:00:00Z",
        "group": {"model": "claude-opus-5-5", "workspace_id": "wrkspc_01"},
        "cost": {"amount": amount, "list_amount": "999", "currency": "USD", "requests": 3},
        **changes,
    }


def page(*rows: Any, **changes: Any) -> dict[str, Any]:
    return {
        "data": list(rows),
        "has_more": False,
        "next_page": None,
        "data_refreshed_at": "2026-11-21T15:20:00Z",
        **changes,
    }
