"""One import: recognise the file, check all of it, take its rows, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from pnl_backend.domain.times import iso
from pnl_backend.errors import ImportFileError
from pnl_backend.ledger.importing import database_file, json_file
from pnl_backend.ledger.importing.report import Tally
from pnl_backend.ledger.importing.rows import RowError, cost_of, deal_of, snapshot_of, trade_of
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.sql.connection import Progress
from pnl_backend.ledger.sql.imported import ImportedSnapshot, Imports

T = TypeVar("T")
Kind = Literal["database", "json", "settings"]
OnLine = Callable[[str], None]

BATCH = 2000
"""Rows a transaction."""
HEAD = 4096

_FACTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "kalshi_trades": trade_of,
    "anthropic_costs": cost_of,
    "john_revenue": deal_of,
}


def kind_of(file: Path) -> Kind:
    """The kind of the file, by its content; ImportFileError if it is missing, empty or of no known kind."""
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD)
    except OSError as error:
        raise ImportFileError(f"{file}: {(error.strerror or str(error)).lower()}") from error
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise ImportFileError(f"{file} is empty")
    if head.startswith(database_file.MAGIC):
        return "database"
    if text[:1] in (b"{", b"["):
        return "json"
    if b"\x00" not in head and any(_sets_a_name(line) for line in text.splitlines()):
        return "settings"
    raise ImportFileError(
        f"{file} is neither a .env, nor an SQLite file of the Node server, nor a JSON export of /api/pnl/history"
    )


def import_rows(
    file: Path, kind: Kind, ledger: Location, *, timezone: str, now: float, progress: Progress, on_line: OnLine
) -> None:
    """Take the rows of a database or an export into the ledger; `on_line` is called with each line of the report.

    The whole file is read before the first row is taken: nothing is taken from a damaged file.
    """

    def into_ledger(take: Callable[[Imports], None]) -> None:
        with ledger.importing(timezone=timezone, now=now, progress=progress) as imports:
            take(imports)
            _report_ledger(imports, ledger, on_line)

    if kind == "database":
        with database_file.opened(file, progress) as database:
            on_line(f"{file}: an SQLite file of the Node server")
            into_ledger(lambda imports: _take_database(database, imports, progress, on_line))
        return
    for _ in json_file.rows(file, "Checking", progress):
        pass
    on_line(f"{file}: an export of /api/pnl/history")
    into_ledger(lambda imports: _take_snapshots("rows", json_file.rows(file, "Importing", progress), imports, on_line))


def _take_database(database: database_file.NodeDatabase, imports: Imports, progress: Progress, on_line: OnLine) -> None:
    for table in database.tables:
        rows = _counted(database.rows(table), f"Importing {table}", database.count(table), progress)
        if table == "pnl_snapshots":
            _take_snapshots(table, rows, imports, on_line)
        else:
            _take_facts(table, rows, imports, on_line)
    for table in database.others:
        on_line(f"  {table}: not taken: {database_file.DERIVED.get(table, 'no table that the older documents name')}")


def _take_snapshots(name: str, rows: Iterable[Any], imports: Imports, on_line: OnLine) -> None:
    tally = Tally(name)
    whose = "the ledger's own first snapshot" if imports.has_own else "now"
    late = f"not before {whose}, {iso(imports.before)}"

    def parsed(row: Any) -> ImportedSnapshot:
        snapshot = snapshot_of(row)
        if snapshot.at >= imports.before:
            raise RowError(late)
        return snapshot

    for batch in _batches(_taken(rows, parsed, tally)):
        tally.count(imports.add_snapshots(batch))
    for line in tally.lines("held already with other figures, which stay"):
        on_line(line)


def _take_facts(table: str, rows: Iterable[dict[str, Any]], imports: Imports, on_line: OnLine) -> None:
    tally = Tally(table)
    for batch in _batches(_taken(rows, _FACTS[table], tally)):
        tally.count(imports.add_facts(batch))
    for line in tally.lines("brought up to date"):
        on_line(line)


def _taken(rows: Iterable[Any], parse: Callable[[Any], T], tally: Tally) -> Iterator[T]:
    for row in rows:
        try:
            yield parse(row)
        except RowError as error:
            tally.refuse(str(error))


def _counted(rows: Iterable[T], what: str, total: int, progress: Progress) -> Iterator[T]:
    for number, row in enumerate(rows, start=1):
        if number % BATCH == 0:
            progress(what, number, total)
        yield row


def _batches(rows: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _report_ledger(imports: Imports, ledger: Location, on_line: OnLine) -> None:
    count, first, last = imports.snapshots()
    if count:
        begin, end = (datetime.fromtimestamp(at / 1000, UTC).date() for at in (first, last))
        on_line(f"{ledger} holds {count:,} imported snapshots now, from {begin} to {end}")
    else:
        on_line(f"{ledger} holds no imported snapshot")


def _sets_a_name(line: bytes) -> bool:
    name, equals, _ = line.strip().removeprefix(b"export ").partition(b"=")
    return bool(equals) and name.strip().replace(b"_", b"a").isalnum() and not name.strip()[:1].isdigit()
