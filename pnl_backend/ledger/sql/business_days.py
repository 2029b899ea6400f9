"""Gathers the business days again when the business time zone is a new one."""

from __future__ import annotations

from collections.abc import Iterator

from pnl_backend.domain.times import DAY_MS, MINUTE_MS
from pnl_backend.ledger.sql import rollups
from pnl_backend.ledger.sql.connection import Connection, Progress, transaction
from pnl_backend.ledger.sql.numbering import put_meta
from pnl_backend.ledger.sql.rollups import Calendar, Rollup

_BATCH = 50_000
"""Minutes that are held in memory at once."""


def follow_zone(connection: Connection, calendar: Calendar, progress: Progress) -> None:
    """Gather the days of a ledger in the zone of `calendar`, in one transaction, unless they are."""
    held = connection.execute("SELECT value FROM meta WHERE key = 'timezone'").fetchone()
    if held == (calendar.zone.key,):
        return
    with transaction(connection):
        days = rollups.coarser(_minutes(connection), [DAY_MS], calendar)
        connection.execute("DELETE FROM rollups WHERE span = ?", (DAY_MS,))
        connection.executemany(rollups.MERGE, days)
        put_meta(connection, "timezone", calendar.zone.key)
    if days:
        progress(f"Gathering days of {calendar.zone.key}", len(days), len(days))


def _minutes(connection: Connection) -> Iterator[Rollup]:
    after = -1
    sql = "SELECT * FROM rollups WHERE span = ? AND start > ? ORDER BY start LIMIT ?"
    while batch := connection.execute(sql, (MINUTE_MS, after, _BATCH)).fetchall():
        yield from map(Rollup._make, batch)
        after = batch[-1][1]
