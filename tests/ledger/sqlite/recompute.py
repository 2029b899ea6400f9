"""Rollups by their definition, straight from a file's raw rows: what the kept ones must equal."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from pnl_backend.domain.times import DAY_MS
from pnl_backend.ledger.sqlite.rollups import UTC_SPANS, Calendar, Rollup

SPANS = (*UTC_SPANS, DAY_MS)
Rollups = dict[tuple[int, int], Rollup]
Raw = tuple[int, int, int, int, int, int]
"""seq, at, and net, kalshi, costs, revenue in cents"""


def from_raw(rows: Iterable[Raw], calendar: Calendar) -> Rollups:
    """Each interval's rows in the order of their numbers."""
    buckets: dict[tuple[int, int], list[Raw]] = defaultdict(list)
    for row in sorted(rows):
        for span in SPANS:
            buckets[span, calendar.start(span, row[1])].append(row)
    return {
        (span, start): Rollup(
            span,
            start,
            first_seq=rows[0][0],
            last_seq=rows[-1][0],
            open=rows[0][2],
            high=max(row[2] for row in rows),
            low=min(row[2] for row in rows),
            close=rows[-1][2],
            kalshi=rows[-1][3],
            costs=rows[-1][4],
            revenue=rows[-1][5],
            samples=len(rows),
        )
        for (span, start), rows in buckets.items()
    }


def recomputed(path: Path, zone: str = "UTC") -> Rollups:
    """The rollups that a file ought to hold."""
    with closing(sqlite3.connect(path)) as reader:
        rows = reader.execute("SELECT seq, at, net, kalshi, costs, revenue FROM snapshots").fetchall()
    return from_raw(rows, Calendar(ZoneInfo(zone)))


def kept(path: Path) -> Rollups:
    """The rollups that a file holds."""
    with closing(sqlite3.connect(path)) as reader:
        rows = map(Rollup._make, reader.execute("SELECT * FROM rollups").fetchall())
        return {(row.span, row.start): row for row in rows}
