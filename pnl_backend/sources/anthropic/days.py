"""The closed days' costs: loaded once, kept here, and saved window by window as they come in or are revised."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from loguru import logger

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import Confirmed, CostRow, CostSum
from pnl_backend.errors import PnLError
from pnl_backend.sources.anthropic.costs import DAY, days
from pnl_backend.sources.base import ClosedDays

LONGEST_WINDOW = 31

REVISED_DAYS = 7
"""Anthropic revises some of the newest closed days: this many are fetched again, once a day."""

Window = tuple[date, date]


class RememberedDays:
    """The cost of days that are over. A memory that fails costs requests, never a figure.

    `best_report` is the name of the report whose figures another report must not replace.
    """

    def __init__(self, memory: ClosedDays, *, best_report: str) -> None:
        self._memory = memory
        self._best_report = best_report
        self._rows: dict[date, tuple[CostRow, ...]] = {}
        self._confirmed: dict[date, Confirmed] = {}
        self._sums: tuple[Window, tuple[CostSum, ...]] | None = None
        self._unsaved: list[tuple[Window, Sequence[CostRow], Confirmed]] = []
        self._longest = LONGEST_WINDOW
        self._loaded = False
        self._failure_logged = False

    async def load(self) -> None:
        """Load what is stored, once, and save what could not be saved before."""
        if not self._loaded:
            try:
                costs = await self._memory.load()
            except PnLError as error:
                self._log_failure(error)
                return
            self._loaded = True
            known = costs.days - self._rows.keys()
            self._keep(known, [row for row in costs.rows if row.day in known])
            self._confirmed = {**costs.confirmed, **self._confirmed}
        unsaved, self._unsaved = self._unsaved, []
        for (first, last), rows, confirmed in unsaved:
            await self._save(first, last, rows, confirmed)

    async def close(self, first: date, last: date, rows: Sequence[CostRow], confirmed: Confirmed) -> None:
        """Remember the days from `first` to `last`, those without cost too, in place of what is known of them."""
        closed = days(first, last)
        before = {day: _total(self._rows[day]) for day in closed if day in self._rows}
        self._keep(closed, rows)
        for day, usd in before.items():
            revised = _total(self._rows[day])
            if revised != usd:
                logger.info("anthropic: the cost of {} was revised from {:.2f} to {:.2f} USD", day, usd, revised)
        self._confirmed.update(dict.fromkeys(closed, confirmed))
        await self._save(first, last, rows, confirmed)

    def missing(self, first: date, last: date) -> list[Window]:
        """The days between that are not known, in windows that one request may ask for."""
        return list(self._windows([day for day in days(first, last) if day not in self._rows]))

    def due(self, first: date, last: date, *, today: date, report: str) -> list[Window]:
        """The days between to request of `report`: unknown ones, and the newest unless they were requested today."""
        return list(self._windows([day for day in days(first, last) if self._is_due(day, last, today, report)]))

    def unknown(self, first: date, last: date) -> int:
        """How many of the days between are not known."""
        return sum(day not in self._rows for day in days(first, last))

    def shorten_windows(self) -> None:
        """Request fewer days at a time, after a request that took too long."""
        self._longest = max(1, self._longest // 2)

    async def sums(self, first: date, last: date) -> tuple[CostSum, ...]:
        """The cost of the days that are known between, by model, workspace and API key."""
        if self._sums is None or self._sums[0] != (first, last):
            # A year of rows by key takes too long for the loop.
            self._sums = (first, last), await asyncio.to_thread(self._summed, first, last)
        return self._sums[1]

    def _summed(self, first: date, last: date) -> tuple[CostSum, ...]:
        sums: dict[tuple[str | None, str | None, str | None], Decimal] = defaultdict(lambda: ZERO)
        for day in days(first, last):
            for row in self._rows.get(day, ()):
                sums[row.model, row.workspace_id, row.api_key_id] += row.amount
        return tuple(CostSum(model, workspace, usd, key) for (model, workspace, key), usd in sums.items() if usd)

    def _is_due(self, day: date, last: date, today: date, report: str) -> bool:
        if day not in self._rows:
            return True
        confirmed = self._confirmed.get(day)
        if day <= last - REVISED_DAYS * DAY or (confirmed is not None and _day_of(confirmed) == today):
            return False
        return confirmed is None or report == self._best_report or confirmed.report != self._best_report

    def _keep(self, closed: Sequence[date] | frozenset[date], rows: Sequence[CostRow]) -> None:
        by_day: dict[date, list[CostRow]] = defaultdict(list)
        for row in rows:
            by_day[row.day].append(row)
        for day in closed:
            self._rows[day] = tuple(by_day[day])
        self._sums = None

    async def _save(self, first: date, last: date, rows: Sequence[CostRow], confirmed: Confirmed) -> None:
        try:
            await self._memory.save(first, last, rows, confirmed)
        except PnLError as error:
            self._unsaved.append(((first, last), rows, confirmed))
            self._log_failure(error)
        else:
            self._failure_logged = False

    def _log_failure(self, error: PnLError) -> None:
        if not self._failure_logged:
            self._failure_logged = True
            logger.warning("anthropic: closed days cannot be stored: {}", error)

    def _windows(self, days: Sequence[date]) -> Iterator[Window]:
        """Runs of consecutive days, cut to the longest range of one request."""
        start = 0
        for index in range(1, len(days) + 1):
            ends = index == len(days) or days[index] - days[index - 1] > DAY
            if ends or index - start == self._longest:
                yield days[start], days[index - 1]
                start = index


def _total(rows: Sequence[CostRow]) -> Decimal:
    return sum((row.amount for row in rows), ZERO)


def _day_of(confirmed: Confirmed) -> date:
    return datetime.fromtimestamp(confirmed.at // 1000, UTC).date()
