"""Statements that append, find and delete snapshots: a row of sums, and a row with the payloads for clients."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from pnl_backend.domain.record import Record
from pnl_backend.ledger.sql import marking
from pnl_backend.ledger.sql.connection import Connection

Row = tuple[Any, ...]

RESTATED_TO = "coalesce((SELECT max(to_seq) FROM restatements), 0)"
"""The last number that is marked as restated, in SQL."""
WITH_PAYLOADS = "JOIN payloads AS p USING (seq)"
ADD_PAYLOAD = "INSERT INTO payloads VALUES (?, ?, ?)"
_NOTE_GAP = (
    "INSERT INTO gaps VALUES (?, ?, ?) ON CONFLICT (first_seq) DO UPDATE"
    " SET last_seq = excluded.last_seq, noted_at = excluded.noted_at"
)
_SELECT = (
    "SELECT s.seq, s.at, s.net, s.kalshi, s.costs, s.revenue, p.data, p.detail,"  # noqa: S608 - constants
    f" m.complete, m.whole, m.not_live, m.estimated, s.seq <= {RESTATED_TO}"
    f" FROM snapshots AS s {WITH_PAYLOADS} LEFT JOIN marks AS m ON m.id = s.marks "
)
NEWEST = _SELECT + "WHERE s.seq > 0 ORDER BY s.seq DESC LIMIT ?"
FROM_SEQ = _SELECT + "WHERE s.seq >= ? ORDER BY s.seq LIMIT ?"
COUNT = "SELECT count(*), EXISTS (SELECT 1 FROM snapshots WHERE seq = ?1) FROM snapshots WHERE seq > ?1 AND seq <= ?2"
COMPLETE_WITHIN_MS = 7 * 86_400_000
"""How far back from the last snapshot a complete one is searched, to limit the search on a ledger of years."""
# Imported snapshots are older than all others and may be many: this bound excludes them from every search. What was
# restated is never compared with.
_OLDEST = "SELECT at + 1 FROM (SELECT at FROM snapshots WHERE seq < 0 ORDER BY seq DESC LIMIT 1) AS imported"
_OWN_SINCE = (
    f"WHERE +s.seq > {RESTATED_TO} AND s.at >= (SELECT max(since) FROM ({{since}} UNION ALL {_OLDEST}) AS bounds) "  # noqa: S608 - constants
)
_WITHIN = _OWN_SINCE.format(since="SELECT max(at) - ?2 AS since FROM snapshots WHERE at < ?1") + "AND s.at < ?1 "  # noqa: S608 - constants
_FROM = _OWN_SINCE.format(since="SELECT ?1 AS since")


def last_complete_before(count: int) -> str:
    """Parameters: an instant, `COMPLETE_WITHIN_MS`, and `count` names that must be whole."""
    return f"{_SELECT}{_WITHIN}{_complete(count, 3)}ORDER BY s.at DESC, s.seq DESC LIMIT 1"


def first_complete(count: int) -> str:
    """Parameters: an instant, and `count` names that must be whole."""
    return f"{_SELECT}{_FROM}{_complete(count, 2)}ORDER BY s.at, s.seq LIMIT 1"


@cache
def _complete(count: int, first: int) -> str:
    """That each of the names, in the parameters from `first` on, is whole; a source that came later is in no older one.

    Names are compared with their commas.
    """
    held = "',' || c.whole || ','"
    wanted = "".join(f" AND replace({held}, ?{n}, '') <> {held}" for n in range(first, first + count))
    return f"AND s.marks IN (SELECT c.id FROM marks AS c WHERE c.id > 0{wanted}) "  # noqa: S608 - constants


def names(sources: Iterable[str]) -> list[str]:
    """Names as parameters of the statements above."""
    return [f",{name}," for name in sources]


def insert(connection: Connection, record: Record) -> None:
    """Add one snapshot; its sequence number must be new."""
    sums = (record.net_cents, record.kalshi_cents, record.costs_cents, record.revenue_cents)
    marks = marking.number_of(connection, record.marks)
    connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)", (record.seq, record.at, *sums, marks))
    connection.execute(ADD_PAYLOAD, (record.seq, record.data, record.detail))


def forget_from(connection: Connection, seq: int) -> None:
    """Delete `seq` and later: a commit that was reported as failed may have been stored."""
    connection.execute("DELETE FROM snapshots WHERE seq >= ?", (seq,))
    connection.execute("DELETE FROM payloads WHERE seq >= ?", (seq,))


def note_gap(connection: Connection, first_seq: int, last_seq: int, at: int) -> None:
    """Store that these numbers were published and are not held."""
    connection.execute(_NOTE_GAP, (first_seq, last_seq, at))


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
