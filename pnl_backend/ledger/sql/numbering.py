"""Sequence numbers across restarts: after an unclean stop some are skipped, because clients may have seen them.

While the ledger cannot be written, snapshots are published with numbers that are in no file. If the server then ends
without having stored them, the next start would use the same numbers again in the same epoch. So a run marks the ledger
as in use, a clean stop removes the mark, and a start that finds the mark skips more numbers than the last run can have
published. A skip is not a gap: no stored snapshot is missing, and a replay continues after it.
"""

from __future__ import annotations

from collections.abc import Iterable

from loguru import logger

from pnl_backend.domain.times import SHORTEST_INTERVAL_MS
from pnl_backend.ledger.sql.connection import Connection

LEAST_SKIP = 100_000
"""Numbers that are skipped at least: half an hour of the shortest interval, five days of five-second ticks.

The time since the last stored snapshot, divided by the shortest interval, is added: no more can have been published.
This constant covers a clock that was set back meanwhile.
"""

_RUNNING = "running"


def begin_run(connection: Connection, last_seq: int, now: int) -> int:
    """Mark the ledger as in use since `now` (ms); the last number that is taken, `last_seq` or the end of a skip."""
    since = running_since(connection)
    if since is not None:
        last_seq = skip_unpublished(connection, last_seq, since, now)
    mark_running(connection, now)
    return last_seq


def running_since(connection: Connection) -> int | None:
    """Since when (ms) a run uses the ledger that has not ended cleanly; None without one."""
    held = connection.execute("SELECT value FROM meta WHERE key = ?", (_RUNNING,)).fetchone()
    return None if held is None else int(held[0])


def skip_unpublished(connection: Connection, last_seq: int, since: int, now: int) -> int:
    """Skip what a run since `since` (ms) may have published after `last_seq` without storing it; the last number."""
    (stored_at,) = connection.execute(
        "SELECT at FROM snapshots WHERE seq > 0 ORDER BY seq DESC LIMIT 1"
    ).fetchone() or (0,)
    unstored_ms = max(0, now - max(stored_at, since)) if stored_at or since else 0
    first, last = last_seq + 1, last_seq + LEAST_SKIP + unstored_ms // SHORTEST_INTERVAL_MS
    _skip(connection, first, last, now)
    logger.warning(
        "The last run did not end cleanly: sequence numbers {} to {} are skipped, they may have been published",
        first, last,
    )  # fmt: skip
    return last


def mark_running(connection: Connection, now: int) -> None:
    """Note that a run uses the ledger."""
    put_meta(connection, _RUNNING, str(now))


def put_meta(connection: Connection, key: str, value: str) -> None:
    """Store a value of the ledger itself."""
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
    )


def end_run(connection: Connection) -> None:
    """Note that every published snapshot is stored: the next start skips no number."""
    connection.execute("DELETE FROM meta WHERE key = ?", (_RUNNING,))


def last_taken(connection: Connection) -> int:
    """The highest number that is stored or skipped; 0 before the first."""
    (last,) = connection.execute(
        "SELECT max(taken) FROM (SELECT coalesce(max(seq), 0) AS taken FROM snapshots"
        " UNION ALL SELECT coalesce(max(last_seq), 0) FROM skips) AS numbers"
    ).fetchone()
    return int(last)


class Skips:
    """The skipped numbers of a file."""

    def __init__(self, rows: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges = list(rows)

    @classmethod
    def load(cls, connection: Connection) -> Skips:
        return cls(connection.execute("SELECT first_seq, last_seq FROM skips").fetchall())

    def between(self, after: int, upto: int) -> int:
        """How many numbers above `after`, up to `upto`, were skipped."""
        return sum(max(0, min(last, upto) - max(first - 1, after)) for first, last in self._ranges)

    def ends_at(self, seq: int) -> bool:
        """Whether the next number is the first one after a skip."""
        return any(last == seq for _, last in self._ranges)


def _skip(connection: Connection, first: int, last: int, now: int) -> None:
    """Store a skip; one that follows another directly is merged with it."""
    joined = connection.execute("UPDATE skips SET last_seq = ? WHERE last_seq = ?", (last, first - 1)).rowcount
    if not joined:
        connection.execute("INSERT INTO skips VALUES (?, ?, ?)", (first, last, now))
