"""Rollups by their definition, straight from a file's raw rows: what the kept ones must equal."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from pnl_backend.domain.times import DAY_MS
from pnl_backend.ledger.sql.rollups import UTC_SPANS, Calendar, Rollup

SPANS = (*UTC_SPANS, DAY_MS)
Rollups = dict[tuple[int, int], Rollup]
Raw = tuple[int, int, int, int, int, int, bool, frozenset[str], bool]
"""seq, at, net, kalshi, costs, revenue in cents, and whether complete, which sources were not live, any estimate"""


def from_raw(rows: Iterable[Raw], calendar: Calendar) -> Rollups:
    """Each interval's rows in the order of their numbers."""
    buckets: dict[tuple[int, int], list[Raw]] = defaultdict(list)
    for row in sorted(rows):
        for span in SPANS:
            buckets[span, calendar.start(span, row[1])].append(row)
    return {(span, start): rolled(span, start, rows) for (span, start), rows in buckets.items()}


def rolled(span: int, start: int, rows: list[Raw]) -> Rollup:
    """The figures are those of the complete rows, or of all where none is complete; the marks are those of all."""
    shown = [row for row in rows if row[6]] or rows
    return Rollup(
        span,
        start,
        first_seq=shown[0][0],
        last_seq=shown[-1][0],
        open=shown[0][2],
        high=max(row[2] for row in shown),
        low=min(row[2] for row in shown),
        close=shown[-1][2],
        kalshi=shown[-1][3],
        costs=shown[-1][4],
        revenue=shown[-1][5],
        samples=len(rows),
        complete=int(shown[0][6]),
        not_live=",".join(sorted({name for row in rows for name in row[7]})),
        estimated=int(any(row[8] for row in rows)),
    )


def recomputed(path: Path, zone: str = "UTC") -> Rollups:
    """The rollups that a file ought to hold."""
    with closing(sqlite3.connect(path)) as reader:
        rows = reader.execute(
            "SELECT s.seq, s.at, s.net, s.kalshi, s.costs, s.revenue, m.complete, m.not_live, m.estimated"
            " FROM snapshots AS s LEFT JOIN marks AS m ON m.id = s.marks"
        ).fetchall()
    raws = [(*row[:6], bool(row[6]), frozenset(filter(None, (row[7] or "").split(","))), bool(row[8])) for row in rows]
    return from_raw(raws, Calendar(ZoneInfo(zone)))


def kept(path: Path) -> Rollups:
    """The rollups that a file holds."""
    with closing(sqlite3.connect(path)) as reader:
        rows = map(Rollup._make, reader.execute("SELECT * FROM rollups").fetchall())
        return {(row.span, row.start): row for row in rows}
