"""Net P&L by 1m, 5m, 1h and 1d: open, high, low, close and count, the last of the other sums, and marks.

Rows are ordered by sequence number, not by time, so a clock that was set back moves no open or close. Minutes, five
minutes and hours are those of UTC, days those of the business time zone. A rollup is kept with the first and last
sequence number in it, so that merging is exact, whatever is merged in whatever order.

An interval that holds complete snapshots takes its figures from these alone; without any, from all that it has. It
counts every snapshot, names every source that was not live in one of them, and is an estimate if one of them is.

Imported snapshots have negative numbers, and their figures follow other definitions: an interval holds either imported
ones or this server's own, and its own go before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pnl_backend.domain.record import Record
from pnl_backend.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, business_date, day_start, next_day
from pnl_backend.ledger.sql import marking
from pnl_backend.ledger.sql.connection import Connection

UTC_SPANS = (MINUTE_MS, 5 * MINUTE_MS, HOUR_MS)


class Rollup(NamedTuple):
    """One interval. `span` is its nominal length in ms (a business day is called 24 hours), `start` its beginning.

    `first_seq` and `last_seq` are those of the snapshots that the figures are of: `complete` says whether these are the
    complete ones. `not_live` is a set of names as `marking` stores it.
    """

    span: int
    start: int
    first_seq: int
    last_seq: int
    open: int
    high: int
    low: int
    close: int
    kalshi: int
    costs: int
    revenue: int
    samples: int
    complete: int = 1
    not_live: str = ""
    estimated: int = 0


ImportedSums = tuple[int, int, int, int, int, int]
"""A row of `snapshots`: seq, at (ms), and net, kalshi, costs, revenue in cents."""


class Calendar:
    """Where intervals begin."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._day = (0, 0)

    def start(self, span: int, at: int) -> int:
        """The beginning of the interval that `at` falls in."""
        return self.day(at) if span == DAY_MS else at - at % span

    def day(self, at: int) -> int:
        """The beginning of the business day that `at` falls in."""
        begins, ends = self._day
        if not begins <= at < ends:
            today = business_date(at, self.zone)
            begins, ends = self._day = day_start(today, self.zone), day_start(next_day(today), self.zone)
        return begins


def merge(one: Rollup, other: Rollup) -> Rollup:
    """Two disjoint parts of an interval as one; their order does not matter.

    An imported part gives way to our own; the figures of incomplete snapshots give way to those of complete ones.
    """
    if (one.first_seq < 0) != (other.first_seq < 0):
        return max(one, other, key=_first_seq)
    count, not_live = one.samples + other.samples, marking.union(one.not_live, other.not_live)
    whole = _figures(one, other)
    return whole._replace(samples=count, not_live=not_live, estimated=one.estimated | other.estimated)


def _figures(one: Rollup, other: Rollup) -> Rollup:
    """The part that has the complete snapshots, or both as one."""
    if one.complete != other.complete:
        return max(one, other, key=_complete)
    early = one if one.first_seq < other.first_seq else other
    late = one if one.last_seq > other.last_seq else other
    return one._replace(
        first_seq=early.first_seq,
        last_seq=late.last_seq,
        open=early.open,
        high=max(one.high, other.high),
        low=min(one.low, other.low),
        close=late.close,
        kalshi=late.kalshi,
        costs=late.costs,
        revenue=late.revenue,
    )


def _first_seq(row: Rollup) -> int:
    return row.first_seq


def _complete(row: Rollup) -> int:
    return row.complete


def coarser(rows: Iterable[Rollup], spans: Iterable[int], calendar: Calendar) -> list[Rollup]:
    """Finer rollups gathered into each of `spans`."""
    merged: dict[tuple[int, int], Rollup] = {}
    wanted = tuple(spans)
    for row in rows:
        for span in wanted:
            key = span, calendar.start(span, row.start)
            part = row._replace(span=span, start=key[1])
            held = merged.get(key)
            merged[key] = part if held is None else merge(held, part)
    return list(merged.values())


def add(connection: Connection, record: Record, calendar: Calendar) -> None:
    """Count one new snapshot in."""
    net, last = record.net_cents, (record.kalshi_cents, record.costs_cents, record.revenue_cents)
    marks = (int(record.marks.complete), marking.text_of(record.marks.not_live), int(record.marks.estimated))
    sums = (record.seq, record.seq, net, net, net, net, *last, 1, *marks)
    rows = [Rollup(span, calendar.start(span, record.at), *sums) for span in (*UTC_SPANS, DAY_MS)]
    connection.executemany(_FORGET_IMPORTED, [row[:2] for row in rows])
    connection.executemany(MERGE, rows)


def add_imported(connection: Connection, snapshots: Sequence[ImportedSums], calendar: Calendar) -> None:
    """Count imported snapshots in, except into intervals that hold snapshots of our own."""
    for span in (*UTC_SPANS, DAY_MS):
        connection.executemany(
            _MERGE_IMPORTED,
            (
                Rollup(span, calendar.start(span, at), seq, seq, net, net, net, net, kalshi, costs, revenue, 1, 0)
                for seq, at, net, kalshi, costs, revenue in snapshots
            ),
        )


def forget_from(connection: Connection, seq: int, calendar: Calendar) -> None:
    """Count the snapshots from `seq` on out again; call it while they are still held."""
    touched = connection.execute(
        "SELECT DISTINCT at - at % ? FROM snapshots WHERE seq >= ?", (MINUTE_MS, seq)
    ).fetchall()
    recount(connection, [minute for (minute,) in touched], calendar, before=seq)


def recount(connection: Connection, minutes: Sequence[int], calendar: Calendar, *, before: int) -> None:
    """Count these minutes again from their snapshots below `before`, and gather what they are part of again."""
    for minute in minutes:
        connection.execute("DELETE FROM rollups WHERE span = ? AND start = ?", (MINUTE_MS, minute))
        for numbers, merge_into in (("seq > 0", MERGE), ("seq < 0", _MERGE_IMPORTED)):
            rest = MINUTES.format(where=f"{numbers} AND at >= ? AND at < ? AND seq < ?")
            kept = connection.execute(rest, (minute, minute + MINUTE_MS, before)).fetchall()
            connection.executemany(merge_into, kept)
    for span in (5 * MINUTE_MS, HOUR_MS, DAY_MS):
        for start in {calendar.start(span, minute) for minute in minutes}:
            _regather(connection, span, start, calendar)


def _regather(connection: Connection, span: int, start: int, calendar: Calendar) -> None:
    minutes = connection.execute(
        "SELECT * FROM rollups WHERE span = ? AND start >= ? AND start < ?",
        (MINUTE_MS, start, start + span + 2 * HOUR_MS),  # a business day can be longer than 24 hours
    ).fetchall()
    connection.execute("DELETE FROM rollups WHERE span = ? AND start = ?", (span, start))
    gathered = coarser(map(Rollup._make, minutes), [span], calendar)
    connection.executemany(MERGE, [row for row in gathered if row.start == start])


# A row for each minute and combination of marks, to be merged.
MINUTES = """
SELECT 60000, g.start, g.first_seq, g.last_seq, f.net, g.high, g.low, l.net, l.kalshi, l.costs, l.revenue, g.count,
       coalesce(m.complete, 0), coalesce(m.not_live, ''), coalesce(m.estimated, 0)
FROM (
    SELECT at - at % 60000 AS start, marks, min(seq) AS first_seq, max(seq) AS last_seq,
           max(net) AS high, min(net) AS low, count(*) AS count
    FROM snapshots WHERE {where} GROUP BY 1, 2
) AS g JOIN snapshots AS f ON f.seq = g.first_seq JOIN snapshots AS l ON l.seq = g.last_seq
LEFT JOIN marks AS m ON m.id = g.marks
"""


def _later(column: str, by: str, sign: str = "") -> str:
    """Keep the value of the part that is complete, else of the one whose `by` is the greater."""
    return (
        f"{column} = CASE WHEN (excluded.complete, {sign}excluded.{by}) > (rollups.complete, {sign}rollups.{by})"
        f" THEN excluded.{column} ELSE rollups.{column} END"
    )


def _larger(column: str) -> str:
    greater = f"excluded.{column} > rollups.{column}"
    return f"{column} = CASE WHEN {greater} THEN excluded.{column} ELSE rollups.{column} END"


_MERGED = (
    *(_later(column, "first_seq", "-") for column in ("first_seq", "open")),
    _later("high", "high"),
    _later("low", "low", "-"),
    *(_later(column, "last_seq") for column in ("last_seq", "close", "kalshi", "costs", "revenue")),
    *(_larger(column) for column in ("complete", "estimated")),
    "count = rollups.count + excluded.count",
    "not_live = names_union(rollups.not_live, excluded.not_live)",
)
MERGE = (
    "INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
    f" ON CONFLICT (span, start) DO UPDATE SET {', '.join(_MERGED)}"
)
_MERGE_IMPORTED = MERGE + " WHERE rollups.first_seq < 0"
_FORGET_IMPORTED = "DELETE FROM rollups WHERE span = ? AND start = ? AND first_seq < 0"
