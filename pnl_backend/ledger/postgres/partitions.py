"""Months of snapshots: their partitions are created ahead, and dropped when all of a month is too old.

What must stay of a dropped month is moved to the partition of all others.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from pnl_backend.domain.times import DAY_MS
from pnl_backend.ledger.postgres.adapter import Adapter, slow_statements
from pnl_backend.ledger.sql.connection import transaction
from pnl_backend.ledger.sql.retention import DELETABLE

AHEAD = 2
"""Months after the present one that have a partition."""

_FOUND = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    " AND relkind = 'r' AND relname ~ '^snapshots_[0-9]{4}_[0-9]{2}$'"
)
_TABLES = ("snapshots", "payloads")


def create_ahead(connection: Adapter, now: int) -> None:
    """Create the partitions of this month and of the next ones, unless there are any; `now` is in ms."""
    last = _month(now)
    for _ in range(AHEAD):
        last = _next(last)
    _create_all(connection, _month(now), last)


def create_between(connection: Adapter, first: int, last: int) -> None:
    """Create the partitions of the months from `first` to `last` (ms, both included), unless there are any."""
    _create_all(connection, _month(first), _month(last))


def drop_old(connection: Adapter, oldest: int, replay_rows: int) -> int:
    """Drop the months that end before `oldest` (ms) except for what must stay; returns how many snapshots are gone."""
    gone = 0
    for month in sorted(_months(connection)):
        if _begin(_next(month)) <= oldest:
            with transaction(connection):
                slow_statements(connection.raw)
                gone += _drop(connection, month, oldest, replay_rows)
    return gone


def _create_all(connection: Adapter, month: date, last: date) -> None:
    held = _months(connection)
    while month <= last:
        if month not in held:
            _create(connection, month)
        month = _next(month)


def _create(connection: Adapter, month: date) -> None:
    begin, end = _begin(month), _begin(_next(month))
    with transaction(connection):
        slow_statements(connection.raw)
        stray = connection.execute("SELECT 1 FROM snapshots_other WHERE at >= ? AND at < ? LIMIT 1", (begin, end))
        if stray.fetchone() is not None:  # the clock was wrong once: this month stays where it is
            return
        for table in _TABLES:
            connection.execute(
                f"CREATE TABLE {_name(table, month)} PARTITION OF {table} FOR VALUES FROM ({begin}) TO ({end})"
            )


def _drop(connection: Adapter, month: date, oldest: int, replay_rows: int) -> int:
    part = _name("snapshots", month)
    goes = f"(at < ? AND {DELETABLE}) IS TRUE"
    rows = connection.execute(f"SELECT seq, {goes} FROM {part}", (oldest, replay_rows, DAY_MS)).fetchall()  # noqa: S608 - constants
    kept = [seq for seq, deleted in rows if not deleted]
    for table in _TABLES:
        old = _name(table, month)
        connection.execute(f"ALTER TABLE {table} DETACH PARTITION {old}")
        connection.execute(f"INSERT INTO {table} SELECT * FROM {old} WHERE seq = ANY (?)", (kept,))  # noqa: S608 - constants
        connection.execute(f"DROP TABLE {old}")
    return len(rows) - len(kept)


def _months(connection: Adapter) -> set[date]:
    """The months that have a partition."""
    names = (name.split("_")[1:] for (name,) in connection.execute(_FOUND))
    return {date(int(year), int(month), 1) for year, month in names}


def _name(table: str, month: date) -> str:
    return f"{table}_{month:%Y_%m}"


def _month(at: int) -> date:
    """The month of an instant in ms."""
    return datetime.fromtimestamp(at / 1000, UTC).date().replace(day=1)


def _begin(month: date) -> int:
    """When a month begins, in ms."""
    return int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp() * 1000)


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
