"""Months of snapshots: partitions exist before they are needed, and a month that is too old is dropped as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pnl_backend.domain.record import Marks, Record
from pnl_backend.ledger.sql.store import LedgerStore
from tests.ledger.store.places import Place, PostgresPlace, SqlitePlace

HOUR = 3_600_000


def instant(month: int, day: int = 1) -> int:
    return int(datetime(2026, month, day, tzinfo=UTC).timestamp() * 1000)


def months(place: PostgresPlace) -> list[str]:
    """The partitions of snapshots, and how many rows each has."""
    names = place.ask(
        "SELECT relname FROM pg_class WHERE relname ~ '^snapshots_([0-9_]+|other)$' AND relkind = 'r' ORDER BY 1"
    )
    return [f"{name}: {place.ask(f'SELECT count(*) FROM {name}')[0][0]}" for (name,) in names]


async def run(place: Place) -> tuple[list[int], list[int], list[int]]:
    """Snapshots of February to April, and what a retention of 30 days leaves of them in May."""
    store = await place.open(clock=lambda: instant(2) / 1000)
    for at in range(instant(2), instant(4, 20), 8 * HOUR):
        await append(store, at)
    await store.restate("kalshi", "wrong", instant(4))
    await append(store, instant(4, 20), complete=False)
    await append(store, instant(4, 21))
    await store.close()
    store = await place.open(clock=lambda: instant(5, 2) / 1000)
    gone = await store.prune(30, replay_rows=4)
    held = [one.seq for one in await store.newest(10_000)]
    assert await store.prune(30, replay_rows=4) == 0
    closes = [close.revenue_cents for close in await store.daily_closes(80)]
    await append(store, instant(5, 2))
    assert await store.since(store.epoch, store.last_seq - 1) is not None
    await store.close()
    return [gone], held, closes


async def append(store: LedgerStore, at: int, *, complete: bool = True) -> None:
    seq = store.last_seq + 1
    await store.append(Record(store.epoch, seq, at, seq, seq, 0, 0, b"%d" % seq, b"{}", Marks(complete=complete)))


async def test_a_dropped_month_leaves_what_a_file_keeps(place: PostgresPlace, tmp_path: Path) -> None:
    assert await run(place) == await run(SqlitePlace(tmp_path / "pnl.db"))
    held = months(place)
    assert [name.partition(":")[0] for name in held] == [
        "snapshots_2026_04", "snapshots_2026_05", "snapshots_2026_06", "snapshots_2026_07", "snapshots_other"
    ]  # fmt: skip
    assert held[-1] != "snapshots_other: 0"
    assert place.ask("SELECT count(*) FROM payloads") == place.ask("SELECT count(*) FROM snapshots")
    assert place.ask("SELECT count(*) FROM payloads AS p JOIN snapshots AS s ON (s.seq, s.at) = (p.seq, p.at)") == (
        place.ask("SELECT count(*) FROM snapshots")
    )


async def test_a_clock_that_was_wrong_once_stores_all_the_same(place: PostgresPlace) -> None:
    store = await place.open(clock=lambda: instant(2) / 1000)
    await append(store, instant(9))
    await append(store, instant(2))
    await store.close()
    store = await place.open(clock=lambda: instant(8) / 1000)
    await append(store, instant(9, 2))
    assert [one.seq for one in await store.newest(5)] == [1, 2, 3]
    await store.close()
