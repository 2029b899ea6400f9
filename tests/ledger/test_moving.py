"""A ledger goes to PostgreSQL and back: every table, every answer, also after an interruption."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.errors import StoreError
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.moving import run
from pnl_backend.ledger.moving.run import move
from pnl_backend.ledger.moving.tables import TABLES
from pnl_backend.ledger.sql.imported import Added, ImportedCost, ImportedDeal, ImportedSnapshot, ImportedTrade
from pnl_backend.ledger.sqlite.ledger_file import APPLICATION_ID
from pnl_backend.ledger.sqlite.migrations import migrate
from tests.ledger.sqlite.answers import answers
from tests.ledger.store.places import PostgresPlace, SqlitePlace
from tests.support.postgres import PostgresServer

OLD = Path(__file__).parents[1] / "data" / "ledgers" / "0.1.0" / "pnl.db"


@pytest.fixture
def file(tmp_path: Path) -> Location:
    """A ledger of an older version, with facts of every kind."""
    shutil.copy(OLD, tmp_path / "pnl.db")
    return Location(tmp_path / "pnl.db")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Location]:
    url = postgres.database(empty=True)
    yield Location(Path("nowhere.db"), url)
    postgres.drop(url)


def moved(held: Location, to: Location, **options: Any) -> list[str]:
    lines: list[str] = []
    given: dict[str, Any] = {"origin": "live", "timezone": "UTC", "now": 1_800_000_000, "progress": lambda *_: None}
    move(held, to, **{**given, "on_line": lines.append, **options})
    return lines


async def told(location: Location) -> dict[str, Any]:
    """Everything that the ledger answers."""
    store = await location.open(origin="live", timezone="UTC")
    try:
        return await answers(store)  # type: ignore[arg-type] # of either kind
    finally:
        await store.close()


async def test_there_and_back_every_answer_is_the_same(
    file: Location, database: Location, tmp_path: Path, postgres: PostgresServer
) -> None:
    before = await told(file)
    lines = moved(file, database)
    assert any("snapshots" in line and "counts and sums are equal" in line for line in lines)
    assert lines[-1] == f"{database} holds the whole ledger now; {file} is as it was"
    assert await told(database) == before
    assert await told(file) == before
    back = Location(tmp_path / "back" / "pnl.db")
    moved(database, back)
    assert await told(back) == before
    place = PostgresPlace(postgres, database.url or "")
    assert place.ask("SELECT count(*) FROM payloads_other WHERE at > 0") == [(0,)], "each month has its partition"


VIEWS = (
    "pnl_snapshots", "pnl_deltas", "pnl_aggregates", "kalshi_trades", "anthropic_costs", "john_revenue", "deltas"
)  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_shows_the_same_in_both(
    file: Location, database: Location, postgres: PostgresServer, view: str
) -> None:
    before = SqlitePlace(file.path)
    with file.importing(timezone="UTC", now=1_800_000_000, progress=lambda *_: None) as imports:
        imports.add_snapshots([ImportedSnapshot(1_600_000_000_000 + n * 1000, n, n, 0, 0, 5) for n in range(3)])
        imports.add_facts([ImportedTrade("1", "X", "buy", "2.5", "0.4", None, "open", "-1.25", 9, "then")])
        imports.add_facts([ImportedCost("2020-01", "2020-01", "7.5", 3, 1, None)])
        imports.add_facts([ImportedDeal("9", "Nine", None, "11.10", "pending", 5, None)])
    moved(file, database)
    place = PostgresPlace(postgres, database.url or "")
    expected = [tuple(map(plain, row)) for row in before.ask(f"SELECT * FROM {view}")]
    assert sorted((tuple(map(plain, row)) for row in place.ask(f"SELECT * FROM {view}")), key=str) == sorted(
        expected, key=str
    )
    assert expected


def plain(value: object) -> object:
    """Amounts of both as numbers with six decimals."""
    return round(float(value), 6) if isinstance(value, Decimal | float | int) else value


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_import_is_held_once_in_both(file: Location, database: Location, kind: str) -> None:
    where = file if kind == "sqlite" else database
    batch = [ImportedSnapshot(1_600_000_000_000 + n * 1000, n, n, 0, 0, None) for n in range(50)]
    trade = ImportedTrade("1", "X", "buy", "2.5", "0.4", None, "open", "-1.25", 9, "then")
    with where.importing(timezone="UTC", now=1_800_000_000, progress=lambda *_: None) as imports:
        assert imports.add_snapshots(batch) == Added(50, 0, 0)
        assert imports.add_facts([trade]) == Added(1, 0, 0)
    with where.importing(timezone="UTC", now=1_800_000_000, progress=lambda *_: None) as imports:
        assert imports.add_snapshots([*batch, batch[0]._replace(at=batch[0].at + 500)]) == Added(1, 50, 0)
        assert imports.add_snapshots([batch[0]._replace(net=99)]) == Added(0, 0, 1)
        assert imports.add_facts([trade]) == Added(0, 1, 0)
        assert imports.add_facts([trade._replace(status=None, current_price="0.5")]) == Added(0, 0, 1)
        assert imports.snapshots()[0] == 51


def test_every_table_and_column_of_the_schema_is_copied(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection, lambda *_: None)
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        held = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for (name,) in names.fetchall()
        }
    assert {table.name: set(table.columns) - {"rowid"} for table in TABLES} == held


async def test_an_interrupted_move_is_continued_and_nobody_opens_it_before(
    file: Location, database: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await told(file)
    monkeypatch.setattr(run, "BATCH", 50)
    for stop in ("Copying marks", "Copying payloads", "Copying rollups", "Comparing fills"):
        seen: list[int] = []

        def interrupted(what: str, done: int, _of: int, stop: str = stop, seen: list[int] = seen) -> None:
            seen.append(done)
            if what == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            moved(file, database, progress=interrupted)
        with pytest.raises(StoreError, match="unfinished copy of a ledger: run pnl-backend ledger move again"):
            await database.open(origin="live", timezone="UTC")
    moved(file, database)
    assert await told(database) == before


async def test_a_source_that_changed_since_the_interruption_is_copied_as_it_is(
    file: Location, database: Location
) -> None:
    def interrupted(what: str, _done: int, _of: int) -> None:
        if what == "Comparing meta":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moved(file, database, progress=interrupted)
    with closing(sqlite3.connect(file.path)) as connection, connection:
        connection.execute("DELETE FROM snapshots WHERE seq = (SELECT min(seq) FROM snapshots WHERE seq > 0)")
        connection.execute("UPDATE positions SET realized = '1234.5'")
    moved(file, database)
    assert await told(database) == await told(file)


async def test_a_target_with_another_ledger_is_refused_and_unchanged(
    file: Location, database: Location, tmp_path: Path
) -> None:
    store = await database.open(origin="live", timezone="UTC")
    epoch = store.epoch
    await store.close()
    with pytest.raises(StoreError, match="holds a ledger already: move to an empty one"):
        moved(file, database)
    store = await database.open(origin="live", timezone="UTC")
    assert (store.epoch, store.last_seq) == (epoch, 0)
    with pytest.raises(StoreError, match="in use by another server"):
        moved(database, Location(tmp_path / "copy.db"))
    await store.close()


def test_what_cannot_be_moved_is_said(file: Location, database: Location, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="between a SQLite file and a PostgreSQL database"):
        moved(file, Location(tmp_path / "other.db"))
    with pytest.raises(StoreError, match="there is no ledger at"):
        moved(Location(tmp_path / "missing.db"), database)
    with pytest.raises(StoreError, match="there is no ledger at"):
        moved(database, Location(tmp_path / "other.db"))
    assert not (tmp_path / "missing.db").exists()
