"""Statements that append, find and delete snapshots: a row of sums, and a row with the payloads for clients."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from pnl_backend.domain.record import Record
from pnl_backend.ledger.sqlite import marking

Row = tuple[Any, ...]

RESTATED_TO = "coalesce((SELECT max(to_seq) FROM restatements), 0)"
"""The last number that is marked as restated, in SQL."""
_SELECT = (
    "SELECT s.seq, s.at, s.net, s.kalshi, s.costs, s.revenue, p.data, p.detail,"  # noqa: S608 - constants
    f" m.complete, m.whole, m.not_live, m.estimated, s.seq <= {RESTATED_TO}"
    " FROM snapshots AS s JOIN payloads AS p USING (seq) LEFT JOIN marks AS m ON m.id = s.marks "
)
NEWEST = _SELECT + "WHERE s.seq > 0 ORDER BY s.seq DESC LIMIT ?"
FROM_SEQ = _SELECT + "WHERE s.seq >= ? ORDER BY s.seq LIMIT ?"
COUNT = "SELECT count(*), EXISTS (SELECT 1 FROM snapshots WHERE seq = ?1) FROM snapshots WHERE seq > ?1 AND seq <= ?2"
COMPLETE_WITHIN_MS = 7 * 86_400_000
"""How far back from the last snapshot a complete one is searched, to limit the search on a ledger of years."""
_COMPLETE = (  # ?1: the sources that must be whole in it; a source that came later is in no older one
    "AND s.marks IN (SELECT c.id FROM marks AS c WHERE NOT EXISTS (SELECT 1 FROM json_each(?1) AS n"
    " WHERE instr(',' || c.whole || ',', ',' || n.value || ',') = 0)) "
)
# Imported snapshots are older than all others and may be many: this bound excludes them from every search. What was
# restated is never compared with.
_OLDEST = "coalesce((SELECT at + 1 FROM snapshots WHERE seq < 0 ORDER BY seq DESC LIMIT 1), 0)"
_OWN_SINCE = "WHERE +s.seq > " + RESTATED_TO + " AND s.at >= max({since}, " + _OLDEST + ") "
_WITHIN = _OWN_SINCE.format(since="(SELECT max(at) FROM snapshots WHERE at < ?2) - ?3") + "AND s.at < ?2 "  # noqa: S608 - constants
LAST_COMPLETE_BEFORE = _SELECT + _WITHIN + _COMPLETE + "ORDER BY s.at DESC, s.seq DESC LIMIT 1"
FIRST_COMPLETE = _SELECT + _OWN_SINCE.format(since="?2") + _COMPLETE + "ORDER BY s.at, s.seq LIMIT 1"


def names(sources: Iterable[str]) -> str:
    """Names as parameters of the statements above."""
    return json.dumps(sorted(sources))


def insert(connection: sqlite3.Connection, record: Record) -> None:
    """Add one snapshot; its sequence number must be new."""
    sums = (record.net_cents, record.kalshi_cents, record.costs_cents, record.revenue_cents)
    marks = marking.number_of(connection, record.marks)
    connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)", (record.seq, record.at, *sums, marks))
    connection.execute("INSERT INTO payloads VALUES (?, ?, ?)", (record.seq, record.data, record.detail))


def forget_from(connection: sqlite3.Connection, seq: int) -> None:
    """Delete `seq` and later: a commit that was reported as failed may have been stored."""
    connection.execute("DELETE FROM snapshots WHERE seq >= ?", (seq,))
    connection.execute("DELETE FROM payloads WHERE seq >= ?", (seq,))


def note_gap(connection: sqlite3.Connection, first_seq: int, last_seq: int, at: int) -> None:
    """Store that these numbers were published and are not held."""
    connection.execute("INSERT OR REPLACE INTO gaps VALUES (?, ?, ?)", (first_seq, last_seq, at))


class Epochs:
    """Which epoch a sequence number belongs to: the newest one that began at or before it."""

    def __init__(self, rows: Iterable[tuple[int, str]]) -> None:
        ordered = sorted(rows)
        self._starts = [first_seq for first_seq, _ in ordered]
        self._names = [name for _, name in ordered]

    @property
    def current_start(self) -> int:
        """The first sequence number of the newest epoch."""
        return self._starts[-1]

    def record(self, row: Row) -> Record:
        """A row of one of the queries above as the Record that was appended."""
        seq, at, net, kalshi, costs, revenue, data, detail, *marks, restated = row
        epoch = self._names[bisect_right(self._starts, seq) - 1]
        return Record(
            epoch, seq, at, net, kalshi, costs, revenue, data, detail, marking.marks_of(*marks), restated=bool(restated)
        )

    def records(self, rows: Sequence[Row]) -> list[Record]:
        """Rows as Records, in the same order."""
        return [self.record(row) for row in rows]
