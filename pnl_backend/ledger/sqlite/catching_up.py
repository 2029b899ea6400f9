"""Brings an older file up to what this version keeps: the marks of its snapshots, its rollups, its business days.

In transactions of its own, each of which leaves the file consistent: killed at any point, it goes on there.
"""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from pnl_backend.ledger.sql import business_days, rollups
from pnl_backend.ledger.sql.connection import Connection, Progress
from pnl_backend.ledger.sql.rollups import Calendar, Rollup
from pnl_backend.ledger.sqlite import older_marks

BATCH = 50_000
"""Snapshots a transaction while an older ledger is caught up."""
MARKED_AT_ONCE = 5000
"""Snapshots a transaction while those of an older ledger are marked: their payloads are read, 2 kB each."""


def catch_up(connection: Connection, calendar: Calendar, progress: Progress) -> None:
    """Bring the rollups of a file up to its snapshots and to the business time zone.

    In transactions of its own, each of which leaves the file consistent: killed at any point, it goes on there.
    """
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    if "marked" in meta:
        if int(meta.get("rolled_up", 0)):  # what was rolled up so far was rolled up without marks
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM rollups WHERE first_seq > 0")
            connection.execute("UPDATE meta SET value = '0' WHERE key = 'rolled_up'")
            connection.execute("COMMIT")
            meta["rolled_up"] = "0"
        _mark(connection, int(meta["marked"]), progress)
        meta["recounted"] = "0"
    if "recounted" in meta:
        _count_again(connection, int(meta["recounted"]), calendar, progress)
    if "rolled_up" in meta:
        _roll_up(connection, int(meta["rolled_up"]), progress)
    business_days.follow_zone(connection, calendar, progress)


def _mark(connection: Connection, done: int, progress: Progress) -> None:
    """Mark the snapshots of an older version; `done` is the last number that is marked."""

    def mark(after: int, upto: int) -> None:
        older_marks.mark_older(connection, after, upto)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'marked'", (str(upto),))

    _in_batches(connection, done, MARKED_AT_ONCE, mark, lambda *how: progress("Marking older snapshots", *how))
    connection.execute("UPDATE meta SET (key, value) = ('recounted', '0') WHERE key = 'marked'")


def _count_again(connection: Connection, done: int, calendar: Calendar, progress: Progress) -> None:
    """Roll up again what was rolled up without marks; `done` is the last number that is looked at."""
    end = 1 << 62

    def count(after: int, upto: int) -> None:
        rollups.recount(connection, older_marks.minutes_to_count_again(connection, after, upto), calendar, before=end)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'recounted'", (str(upto),))

    _in_batches(connection, done, BATCH, count, lambda *how: progress("Rolling up what was marked", *how))
    connection.execute("DELETE FROM meta WHERE key = 'recounted'")


def _in_batches(
    connection: Connection,
    done: int,
    size: int,
    work: Callable[[int, int], None],
    progress: Callable[[int, int], None],
) -> None:
    """Call `work` for all numbers after `done`, `size` in a transaction; the log is written back after each."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM snapshots").fetchone()
    while done < last:
        upto = min(done + size, last)
        connection.execute("BEGIN IMMEDIATE")
        work(done, upto)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        done = upto
        progress(done, last)


def _roll_up(connection: Connection, done: int, progress: Progress) -> None:
    """Count in what was stored before there were rollups; `done` is the last sequence number that is counted."""
    calendar = Calendar(ZoneInfo("UTC"))

    def roll_up(after: int, upto: int) -> None:
        minutes = connection.execute(rollups.MINUTES.format(where="seq > ? AND seq <= ?"), (after, upto)).fetchall()
        connection.executemany(rollups.MERGE, rollups.coarser(map(Rollup._make, minutes), rollups.UTC_SPANS, calendar))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'rolled_up'", (str(upto),))

    _in_batches(connection, done, BATCH, roll_up, lambda *how: progress("Rolling up older snapshots", *how))
    connection.execute("DELETE FROM meta WHERE key = 'rolled_up'")
