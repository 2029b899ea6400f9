"""A psycopg connection as shared SQL code uses it: each statement is translated once.

`?` and `?1` become `$1`. The few statements that PostgreSQL words differently are in `_INSTEAD` and `_PARTS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper

from pnl_backend.errors import Fenced
from pnl_backend.ledger.postgres.coarse import NEWEST
from pnl_backend.ledger.sql import coarse, snapshots
from pnl_backend.ledger.sql.connection import Row

Raw = psycopg.Connection[Row]

_INSTEAD = {
    coarse.NEWEST: NEWEST,
    snapshots.ADD_PAYLOAD: (
        "INSERT INTO payloads (seq, data, detail, at) SELECT ?1, ?2, ?3, at FROM snapshots WHERE seq = ?1"
    ),
}
_PARTS = (
    # Payloads are looked up for each row, in its partition, after the rows were ordered and limited; a plain join is
    # planned as a hash of all payloads.
    (
        snapshots.WITH_PAYLOADS,
        "CROSS JOIN LATERAL (SELECT data, detail FROM payloads AS d WHERE d.seq = s.seq AND d.at = s.at OFFSET 0) AS p",
    ),
    ("json_object(", "json_build_object("),
)
_PLACEHOLDER = re.compile(r"\?(\d*)")
_BEGIN = "BEGIN; SELECT fence FROM head FOR UPDATE"


class _Flag(Int8BinaryDumper):
    """Flags are integers in the ledger."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


def prepare(raw: Raw) -> None:
    """Have integers of any size sent as bigint, so that a statement is planned once, and flags as integers."""
    raw.adapters.register_dumper(int, Int8BinaryDumper)
    raw.adapters.register_dumper(bool, _Flag)
    raw.cursor_factory = psycopg.RawCursor


def slow_statements(raw: Raw) -> None:
    """Let each statement of this transaction take any time; between two of them it may still not rest.

    So PostgreSQL ends the transaction of a leader that was paused in it, and its successor does not wait for its locks.
    """
    raw.execute("SET LOCAL statement_timeout = 0", prepare=False)


def unhurried(raw: Raw) -> None:
    """Let the statements of this transaction take any time."""
    raw.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0", prepare=False)


@cache
def translated(sql: str) -> str:
    """The statement in PostgreSQL's words."""
    sql = _INSTEAD.get(sql, sql)
    for part, instead in _PARTS:
        sql = sql.replace(part, instead)
    if "?" not in sql:
        return sql
    count = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${found[1] or count}"

    return _PLACEHOLDER.sub(numbered, sql)


class _NoRows:
    """The result of a statement that was run for no row."""

    rowcount = 0
    description = None

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[Any]:
        return []

    def __iter__(self) -> Any:
        return iter(())


class Adapter:
    """One connection that writes.

    `fence` is this writer's: a transaction of a ledger that a newer one has taken raises Fenced and changes nothing.
    With None any fence that is not the one of `held` does.
    """

    def __init__(self, raw: Raw, fenced: Callable[[int], Fenced | None] = lambda _: None) -> None:
        self.raw = raw
        self._fenced = fenced

    @property
    def in_transaction(self) -> bool:
        return self.raw.info.transaction_status != TransactionStatus.IDLE

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if sql == "BEGIN IMMEDIATE":
            return self._begin()
        return self.raw.execute(translated(sql), parameters or None, binary=True)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        given = list(rows)
        if not given:
            return _NoRows()
        if len(given) == 1:
            return self.execute(sql, given[0])
        cursor = self.raw.cursor()
        cursor.executemany(translated(sql), given)
        return cursor

    def rowcounts(self, sql: str, rows: Iterable[Sequence[Any]], /) -> list[int]:
        """How many rows the statement changed for each of `rows`, in one round trip."""
        given = list(rows)
        if not given:
            return []
        cursor = self.raw.cursor()
        cursor.executemany(translated(sql), given, returning=True)
        return [result.rowcount for result in cursor.results()]

    def _begin(self) -> None:
        """Begin a transaction that nobody else can write beside: the row of `head` is locked until its end."""
        cursor = self.raw.execute(_BEGIN, prepare=False)
        cursor.nextset()
        row = cursor.fetchone()
        failure = self._fenced(int(row[0])) if row else None
        if failure is not None:
            self.raw.execute("ROLLBACK")
            raise failure
