"""One move: every table is copied in batches, then counted and summed on both sides.

Killed at any point it can be run again: what only grows is continued after its last row, everything else is copied
again. Until it is finished no server opens the copy. The source stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from typing import Any

from pnl_backend.errors import StoreError
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.moving import opening
from pnl_backend.ledger.moving.ends import MOVING, End
from pnl_backend.ledger.moving.tables import PAYLOADS, TABLES, Table
from pnl_backend.ledger.sql.connection import Progress, Row, transaction
from pnl_backend.ledger.sql.identity import Origin

BATCH = 20_000
"""Rows a transaction; of payloads, which have some kB each, a tenth."""
_DIGITS = 80
"""Digits of a sum, more than any has."""

OnLine = Callable[[str], None]
Sums = tuple[Any, ...]


def move(
    held: Location,
    to: Location,
    *,
    origin: Origin,
    timezone: str,
    now: float,
    progress: Progress,
    on_line: OnLine,
) -> None:
    """Copy the ledger at `held` to `to`, which must be empty or the unfinished copy of an earlier try.

    `on_line` is called with each line of the report. StoreError if a server uses one of them, if `to` holds another
    ledger, or if the copy differs.
    """
    if (held.url is None) == (to.url is None):
        raise StoreError("a ledger is moved between a SQLite file and a PostgreSQL database")
    with (
        opening.source(held, origin=origin, timezone=timezone, now=now, progress=progress) as source,
        opening.target(to, progress) as target,
    ):
        _claim(source, target)
        first, last = source.connection.execute(
            "SELECT coalesce(min(at), 0), coalesce(max(at), 0) FROM snapshots WHERE seq > 0"
        ).fetchone()
        if last:
            target.begin(first, last)
        for table in TABLES:
            _copy(source, target, table, progress, again=False)
        for table in TABLES:
            _verify(source, target, table, progress, on_line)
        target.finish()
    on_line(f"{to} holds the whole ledger now; {held} is as it was")


def _claim(source: End, target: End) -> None:
    """Note in the target whose copy it is; StoreError if it holds anything else."""
    (ledger,) = source.connection.execute("SELECT epoch FROM epochs ORDER BY first_seq LIMIT 1").fetchone()
    unfinished = target.meta(MOVING)
    if unfinished is None and any(target.count(table) for table in TABLES if table.name != "meta"):
        raise StoreError(f"{target.name} holds a ledger already: move to an empty one")
    if unfinished not in {None, ledger}:
        raise StoreError(f"{target.name} holds an unfinished copy of another ledger: move to an empty one")
    target.note_moving(ledger)


def _copy(source: End, target: End, table: Table, progress: Progress, *, again: bool) -> None:
    """Copy what the target lacks, or `again` everything."""
    total = source.count(table)
    if again or not table.kept:
        with transaction(target.connection):
            target.clear(table)
    after = target.last(table)
    done = target.count(table)
    for batch in _batches(source, table, after):
        with transaction(target.connection):
            target.insert(table, batch)
        done += len(batch)
        progress(f"Copying {table.name}", done, total)


def _verify(source: End, target: End, table: Table, progress: Progress, on_line: OnLine) -> None:
    """Compare counts and sums; a table that differs is copied again, for a source that changed since an earlier try."""
    progress(f"Comparing {table.name}", 0, 1)
    expected, found = _sums(source, table), _sums(target, table)
    if expected != found:
        _copy(source, target, table, progress, again=True)
        found = _sums(target, table)
    if expected != found:
        raise StoreError(f"the copy of the table {table.name} differs from {source.name}: it was not finished")
    if expected[0]:
        on_line(f"  {table.name}: {expected[0]:,} rows, counts and sums are equal")


def _sums(end: End, table: Table) -> Sums:
    """The number of rows, the sum of each whole number and amount, and the length of all text of each column."""
    columns = table.columns
    amounts = [number for number, name in enumerate(columns) if name in table.amounts]
    numbers = [number for number, name in enumerate(columns) if name in table.numbers]
    texts = [number for number, name in enumerate(columns) if name in table.texts]
    sums: list[Any] = [0] * len(columns)
    count = 0
    with localcontext() as context:
        context.prec = _DIGITS
        for batch in _batches(end, table, None):
            count += len(batch)
            for n in numbers:
                sums[n] += sum(row[n] for row in batch if row[n] is not None)
            for n in amounts:
                sums[n] += sum(Decimal(row[n]) for row in batch if row[n] is not None)
            for n in texts:
                sums[n] += sum(len(row[n]) for row in batch if row[n] is not None)
    return count, *sums


def _batches(end: End, table: Table, after: Row | None) -> Iterator[list[Row]]:
    size = BATCH // 10 if table is PAYLOADS else BATCH
    while batch := end.rows(table, after, size):
        yield batch
        after = batch[-1][: len(table.key)]
