"""15 minutes, four hours and business weeks, compared with the snapshots in them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnl_backend.domain.record import Record
from pnl_backend.wire.history import HistoryRow
from tests.ledger.sqlite.ledger import OpenStore
from tests.ledger.store.places import Places

ZONE = ZoneInfo("America/New_York")
MINUTE = 60_000
BEGIN = int(datetime(2026, 2, 20, 13, 7, tzinfo=UTC).timestamp() * 1000)  # a change to summer time follows on 8 March
SPANS = {"15m": 15 * MINUTE, "4h": 240 * MINUTE}


def begins(resolution: str, at: int) -> int:
    """Where an interval begins, found in another way than the ledger's."""
    if resolution in SPANS:
        return at // SPANS[resolution] * SPANS[resolution]
    day = datetime.fromtimestamp(at / 1000, ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    while day.weekday() != 0:
        day -= timedelta(days=1)  # wall-clock days: midnight stays midnight
    return int(day.timestamp() * 1000)


def gathered(records: list[Record], resolution: str, start: int, end: int) -> list[HistoryRow]:
    """The rows, from the snapshots themselves."""
    first, last = begins(resolution, start), begins(resolution, end)
    groups: dict[int, list[Record]] = {}
    for record in records:
        groups.setdefault(begins(resolution, record.at), []).append(record)
    return [
        HistoryRow(
            timestamp=at,
            netPnL=held[-1].net_cents / 100,
            kalshiPnL=held[-1].kalshi_cents / 100,
            costs=held[-1].costs_cents / 100,
            revenue=held[-1].revenue_cents / 100,
            open=held[0].net_cents / 100,
            high=max(r.net_cents for r in held) / 100,
            low=min(r.net_cents for r in held) / 100,
            close=held[-1].net_cents / 100,
            count=len(held),
        )
        for at, held in sorted(groups.items())
        if first <= at <= last
    ]


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.integers(1000, 30 * 60 * MINUTE), st.integers(-(10**6), 10**6)), min_size=1, max_size=60
    ),
    start=st.integers(-20_000, 40_000),
    length=st.integers(0, 60_000),
    limit=st.none() | st.integers(1, 12),
)
def test_a_range_is_what_its_snapshots_make(
    places: Places,
    steps: list[tuple[int, int]],
    start: int,
    length: int,
    limit: int | None,
) -> None:
    async def scenario() -> None:
        place = places.new()
        store = await place.open(synchronous="NORMAL", timezone=str(ZONE))
        records, at = [], BEGIN
        try:
            for step, net in steps:
                at += step
                record = Record(store.epoch, store.last_seq + 1, at, net, net - 7, 3, 10, b"{}", b"{}")
                await store.append(record)
                records.append(record)
            asked = BEGIN + start * MINUTE, BEGIN + (start + length) * MINUTE
            for resolution in ("15m", "4h", "1w"):
                expected = gathered(records, resolution, *asked)
                rows = await store.history(*asked, resolution, limit=limit)  # type: ignore[arg-type] # each is one
                assert list(rows) == (expected if limit is None else expected[-limit:]), resolution
                exported = [row async for part in store.export(*asked, resolution) for row in part]  # type: ignore[arg-type]
                assert exported == expected, resolution
        finally:
            await store.close()
            places.remove(place)

    asyncio.run(scenario())


async def test_an_export_of_many_parts_neither_repeats_nor_skips(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sql.history.CHUNK", 3)
    store = await open_store(synchronous="NORMAL", timezone=str(ZONE))
    records = []
    for n in range(400):
        at = BEGIN + n * 5 * 60 * MINUTE
        records.append(Record(store.epoch, store.last_seq + 1, at, n, n, 0, 0, b"{}", b"{}"))
        await store.append(records[-1])
    for resolution in ("15m", "4h", "1w"):
        asked = 0, BEGIN + 10**11
        exported = [row async for part in store.export(*asked, resolution) for row in part]  # type: ignore[arg-type]
        assert exported == gathered(records, resolution, *asked), resolution
    await store.close()
