"""Ranges of the ledger: raw snapshots, rollups of 1m, 5m, 1h and 1d, and coarser intervals from these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, get_args

from pnl_backend.domain.record import DayClose
from pnl_backend.domain.times import DAY_MS, HOUR_MS, LAST_NAMED_DAY, MINUTE_MS, business_date, day_start
from pnl_backend.ledger.sql.coarse import COARSE, CoarseRanges, dollars
from pnl_backend.ledger.sql.connection import Reads, Row
from pnl_backend.ledger.sql.marking import NO_ROW, names_of
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sql.snapshots import RESTATED_TO
from pnl_backend.wire.history import HistoryRow, Resolution, Rows
from pnl_backend.wire.message import UNSET
from pnl_backend.wire.refusals import BadRequest

SPANS: dict[str, int] = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
MOST_ROWS = 10_100
"""Rows of one answer at most, a week of minutes; the export streams any number."""


CHUNK = 5000

LEAST_SEQ = -(1 << 62)
"""Below every sequence number; those of imported snapshots are negative."""


class Ranges:
    """Reads ranges: every interval that touches `start` to `end` (ms, both included), oldest first.

    An interval's timestamp is its beginning, which for the first one may lie before `start`.
    """

    def __init__(self, reads: Reads, calendar: Calendar) -> None:
        self._reads = reads
        self._calendar = calendar
        self._coarse = CoarseRanges(reads, calendar)

    async def rows(self, start: int, end: int, resolution: str, limit: int | None) -> list[HistoryRow]:
        """All rows of the range, or the newest `limit`; BadRequest for an invalid range or too many rows."""
        span, first = self._check(start, end, resolution)
        most = MOST_ROWS + 1 if limit is None else limit
        shapes = await self._shapes()
        if resolution in COARSE:
            rows = [shapes.rolled(None, row) for row in await self._coarse.newest(resolution, start, end, most)]
        elif span is None:
            rows = await self._reads.read(_RAW_NEWEST, (first, end, most), shape=shapes.raw)
            while shapes.unknown:  # marks that were stored between the two reads
                shapes = await self._shapes()
                rows = await self._reads.read(_RAW_NEWEST, (first, end, most), shape=shapes.raw)
        else:
            rows = await self._reads.read(_ROLLED_NEWEST, (span, first, end, most), shape=shapes.rolled)
        if len(rows) > MOST_ROWS and limit is None:
            raise BadRequest(
                f"resolution {resolution} over this range makes more than {MOST_ROWS} rows: "
                "choose a coarser resolution, a shorter range, a limit, or /api/pnl/export"
            )
        return rows[::-1]

    async def chunks(self, start: int, end: int, resolution: str) -> AsyncIterator[Rows]:
        """The same rows in chunks, in constant memory; no read stays open in between, which allows checkpoints."""
        span, first = self._check(start, end, resolution)
        if resolution in COARSE:
            async for part in self._coarse.chunks(resolution, start, end, CHUNK):
                shapes = await self._shapes()
                yield [shapes.rolled(None, row) for row in part]
            return
        after = first, LEAST_SEQ
        while True:
            if span is None:
                rows = await self._reads.read(_RAW_NEXT, (after[0], end, *after, CHUNK))
            else:
                rows = await self._reads.read(_ROLLED_NEXT, (span, after[0], end, CHUNK))
            if rows:
                shapes = await self._shapes()
                yield [(shapes.raw if span is None else shapes.rolled)(None, row) for row in rows]
            if len(rows) < CHUNK:
                return
            after = (rows[-1][0], rows[-1][-1]) if span is None else (rows[-1][0] + 1, LEAST_SEQ)

    async def closes(self, days: int, now: int) -> list[DayClose]:
        """The last `days` business days up to `now`, from the first complete one.

        A day without a complete snapshot repeats the day before.
        Imported days are left out, because their figures are defined differently from today's.
        """
        zone = self._calendar.zone
        today = business_date(now, zone)
        first = today - timedelta(days=days - 1)
        rows = await self._reads.read(_CLOSES, (DAY_MS, day_start(first, zone), now))
        before = await self._reads.read(_CLOSE_BEFORE, (DAY_MS, day_start(first, zone)))
        known = {max(first, business_date(start, zone)): sums for start, *sums in before + rows}
        closes: list[DayClose] = []
        for day in (first + timedelta(days=n) for n in range(days)):
            if day in known:
                kalshi, costs, revenue, restated = known[day]
                closes.append(DayClose(day, kalshi + revenue, costs, bool(restated)))
            elif closes:
                closes.append(closes[-1]._replace(day=day))
        return closes

    async def _shapes(self) -> _Shapes:
        return _Shapes(await self._reads.read(_MARKS))

    def _check(self, start: int, end: int, resolution: str) -> tuple[int | None, int]:
        if resolution not in get_args(Resolution):
            raise BadRequest(f"resolution must be {', '.join(get_args(Resolution))}, not {resolution!r}")
        for name, value in (("from", start), ("to", end)):
            if not 0 <= value <= LAST_NAMED_DAY:
                raise BadRequest(f"{name} must be between 0 and {LAST_NAMED_DAY} ms since the epoch, not {value}")
        if start > end:
            raise BadRequest("from must not be later than to")
        span = SPANS.get(resolution)
        return span, start if span is None else self._calendar.start(span, start)


class _Shapes:
    """Rows of history from rows of the database; the marks, of which there are few, are looked up here.

    Joining them to every row takes the database a third longer.
    """

    def __init__(self, held: Iterable[Row]) -> None:
        self.unknown = False
        """Whether a row had marks that were not held."""
        self._restated_to = 0
        self._plain: dict[int, Marked] = {NO_ROW: (UNSET, [], False, False, UNSET)}
        self._rolled: dict[tuple[Any, ...], Marked] = {}
        for number, complete, not_live, estimated in held:
            if number == _RESTATED_ROW:
                self._restated_to = complete
            else:
                self._plain[number] = _marked(complete, not_live, estimated)
        self._restated = {number: (*marks[:-1], True) for number, marks in self._plain.items()}

    def raw(self, _cursor: object, row: Row) -> HistoryRow:
        at, net, kalshi, costs, revenue, number, seq = row
        if seq < 0:
            marks = _IMPORTED
        else:
            found = (self._plain if seq > self._restated_to else self._restated).get(number)
            self.unknown = self.unknown or found is None
            marks = found or _IMPORTED
        return HistoryRow(at, net, kalshi, costs, revenue, net, net, net, net, 1, UNSET, *marks)

    def rolled(self, _cursor: object, row: Row) -> HistoryRow:
        start, opened, high, low, close, kalshi, costs, revenue, count, first, complete, not_live, estimated = row
        key = complete, not_live, estimated, first <= self._restated_to
        marks = _IMPORTED if first < 0 else self._rolled.get(key) or self._rolled.setdefault(key, _marked(*key))
        return HistoryRow(start, close, kalshi, costs, revenue, opened, high, low, close, count, UNSET, *marks)


Marked = tuple[Any, ...]
"""`imported` and what follows it in a row of history; nearly all rows have the same."""

_IMPORTED: Marked = (True, [], False, False, UNSET)


def _marked(complete: int, not_live: str, estimated: int, restated: bool = False) -> Marked:
    return UNSET, list(names_of(not_live)), bool(estimated), bool(complete), True if restated else UNSET


_RESTATED = f"first_seq BETWEEN 1 AND {RESTATED_TO}"
_RESTATED_ROW = -1
_MARKS = (
    "SELECT id, complete, not_live, estimated FROM marks"  # noqa: S608 - constants
    f" UNION ALL SELECT {_RESTATED_ROW}, {RESTATED_TO}, '', 0"
)
_CLOSES = (
    f"SELECT start, kalshi, costs, revenue, {_RESTATED} FROM rollups"  # noqa: S608 - constants
    " WHERE span = ? AND start BETWEEN ? AND ? AND first_seq > 0 AND complete = 1 ORDER BY start"
)
_CLOSE_BEFORE = (
    f"SELECT start, kalshi, costs, revenue, {_RESTATED} FROM rollups"  # noqa: S608 - constants
    " WHERE span = ? AND start < ? AND first_seq > 0 AND complete = 1 ORDER BY start DESC LIMIT 1"
)
# The database converts cents to dollars, without Python's lock; a double holds two decimals of 10^13 exactly.
_ROLLED = (
    f"SELECT start, {dollars('open', 'high', 'low', 'close', 'kalshi', 'costs', 'revenue')},"  # noqa: S608 - constants
    " count, first_seq, complete, not_live, estimated FROM rollups "
)
_ROLLED_NEWEST = _ROLLED + "WHERE span = ? AND start BETWEEN ? AND ? ORDER BY start DESC LIMIT ?"
_ROLLED_NEXT = _ROLLED + "WHERE span = ? AND start BETWEEN ? AND ? ORDER BY start LIMIT ?"
_RAW = f"SELECT at, {dollars('net', 'kalshi', 'costs', 'revenue')}, marks, seq FROM snapshots "  # noqa: S608 - constants
_RAW_NEWEST = _RAW + "WHERE at BETWEEN ? AND ? ORDER BY at DESC, seq DESC LIMIT ?"
_RAW_NEXT = _RAW + "WHERE at BETWEEN ? AND ? AND (at, seq) > (?, ?) ORDER BY at, seq LIMIT ?"
