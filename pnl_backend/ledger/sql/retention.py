"""Deletes old raw snapshots, in short batches."""

from __future__ import annotations

from datetime import timedelta

from pnl_backend.domain.times import DAY_MS, business_date, day_start
from pnl_backend.ledger.sql.connection import Connection, Database
from pnl_backend.ledger.sql.rollups import Calendar

REPLAY_ROWS = 5000
"""The newest snapshots that are never deleted, because clients may request their replay."""

PRUNE_BATCH = 500


def oldest_kept(calendar: Calendar, keep_days: int, now: int) -> int:
    """The instant (ms) before which snapshots are older than `keep_days` whole business days."""
    return day_start(business_date(now, calendar.zone) - timedelta(days=keep_days), calendar.zone)


async def prune(database: Database, calendar: Calendar, *, keep_days: int, now: int, replay_rows: int) -> int:
    """Delete raw snapshots older than `keep_days` whole business days; returns their number.

    Rollups, facts, the first snapshot, the first complete one (after a restatement, too) and the last one of every day,
    complete if it has any, stay: periods are measured against them. Imported snapshots stay too, so that a second
    import does not store them again. New rows use the free space. Batches are short, so that appends can be made in
    between.
    """
    oldest = oldest_kept(calendar, keep_days, now)
    gone = 0
    while True:
        batch = await database.write(lambda connection: _prune_batch(connection, oldest, replay_rows))
        gone += batch
        if batch < PRUNE_BATCH:
            return gone


def _prune_batch(connection: Connection, oldest: int, replay_rows: int) -> int:
    sql = f"SELECT seq FROM snapshots WHERE at < ? AND {DELETABLE} ORDER BY at LIMIT ?"  # noqa: S608 - constants
    rows = connection.execute(sql, (oldest, replay_rows, DAY_MS, PRUNE_BATCH)).fetchall()
    connection.executemany("DELETE FROM payloads WHERE seq = ?", rows)
    connection.executemany("DELETE FROM snapshots WHERE seq = ?", rows)
    return len(rows)


DELETABLE = (
    "seq > 0 AND seq <= (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT 1 OFFSET ?)"
    " AND seq <> (SELECT min(seq) FROM snapshots WHERE seq > 0)"
    " AND seq NOT IN (SELECT last_seq FROM rollups WHERE span = ?)"
    " AND seq NOT IN (SELECT coalesce((SELECT s.seq FROM snapshots AS s WHERE s.seq > e.to_seq"
    " AND s.marks IN (SELECT id FROM marks WHERE complete = 1) ORDER BY s.seq LIMIT 1), 0)"
    " FROM (SELECT 0 AS to_seq UNION SELECT to_seq FROM restatements) AS e)"
)
"""Which old snapshots may go, in SQL; parameters: how many of the newest stay, and the span of a day in ms."""
