"""Ranges of the ledger: which rows, in which order, how many, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pnl_backend.domain.times import LAST_NAMED_DAY
from pnl_backend.ledger.sql.history import CHUNK, MOST_ROWS
from pnl_backend.ledger.sql.store import LedgerStore
from pnl_backend.wire.history import HistoryRow, Resolution
from pnl_backend.wire.refusals import BadRequest
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore
from tests.ledger.store.places import Place

END = NOON * 2


@pytest.fixture
async def hour(store: LedgerStore, record: MakeRecord) -> LedgerStore:
    """720 snapshots five seconds apart, the first five seconds after noon; netPnL counts up in cents."""
    for _ in range(720):
        await store.append(record(store))
    return store


async def test_raw_rows_are_the_snapshots(hour: LedgerStore) -> None:
    rows = await hour.history(NOON, NOON + 15_000, "raw")
    assert rows == [
        HistoryRow(
            timestamp=NOON + n * 5000, netPnL=n / 100, kalshiPnL=(n + 7) / 100, costs=0.09,
            revenue=0.02, open=n / 100, high=n / 100, low=n / 100, close=n / 100, count=1,
        )
        for n in (1, 2, 3)
    ]  # fmt: skip


async def test_a_minute_has_open_high_low_close_and_the_last_of_the_other_figures(hour: LedgerStore) -> None:
    first, second = (await hour.history(NOON, NOON + 119_999, "1m"))[:2]
    assert first.timestamp == NOON
    assert (first.open, first.high, first.low, first.close) == (0.01, 0.11, 0.01, 0.11)
    assert (first.netPnL, first.kalshiPnL, first.count) == (0.11, 0.18, 11)
    assert (second.timestamp, second.count) == (NOON + 60_000, 12)


@pytest.mark.parametrize(("resolution", "count"), [("raw", 720), ("1m", 61), ("5m", 13), ("1h", 2), ("1d", 1)], ids=str)
async def test_every_resolution_counts_every_snapshot_once(
    hour: LedgerStore, resolution: Resolution, count: int
) -> None:
    rows = await hour.history(NOON, NOON + 3_600_000, resolution)
    assert len(rows) == count
    assert sum(row.count for row in rows) == 720
    assert [row.timestamp for row in rows] == sorted({row.timestamp for row in rows})
    assert rows[0].open == 0.01
    assert rows[-1].close == 7.20


async def test_an_interval_that_the_range_touches_is_in_it(hour: LedgerStore) -> None:
    assert [row.timestamp for row in await hour.history(NOON + 90_000, NOON + 130_000, "1m")] == [
        NOON + 60_000,
        NOON + 120_000,
    ]
    assert len(await hour.history(NOON + 90_000, NOON + 90_000, "1d")) == 1


async def test_a_limit_takes_the_newest(hour: LedgerStore) -> None:
    rows = await hour.history(0, END, "raw", limit=3)
    assert [row.netPnL for row in rows] == [7.18, 7.19, 7.20]
    assert len(await hour.history(0, END, "5m", limit=2)) == 2


async def test_a_range_without_snapshots_is_empty(hour: LedgerStore) -> None:
    for resolution in ("raw", "1m", "1d"):
        assert await hour.history(0, 1000, resolution) == []
        assert [chunk async for chunk in hour.export(0, 1000, resolution)] == []


@pytest.mark.parametrize(
    ("start", "end", "resolution", "named"),
    [
        (2, 1, "1m", "from"),
        (-1, 1, "1m", "from"),
        (0, 10**18, "1m", "to"),
        (0, 1, "2m", "resolution"),
        (0, 1, "", "resolution"),
    ],
)
async def test_a_range_that_makes_no_sense_is_refused(
    store: LedgerStore, start: int, end: int, resolution: Resolution, named: str
) -> None:
    with pytest.raises(BadRequest, match=named):
        await store.history(start, end, resolution)
    with pytest.raises(BadRequest, match=named):
        await anext(aiter(store.export(start, end, resolution)))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
async def test_daily_closes_reach_over_days_without_snapshots(
    open_store: OpenStore, record: MakeRecord, zone: str
) -> None:
    here = ZoneInfo(zone)
    noons = [datetime(2026, 3, day, 12, tzinfo=here) for day in (5, 6, 9, 10)]  # New York's clocks change on the 8th
    now = noons[-1].timestamp() + 60
    store = await open_store(timezone=zone, clock=lambda: now)
    for noon in noons:
        for minute in (0, 30):
            at = int((noon + timedelta(minutes=minute)).timestamp() * 1000)
            sums = {"kalshi_cents": noon.day * 100, "revenue_cents": minute, "costs_cents": noon.day}
            await store.append(record(store, at=at, **sums))
    closes = [(day.isoformat()[5:], revenue, expenses) for day, revenue, expenses, _ in await store.daily_closes(30)]
    after = [("03-07", 630, 6), ("03-08", 630, 6), ("03-09", 930, 9)]
    assert closes == [("03-05", 530, 5), ("03-06", 630, 6), *after, ("03-10", 1030, 10)]
    assert [close.day.day for close in await store.daily_closes(3)] == [8, 9, 10]
    assert (await store.daily_closes(3))[0].revenue_cents == 630
    assert [close.day.day for close in await store.daily_closes(1)] == [10]


async def test_an_empty_ledger_has_no_closes(store: LedgerStore) -> None:
    assert await store.daily_closes(30) == []


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
async def test_the_ends_of_time_are_empty_in_every_zone(open_store: OpenStore, zone: str) -> None:
    store = await open_store(timezone=zone)
    for resolution in ("raw", "1m", "1h", "1d"):
        assert await store.history(0, 0, resolution) == []
        assert await store.history(LAST_NAMED_DAY, LAST_NAMED_DAY, resolution) == []
        with pytest.raises(BadRequest, match="to must be"):
            await store.history(0, LAST_NAMED_DAY + 1, resolution)


def stuff(place: Place, count: int) -> None:
    """Rows straight into the ledger: appending them all would take its time. Ten share each instant."""
    place.ask(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO snapshots SELECT i, ? + i / 10, i, 0, 0, 0, 0 FROM n",
        count,
        NOON,
    )


async def test_more_rows_than_an_answer_holds_are_refused_and_exported(store: LedgerStore, place: Place) -> None:
    stuff(place, MOST_ROWS + 1)
    with pytest.raises(BadRequest, match=r"resolution raw .* more than 10100 rows"):
        await store.history(0, END, "raw")
    assert len(await store.history(0, END, "raw", limit=MOST_ROWS + 1)) == MOST_ROWS + 1
    chunks: list[Sequence[object]] = []
    nets: list[int | float] = []
    async for chunk in store.export(0, END, "raw"):
        chunks.append(chunk)
        nets += [row.netPnL for row in chunk]
    assert nets == [n / 100 for n in range(1, MOST_ROWS + 2)]
    assert max(map(len, chunks)) == CHUNK


async def test_an_export_of_rollups_equals_the_history(hour: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sql.history.CHUNK", 7)
    for resolution in ("raw", "1m", "5m", "1h", "1d"):
        exported = [row async for chunk in hour.export(NOON, END, resolution) for row in chunk]
        assert exported == await hour.history(NOON, END, resolution)
