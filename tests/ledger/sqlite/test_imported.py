"""Imported snapshots in the ledger: one kind in an interval, whatever is forgotten, merged or asked for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.record import Marks
from pnl_backend.errors import StoreError
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.sql import rollups, snapshots
from pnl_backend.ledger.sql.imported import FIRST_SEQ, ImportedSnapshot, Imports
from pnl_backend.ledger.sql.rollups import Calendar, Rollup, merge
from pnl_backend.ledger.sqlite import functions
from pnl_backend.wire.message import UNSET
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore

LATER = NOON / 1000 + 86_400
FIRST_RELEASE = Path(__file__).parents[2] / "data" / "ledgers" / "0.1.0" / "pnl.db"
VIEWS = ("pnl_snapshots", "pnl_deltas", "pnl_aggregates", "kalshi_trades", "anthropic_costs", "john_revenue")


@contextmanager
def importing(path: Path) -> Iterator[Imports]:
    with Location(path).importing(timezone="UTC", now=LATER, progress=lambda *_: None) as imports:
        yield imports


def snapshot(at: int, net: int = 1) -> ImportedSnapshot:
    return ImportedSnapshot(at, net, net, 0, 0, None)


def intervals(path: Path, span: int = 60_000) -> list[tuple[int, int, int, int]]:
    """Start, open, close and count of each."""
    with closing(sqlite3.connect(path)) as reader:
        sql = "SELECT start, open, close, count FROM rollups WHERE span = ? ORDER BY start"
        return reader.execute(sql, (span,)).fetchall()


async def test_an_interval_of_our_own_holds_no_imported_snapshot(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    minute = NOON - 60_000
    with importing(path) as imports:
        assert (
            imports.add_snapshots([snapshot(NOON + 1000, 900), snapshot(minute, 50), snapshot(minute + 1, 60)]).new == 3
        )
    store = await open_store(clock=lambda: NOON / 1000 + 10)
    await store.append(record(store, net_cents=7))  # five seconds past noon, in the minute that an imported one is in
    assert (await store.history(minute, NOON, "1m"))[0].imported is True
    assert (await store.history(minute, NOON, "1m"))[1].imported is UNSET
    assert [row.count for row in await store.history(minute, NOON + 60_000, "raw")] == [1, 1, 1, 1]
    closes = await store.daily_closes(3)
    await store.close()
    assert intervals(path) == [(minute, 50, 60, 2), (NOON, 7, 7, 1)]
    assert intervals(path, 86_400_000) == [(NOON - NOON % 86_400_000, 7, 7, 1)]
    assert [(close.revenue_cents, close.expenses_cents) for close in closes] == [(10, 9)]
    with importing(path) as imports:
        assert imports.add_snapshots([snapshot(NOON + 2000, 800)]).new == 1
        with pytest.raises(StoreError, match="not older than the ledger's own"):
            imports.add_snapshots([snapshot(NOON + 5000)])
    assert intervals(path) == [(minute, 50, 60, 2), (NOON, 7, 7, 1)]


async def test_deleting_our_own_rows_shows_the_imported_interval_again(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    with importing(path) as imports:
        imports.add_snapshots([snapshot(NOON + 1000, 900)])
    store = await open_store()
    await store.append(record(store))
    await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        functions.register(connection)
        rollups.forget_from(connection, 1, Calendar(ZoneInfo("UTC")))
    for span in (60_000, 3_600_000, 86_400_000):
        assert intervals(path, span) == [(NOON - NOON % span, 900, 900, 1)]


async def test_nothing_is_measured_against_what_was_imported(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    with importing(path) as imports:
        imports.add_snapshots([snapshot(NOON - 86_400_000 + n * 1000) for n in range(100)])
    store = await open_store(clock=lambda: NOON / 1000)
    assert store.last_seq == 0
    assert await store.latest() is None
    assert await store.first_complete(0, ["kalshi"]) is None
    assert await store.last_complete_before(NOON, ["kalshi"]) is None
    assert await store.daily_closes(30) == []
    first = record(store, marks=Marks(whole=("kalshi",)))
    await store.append(first)
    assert await store.first_complete(0, ["kalshi"]) == first
    assert await store.last_complete_before(NOON, ["kalshi"]) is None
    assert await store.last_complete_before(NOON + 60_000, ["kalshi"]) == first
    assert await store.newest(10) == [first]
    assert await store.since(store.epoch, 0) == [first]
    assert await store.since(store.epoch, FIRST_SEQ + NOON) is None
    assert await store.prune(1, replay_rows=0) == 0


def test_a_ledger_of_the_first_release_takes_an_import_and_answers_older_queries(tmp_path: Path) -> None:
    path = tmp_path / "pnl.db"
    shutil.copy(FIRST_RELEASE, path)
    with importing(path) as imports:
        assert imports.has_own
        assert imports.add_snapshots([snapshot(imports.before - 1)]).new == 1
    with closing(sqlite3.connect(path)) as reader:
        for view in VIEWS:
            assert reader.execute(f"SELECT * FROM {view}").fetchall(), view
        sql = "SELECT count(*) FROM pnl_snapshots WHERE trade_count IS NULL"
        assert reader.execute(sql).fetchone() == (1,), "of every snapshot of our own it is known"


@st.composite
def parts(draw: st.DrawFn) -> Rollup:
    first = draw(st.integers(-50, 50).filter(bool))
    last = draw(st.integers(first, -1 if first < 0 else 60))
    marks = draw(st.integers(0, int(first > 0))), draw(st.sampled_from(["", "a", "b", "a,c"])), draw(st.integers(0, 1))
    return Rollup(
        60_000, 0, first, last, *(draw(st.integers(-9, 9)) for _ in range(7)), draw(st.integers(1, 9)), *marks
    )


@given(parts(), parts(), parts())
def test_merging_is_the_same_in_any_order(one: Rollup, two: Rollup, three: Rollup) -> None:
    numbers = [number for part in (one, two, three) for number in {part.first_seq, part.last_seq}]
    if len(set(numbers)) < len(numbers):
        return  # parts of an interval are disjoint
    merged = merge(merge(one, two), three)
    assert merged == merge(one, merge(two, three)) == merge(three, merge(two, one))
    own = [part for part in (one, two, three) if part.first_seq > 0]
    assert merged.samples == sum(part.samples for part in own or (one, two, three))


def test_no_search_for_our_own_looks_at_the_imported_ones(path: Path) -> None:
    with importing(path) as imports:
        imports.add_snapshots([snapshot(NOON - 50_000_000 + n * 1000) for n in range(20_000)])
    sources = snapshots.names(["kalshi"])
    with closing(sqlite3.connect(path)) as reader:
        for sql, parameters in (
            (snapshots.NEWEST, (100,)),
            (snapshots.last_complete_before(1), (NOON, snapshots.COMPLETE_WITHIN_MS, *sources)),
            (snapshots.first_complete(1), (0, *sources)),
        ):
            thousands: list[None] = []
            reader.set_progress_handler(lambda: thousands.append(None), 1000)  # noqa: B023 - of this turn
            assert reader.execute(sql, parameters).fetchall() == []
            assert len(thousands) <= 1, f"instructions in thousands: {len(thousands)}, {sql}"
