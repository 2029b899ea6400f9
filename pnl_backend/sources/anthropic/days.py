"""The closed days' costs: loaded once, kept here, and saved window by window as they come in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from loguru import logger

from pnl_backend.domain.readings import CostRow
from pnl_backend.errors import PnLError
from pnl_backend.sources.anthropic.costs import DAY, days
from pnl_backend.sources.base import ClosedDays

LONGEST_WINDOW = 31

Window = tuple[date, date]


class RememberedDays:
    """A day once closed never changes. A memory that fails costs requests, never a figure."""

    def __init__(self, memory: ClosedDays) -> None:
        self._memory = memory
        self._rows: dict[date, tuple[CostRow, ...]] = {}
        self._unsaved: list[tuple[Window, Sequence[CostRow]]] = []
        self._loaded = False
        self._complained = False

    async def load(self) -> None:
        """Load what is remembered, once, and save what could not be saved before."""
        if not self._loaded:
            try:
                costs = await self._memory.load()
            except PnLError as error:
                self._complain(error)
                return
            self._loaded = True
            self._keep(costs.days, costs.rows)
        unsaved, self._unsaved = self._unsaved, []
        for (first, last), rows in unsaved:
            await self._save(first, last, rows)

    async def close(self, first: date, last: date, rows: Sequence[CostRow]) -> None:
        """Remember the days from `first` to `last`, those without cost too."""
        self._keep(days(first, last), rows)
        await self._save(first, last, rows)

    def missing(self, first: date, last: date) -> list[Window]:
        """The days between that are not known, in windows of at most 31 days."""
        return list(_windows([day for day in days(first, last) if day not in self._rows]))

    def rows(self, first: date, last: date) -> list[CostRow]:
        """The rows of the days that are known."""
        return [row for day in days(first, last) for row in self._rows.get(day, ())]

    def _keep(self, closed: Sequence[date] | frozenset[date], rows: Sequence[CostRow]) -> None:
        by_day: dict[date, list[CostRow]] = defaultdict(list)
        for row in rows:
            by_day[row.day].append(row)
        for day in closed:
            self._rows.setdefault(day, tuple(by_day[day]))

    async def _save(self, first: date, last: date, rows: Sequence[CostRow]) -> None:
        try:
            await self._memory.save(first, last, rows)
        except PnLError as error:
            self._unsaved.append(((first, last), rows))
            self._complain(error)
        else:
            self._complained = False

    def _complain(self, error: PnLError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("anthropic: closed days cannot be remembered: {}", error)


def _windows(missing: Sequence[date]) -> Iterator[Window]:
    """Runs of consecutive days, cut to the longest range that may be asked for."""
    start = 0
    for index in range(1, len(missing) + 1):
        ends = index == len(missing) or missing[index] - missing[index - 1] > DAY
        if ends or index - start == LONGEST_WINDOW:
            yield missing[start], missing[index - 1]
            start = index
