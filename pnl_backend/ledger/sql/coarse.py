"""Ranges in intervals that are not stored: 15m from 5m, 4h from 1h, and business weeks from days.

They are computed for each request, 15m and 4h by SQLite. 15m and 4h intervals are aligned to UTC, a week begins on
Monday at 00:00 in the business time zone. An interval is made of imported snapshots or of the server's own: if it has
any of its own, the imported ones are left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from pnl_backend.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, business_date, day_start
from pnl_backend.ledger.sql.connection import Reads
from pnl_backend.ledger.sql.marking import names_of, text_of
from pnl_backend.ledger.sql.rollups import Calendar, Rollup, merge

WEEK = "1w"
_DAYS = 7


def dollars(*columns: str) -> str:
    """Columns of cents as USD, in SQL. The divisor is a double in both databases."""
    return ", ".join(f"{column} / CAST(100 AS DOUBLE PRECISION)" for column in columns)


class Coarse(NamedTuple):
    """A span and the stored span that it is computed from, both in ms."""

    span: int
    fine: int

    @property
    def parts(self) -> int:
        return self.span // self.fine


COARSE: dict[str, Coarse] = {
    "15m": Coarse(15 * MINUTE_MS, 5 * MINUTE_MS),
    "4h": Coarse(4 * HOUR_MS, HOUR_MS),
    WEEK: Coarse(_DAYS * DAY_MS, DAY_MS),
}

Row = tuple[int, float, float, float, float, float, float, float, int, int, int, str, int]
"""start (ms), open, high, low, close, kalshi, costs, revenue (USD), count, first sequence number, and whether it is
complete, which sources were not live (as `marking` stores them), whether it is estimated and whether it is restated."""


class CoarseRanges:
    """Reads such ranges; `start` and `end` are ms, both included; each interval that they touch is complete."""

    def __init__(self, reads: Reads, calendar: Calendar) -> None:
        self._reads = reads
        self._calendar = calendar

    async def newest(self, resolution: str, start: int, end: int, most: int) -> list[Row]:
        """The newest `most` intervals, the newest first."""
        coarse = COARSE[resolution]
        first, last = self._begin(resolution, start), self._begin(resolution, end)
        if resolution == WEEK:
            return (await self._weeks(first, self._next_week(last) - 1, most))[::-1]
        parameters = (coarse.span, coarse.span, coarse.fine, first, last + coarse.span - 1, most * coarse.parts, most)
        return await self._reads.read(NEWEST, parameters, shape=_with_union)

    async def chunks(self, resolution: str, start: int, end: int, size: int) -> AsyncIterator[Sequence[Row]]:
        """All intervals, oldest first, about `size` at a time."""
        coarse = COARSE[resolution]
        ((oldest, newest),) = await self._reads.read(_HELD, (coarse.fine,))
        if oldest is None:
            return
        first = self._begin(resolution, max(start, oldest))
        last = self._begin(resolution, min(end, newest))
        while first <= last:
            until = min(first + size * coarse.span, last + 1) - 1
            rows = await self.newest(resolution, first, until, size + 1)
            if rows:
                yield rows[::-1]
            first = self._next_week(self._begin(resolution, until)) if resolution == WEEK else until + 1

    def _begin(self, resolution: str, at: int) -> int:
        """The beginning of the interval that `at` falls in."""
        if resolution != WEEK:
            return at - at % COARSE[resolution].span
        day = business_date(at, self._calendar.zone)
        return day_start(day - timedelta(days=day.weekday()), self._calendar.zone)

    def _next_week(self, begins: int) -> int:
        monday = business_date(begins, self._calendar.zone)
        return day_start(monday + timedelta(days=_DAYS), self._calendar.zone)

    async def _weeks(self, first: int, last: int, most: int) -> list[Row]:
        """Oldest first."""
        days = await self._reads.read(_DAYS_OF, (DAY_MS, first, last, most * _DAYS), shape=_rollup)
        weeks: dict[int, list[Rollup]] = {}
        for day in reversed(days):
            weeks.setdefault(self._begin(WEEK, day.start), []).append(day)
        return [_row(begins, parts) for begins, parts in weeks.items()][-most:]


def _rollup(_cursor: object, row: tuple[int, ...]) -> Rollup:
    return Rollup._make(row)


def _with_union(_cursor: object, row: tuple[Any, ...]) -> Row:
    """A row of `NEWEST`, whose sets of names are joined."""
    *figures, sets, estimated = row
    return (*figures, text_of({*names_of(sets)} - {""}), estimated)


def _row(begins: int, parts: list[Rollup]) -> Row:
    own = [part for part in parts if part.first_seq >= 0] or parts
    whole = own[0]
    for part in own[1:]:
        whole = merge(whole, part)
    money = (whole.open, whole.high, whole.low, whole.close, whole.kalshi, whole.costs, whole.revenue)
    opened, high, low, close, kalshi, costs, revenue = (cents / 100 for cents in money)
    marks = whole.complete, whole.not_live, whole.estimated
    return begins, opened, high, low, close, kalshi, costs, revenue, whole.samples, whole.first_seq, *marks


_HELD = "SELECT min(start), max(start) FROM rollups WHERE span = ?"
_DAYS_OF = (
    "SELECT span, start, first_seq, last_seq, open, high, low, close, kalshi, costs, revenue, count,"
    " complete, not_live, estimated FROM rollups"
    " WHERE span = ? AND start BETWEEN ? AND ? ORDER BY start DESC LIMIT ?"
)
_RANK = "(CASE WHEN first_seq >= 0 THEN 1 ELSE 0 END + complete)"
# With one min() or max() SQLite takes the other columns from the row that has it:
# https://www.sqlite.org/lang_select.html#bareagg
# Counts and marks are those of all its own parts, the figures those of its complete ones, where it has any.
NEWEST = f"""
WITH part AS MATERIALIZED (
    SELECT start - start % ? AS begins,
           max({_RANK}) OVER (PARTITION BY start - start % ?) AS best, *
    FROM (SELECT * FROM rollups WHERE span = ? AND start BETWEEN ? AND ? ORDER BY start DESC LIMIT ?) AS fine
),
kept AS MATERIALIZED (SELECT * FROM part WHERE {_RANK} = best),
opened AS (SELECT begins, min(first_seq) AS first_seq, open FROM kept GROUP BY begins),
closed AS (SELECT begins, max(last_seq), close, kalshi, costs, revenue FROM kept GROUP BY begins),
ranged AS (
    SELECT begins, max(high) AS high, min(low) AS low, max(complete) AS complete FROM kept GROUP BY begins
),
counted AS (
    SELECT begins, sum(count) AS count, max(estimated) AS estimated,
           CASE WHEN max(not_live) = '' THEN '' ELSE group_concat(DISTINCT not_live) END AS sets
    FROM part WHERE (first_seq >= 0) = (best > 0) GROUP BY begins
)
SELECT begins, {dollars("open", "high", "low", "close", "kalshi", "costs", "revenue")}, count, first_seq,
    complete, sets, estimated
FROM opened JOIN closed USING (begins) JOIN ranged USING (begins) JOIN counted USING (begins)
ORDER BY begins DESC LIMIT ?
"""  # noqa: S608 - a constant
